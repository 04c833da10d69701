"""Compute scores: the plan, the loop, one task at a time, costs and dry runs."""
