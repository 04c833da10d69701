"""What reads results and reckons, without torch."""
