"""Models that are no checkpoint folders, by kind: behind an API, at a hosted provider, in mteb's registry."""
