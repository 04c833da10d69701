"""Scores as they are filed: their fields, their files, their checks."""
