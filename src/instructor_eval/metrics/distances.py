"""Distances of corresponding rows of two arrays, as STS and pair classification report them.

The order of operations is scikit-learn's (`paired_cosine_distances` and the like), whose bits they give; that library
takes most of a second to import.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]


def cosine_distances(a: Rows, b: Rows) -> Rows:
    """Return 1 - cosine of corresponding rows of [n, dim] and [n, dim]: [n], in their precision."""
    off = _unit(a) - _unit(b)
    return np.asarray(0.5 * np.einsum("ij,ij->i", off, off))


def manhattan_distances(a: Rows, b: Rows) -> Rows:
    """Return the sums of absolute differences of corresponding rows: [n]."""
    return np.asarray(np.sum(np.abs(a - b), axis=-1))


def euclidean_distances(a: Rows, b: Rows) -> Rows:
    """Return the lengths of the differences of corresponding rows: [n]."""
    off = a - b
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", off, off)))


def dot_products(a: Rows, b: Rows) -> Rows:
    """Return the dot products of corresponding rows: [n]; one by one, as mteb does."""
    return np.asarray([np.dot(left, right) for left, right in zip(a, b, strict=True)])


def _unit(rows: Rows) -> Rows:
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    lengths[lengths < 10 * np.finfo(lengths.dtype).eps] = 1.0
    return np.asarray(rows / lengths[:, np.newaxis])
