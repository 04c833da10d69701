"""Run on a Ray cluster: jobs, the workers that do them, and the view of all."""
