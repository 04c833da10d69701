"""Vectors that depend on the text alone, for tests of what carries them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from instructor_eval.core.values import Vectors

DIM = 16


def hashed(texts: Sequence[str], *, dim: int = DIM) -> Vectors:
    """A unit vector for each text, the same whenever it is asked for: float32 [len(texts), dim]."""
    seeds = [int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8]) for text in texts]
    rows = np.array([np.random.default_rng(seed).standard_normal(dim) for seed in seeds])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
