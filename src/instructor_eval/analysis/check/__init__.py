"""Checks of stored results: by themselves, against their data, and against each other."""
