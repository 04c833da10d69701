"""Where a run's encoding happens: in this process, or on the workers of a Ray cluster."""
