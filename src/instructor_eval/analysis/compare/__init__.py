"""Compare two results: sides, their differences task by task, and the baselines that gates compare with."""
