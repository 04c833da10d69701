"""MTEB tasks: their data, what mteb is given to encode, its scores with our items."""
