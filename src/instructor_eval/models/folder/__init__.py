"""A checkpoint's folder: its files, settings, tokenizer and weights, read and checked."""
