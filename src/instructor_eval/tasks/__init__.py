"""Tasks: cards, instructions, data and what scores them, a benchmark at a time."""
