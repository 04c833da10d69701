"""Models: located, read, loaded, and run. Only `model.py` imports torch."""
