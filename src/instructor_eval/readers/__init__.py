"""Readers: what answers a prompt. A language model on this machine or behind an endpoint, or no model at all."""
