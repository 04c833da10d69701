"""Tasks: cards, instructions, data and scoring, one benchmark after another."""
