"""Whether stored results agree with themselves."""
