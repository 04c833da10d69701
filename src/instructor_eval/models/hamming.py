"""Vectors of one bit a value: packed, compared by Hamming distance, searched, and searched in two stages.

Bits and their order are those of sentence-transformers' `quantize_embeddings` and of FAISS's binary indexes.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from instructor_eval.core.values import Vectors

Codes: TypeAlias = npt.NDArray[Any]
"""uint8 or int8 [n, dim / 8 rounded up]; int8 holds the same bits less 128."""
Words: TypeAlias = npt.NDArray[np.uint64]
Whole: TypeAlias = npt.NDArray[np.int64]
CANDIDATES = 400
"""What the first of the two stages leaves of the documents: 4 for each of 100 results."""
_BLOCK = 1 << 18  # distances computed at once: what a core's cache holds
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)


def packed(vectors: Vectors, *, signed: bool = False) -> Codes:
    """The signs of vectors [n, dim], eight a byte: 1 where a value is above 0. The last byte is filled up with 0."""
    bits = np.packbits(vectors > 0, axis=1)
    return (bits ^ np.uint8(0x80)).view(np.int8) if signed else bits


def unpacked(codes: Codes, dim: int) -> Vectors:
    """float32 [n, dim] of 1 and -1."""
    bits = np.unpackbits(_bytes(codes), axis=1, count=dim)
    return bits.astype(np.float32) * 2 - 1


def hamming(a: Codes, b: Codes) -> npt.NDArray[np.int32]:
    """In how many bits each row of `a` differs from each of `b`: [n, m]."""
    left, right = _words(a), _columns(b)
    found = np.empty((len(a), len(b)), dtype=np.int32)
    for rows in _blocks(len(a), len(b)):
        found[rows] = _distances(left[rows], right)
    return found


def hamming_top(queries: Codes, documents: Codes, k: int) -> tuple[Whole, Whole]:
    """Each query's nearest documents: their places and distances, both [queries, k or all there are].

    The nearest come first, and of equally near ones that which comes first among the documents.
    """
    k = min(k, len(documents))
    left, right = _words(queries), _columns(documents)
    places, distances = np.empty((2, len(queries), k), dtype=np.int64)
    for rows in _blocks(len(queries), len(documents)):
        places[rows], distances[rows] = _nearest(_distances(left[rows], right), k)
    return places, distances


def rescored(queries: Vectors, documents: Vectors, candidates: int = CANDIDATES) -> Vectors:
    """Similarities [queries, documents] of a search in two stages (BPR: Yamada et al. 2021, arXiv:2106.00882).

    The documents nearest to the query's own bits by Hamming distance are the candidates. They get the cosine of the
    float query and the binary document, in [-1, 1]. All others stay below, by distance: -2 - 2 h / dim.

    Args:
        queries: [n, dim] float values.
        documents: [m, dim] of 1 and -1.
        candidates: How many a query.
    """
    dim = queries.shape[1]
    left, right = _words(packed(queries)), _columns(packed(documents))
    unit = queries / np.linalg.norm(queries, axis=1, keepdims=True) / np.sqrt(np.float32(dim))
    scores = np.empty((len(queries), len(documents)), dtype=np.float32)
    for rows in _blocks(len(queries), len(documents)):
        distances = _distances(left[rows], right)
        scores[rows] = -2 - 2 * distances / dim
        places, _ = _nearest(distances, min(candidates, len(documents)))
        for row, query, found in zip(scores[rows], unit[rows], places, strict=True):
            row[found] = documents[found] @ query
    return scores


def _distances(left: Words, right: Words) -> npt.NDArray[np.int32]:
    """Of words [n, width] and [width, m]: [n, m]."""
    found = np.zeros((len(left), right.shape[1]), dtype=np.int32)
    for one, other in zip(left.T, right, strict=True):
        found += _ones(np.bitwise_xor.outer(one, other))
    return found


def _nearest(distances: npt.NDArray[np.int32], k: int) -> tuple[Whole, Whole]:
    """Places and distances of the k least of each row; the first of equal ones."""
    n = distances.shape[1]
    keys = distances.astype(np.int64) * n + np.arange(n)  # distance, then place
    best = np.sort(keys if k == n else np.partition(keys, k - 1, axis=1)[:, :k], axis=1)
    return best % n, best // n


def _blocks(rows: int, columns: int) -> list[slice]:
    """Slices of rows such that each has about `_BLOCK` values."""
    step = max(1, _BLOCK // max(1, columns))
    return [slice(start, start + step) for start in range(0, rows, step)]


def _bytes(codes: Codes) -> npt.NDArray[np.uint8]:
    """The bits themselves."""
    return codes.view(np.uint8) ^ np.uint8(0x80) if codes.dtype == np.int8 else codes


def _words(codes: Codes) -> Words:
    bits = _bytes(codes)
    return np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8))).view(np.uint64)


def _columns(codes: Codes) -> Words:
    return np.ascontiguousarray(_words(codes).T)


def _ones(words: Words) -> npt.NDArray[np.uint8]:
    """The number of ones in each word."""
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(words)
    counts: npt.NDArray[np.uint8] = _ONES[words[..., None].view(np.uint8)].sum(axis=-1, dtype=np.uint8)
    return counts  # NumPy 1.26
