"""Prompt retrieval: does an embedder find good demonstrations for a language model?"""
