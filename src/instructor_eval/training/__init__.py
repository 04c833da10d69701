"""MEDI in, INSTRUCTOR checkpoints out, every checkpoint evaluated."""
