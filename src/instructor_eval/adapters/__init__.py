"""One adapter a benchmark: data located and loaded, texts handed to the encoder by role, outcome with its items."""
