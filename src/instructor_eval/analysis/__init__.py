"""Read results and compare them, without torch: statistics, comparisons, the board, the gates."""
