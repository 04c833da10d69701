"""Studies: plans of ordinary runs, whose scores `analysis/study` reads."""
