"""The leaderboard: rows and columns from stored scores, variants below their baseline, intervals, text."""
