"""What a checkpoint folder holds: its files, settings, tokenizer and weights, read and checked."""
