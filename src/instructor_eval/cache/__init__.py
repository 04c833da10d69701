"""Vectors by content: fingerprint, instruction and text name a row. Checksummed; a kill loses a chunk at most."""
