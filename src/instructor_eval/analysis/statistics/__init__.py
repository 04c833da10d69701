"""Differences, intervals and p-values of items, without reading files."""
