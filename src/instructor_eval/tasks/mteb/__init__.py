"""MTEB tasks: their data, their texts for the encoder, mteb's scores and the items behind them."""
