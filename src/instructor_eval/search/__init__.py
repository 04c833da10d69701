"""Searching a corpus: exactly, streamed in bounded memory, or through a vector store as a service would use it."""
