"""Gates: quality, drift and speed, their limits, and the files they write."""
