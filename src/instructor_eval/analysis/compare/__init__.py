"""Two results beside each other: what a side is, its items, differences and p-values; what is kept of one."""
