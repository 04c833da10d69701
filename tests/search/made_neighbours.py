"""Helpers for the tests of searches: made-up vectors, brute force in float64, and a search through a store by hand."""

from __future__ import annotations

import numpy as np

from instructor_eval.search.spec import SearchSpec
from instructor_eval.search.through_store import search_store

DIM = 16


def clustered(n: int, seed: int, dim: int = DIM) -> np.ndarray:
    """Vectors [n, dim] around a few directions, of any length: neighbours are near."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((8, dim))
    rows = centres[random.integers(8, size=n)] + 0.6 * random.standard_normal((n, dim))
    return (rows * random.uniform(0.5, 3, size=(n, 1))).astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, in float64."""
    wide = vectors.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def brute(queries: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Places and cosines [n, k] of the nearest documents, of equal ones the earlier."""
    cosines = unit(queries) @ unit(documents).T
    places = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return places, np.take_along_axis(cosines, places, axis=1)


def overlap(places: list[np.ndarray], truth: np.ndarray) -> float:
    """The mean share of `truth` [n, k] that is among the first k of `places`."""
    k = truth.shape[1]
    return float(
        np.mean([len({*row[:k].tolist()} & {*true.tolist()}) / k for row, true in zip(places, truth, strict=True)])
    )


QUERIES, DOCUMENTS = clustered(7, seed=1), clustered(500, seed=2)


def search(
    text: str,
    *,
    documents: np.ndarray = DOCUMENTS,
    queries: np.ndarray = QUERIES,
    name: str = "m@fp32 T",
    k: int = 10,
    instruction: str = "",
):
    """`through_store` of a corpus that comes in two pieces."""
    half = len(documents) // 2
    blocks = [documents[:half], documents[half:]]
    return search_store(
        SearchSpec.parse(text), name, queries, blocks, count=len(documents), k=k, instruction=instruction
    )
