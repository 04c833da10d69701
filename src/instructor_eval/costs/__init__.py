"""What a numeric form costs: speed side by side, size, memory, cold start."""
