"""The user's own data: read, checked, and scored by the same code as the built-in tasks."""
