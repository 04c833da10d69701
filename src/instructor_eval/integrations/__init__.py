"""Other evaluation tools: models and results in their forms."""
