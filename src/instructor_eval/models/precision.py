"""Precision of vectors in an index: cut to their first dimensions, and float16, int8 or one bit a value.

Whatever an index stores, functions here return float32, the values that a vector database computes with. Codes are like
sentence-transformers' `quantize_embeddings` with two differences: values go to the nearest level, not the one below;
and they are clipped to the calibrated range, where its versions up to 5 wrap around (its issue 3159). Bits and their
order are as in `quantize_embeddings` and FAISS's binary indexes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from instructor_eval.core.errors import ModelOutputError, UserError
from instructor_eval.core.pictures import Item, item_bytes
from instructor_eval.core.values import Vectors
from instructor_eval.models.variant import Variant

Codes: TypeAlias = npt.NDArray[np.uint8]
"""[n, dim / 8 rounded up]"""
ItemT = TypeVar("ItemT", bound=Item)
Words: TypeAlias = npt.NDArray[np.uint64]
CANDIDATES = 400
"""Documents that are left after the first of two stages: 4 for each of 100 results."""
_BLOCK = 1 << 18  # distances computed at once: they fit a core's cache
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)
CALIBRATED = ("int8", "uint8")
CALIBRATION_TEXTS = 10_000
_LEVELS = 255
# float16 has 11 bits, so a row moves by at most 2^-11 of its length; more means values beyond its range.
_LARGEST_DRIFT = 1e-3


def truncate(vectors: Vectors, dim: int, *, normalize: bool, model: str) -> Vectors:
    """Return the first `dim` values of each row (Matryoshka: Kusupati et al. 2022, arXiv:2205.13147).

    Args:
        vectors: [n, at least dim].
        dim: The number of values that stay.
        normalize: Scale the rows to length 1 again, as a model that normalises its vectors would give them.
        model: Named in the error.

    Raises:
        ModelOutputError: a row's first values are all zero.
    """
    cut = vectors[:, :dim]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    if not lengths.all():
        raise ModelOutputError(f"model {model}: the first {dim} values of a vector are all zero: take a larger @dim")
    whole: Vectors = cut / lengths if normalize else np.ascontiguousarray(cut)
    return whole


def round_to(vectors: Vectors, dtype: str, *, model: str, instead: str) -> tuple[Vectors, float]:
    """Return vectors rounded to `dtype`, and how far a row moves at most, as a share of its length.

    Args:
        vectors: [n, dim].
        dtype: A float type of NumPy.
        model: Named in the error.
        instead: The error's next step.

    Raises:
        ModelOutputError: values are beyond the type's range.
    """
    with np.errstate(over="ignore"):
        result = vectors.astype(dtype).astype(np.float32)
    exact = vectors.astype(np.float64)  # whose squares stay within range
    moved = np.linalg.norm(result - exact, axis=1) / np.linalg.norm(exact, axis=1)
    drift = float(moved.max(initial=0.0))
    if not drift <= _LARGEST_DRIFT:
        raise ModelOutputError(
            f"model {model}: {dtype} does not hold its vectors (one moves by {drift:.2g} of its length): {instead}"
        )
    return result, drift


@dataclass(frozen=True)
class Calibration:
    """The range of every dimension; int8 and uint8 divide it into 256 levels."""

    low: Vectors
    """Smallest values, [dim]."""
    high: Vectors
    """Largest values, [dim]."""
    texts: int = 0
    """The number of texts that they come from."""
    role: str = ""
    instruction: str = ""
    """Under it those texts were embedded."""
    origin: str = "corpus"
    """Source of those texts: the task's `corpus`, its `first texts` if it names none, or `given` to the library."""

    @classmethod
    def of(cls, vectors: Vectors, **about: Any) -> Calibration:
        """Return the ranges of vectors [n, dim], n at least 1."""
        return cls(vectors.min(axis=0), vectors.max(axis=0), texts=len(vectors), **about)

    @cached_property
    def _step(self) -> Vectors:
        step = (self.high - self.low) / np.float32(_LEVELS)
        return np.where(step == 0, np.float32(1), step)  # a constant dimension has one level

    def codes(self, vectors: Vectors, precision: str) -> npt.NDArray[Any]:
        """Return each value's nearest level, [n, dim]: 0 to 255 in uint8, -128 to 127 in int8."""
        inside = np.clip(vectors, self.low, self.high)
        levels = np.clip(np.rint((inside - self.low) / self._step), 0, _LEVELS)
        codes: npt.NDArray[Any] = levels.astype(np.uint8) if precision == "uint8" else (levels - 128).astype(np.int8)
        return codes

    def decode(self, codes: npt.NDArray[Any]) -> Vectors:
        """Return the values of codes: float32 [n, dim]."""
        levels = codes.astype(np.float32) + np.float32(128 if codes.dtype == np.int8 else 0)
        values: Vectors = self.low + levels * self._step
        return values

    def count_outside(self, vectors: Vectors) -> int:
        """Count values beyond the ranges, which `codes` clips."""
        return int(np.count_nonzero((vectors < self.low) | (vectors > self.high)))


def calibration_texts(texts: Iterable[ItemT], most: int = CALIBRATION_TEXTS) -> list[ItemT]:
    """Choose at most `most` different texts or pictures, those with the smallest hash: the same in any order."""
    chosen: dict[bytes, ItemT] = {}
    for text in texts:
        chosen[hashlib.blake2b(item_bytes(text), digest_size=16).digest()] = text
        if len(chosen) > 2 * most:  # a corpus may not fit into memory twice
            chosen = dict(sorted(chosen.items())[:most])
    return [text for _, text in sorted(chosen.items())[:most]]


class Precision:
    """A variant's precision: full vectors in, the values that an index has of them out, as float32.

    Args:
        variant: Embedding and dimensions; its form does not matter here.
        dim: Length of the full vectors.
        normalize: True if they have length 1.
        model: Named in errors.

    Raises:
        UserError: the variant has more dimensions than the model.
    """

    def __init__(self, variant: Variant, *, dim: int, normalize: bool, model: str) -> None:
        if variant.dim is not None and variant.dim > dim:
            raise UserError(f"variant {variant}: model {model} has {dim} dimensions: give at most @{dim}")
        self.variant = variant
        self.dim = variant.dim or dim
        self.calibration: Calibration | None = None
        self.drift = 0.0
        """Largest shift of a vector by float16, as a share of its length."""
        self._normalize = normalize
        self._model = model
        self._values = self._clipped = 0

    @property
    def needs_calibration(self) -> bool:
        """True if `calibrate` must come before `apply`."""
        return self.variant.embedding in CALIBRATED and self.calibration is None

    def calibrate(self, vectors: Vectors, **about: Any) -> None:
        """Take the ranges from full vectors [n, full dim]; `about` are fields of `Calibration` about their texts."""
        self.calibration = Calibration.of(self._cut(vectors), **about)
        self._values = self._clipped = 0

    def apply(self, vectors: Vectors, *, as_query: bool = False) -> Vectors:
        """Return full vectors [n, full dim] as an index has them: float32 [n, dim].

        Values of binary vectors are 1 and -1; 0 counts as negative. Their cosine at Hamming distance h is 1 - 2 h /
        dim, so both rank alike.

        Args:
            vectors: The model's own.
            as_query: They are queries: `binary-rescore` leaves them in float32.

        Raises:
            ModelOutputError: float16 does not hold them, or one is zero after the cut.
            UserError: int8 or uint8 without calibration.
        """
        vectors = self._cut(vectors)
        embedding = self.variant.embedding
        if embedding == "float32" or (as_query and embedding == "binary-rescore"):
            return vectors
        if embedding == "float16":
            vectors, drift = round_to(vectors, "float16", model=self._model, instead="leave +float16 out")
            self.drift = max(self.drift, drift)
            return vectors
        if embedding not in CALIBRATED:
            return unpack_bits(pack_bits(vectors), self.dim)
        self.check()
        assert self.calibration is not None
        self._values += vectors.size
        self._clipped += self.calibration.count_outside(vectors)
        return self.calibration.decode(self.calibration.codes(vectors, embedding))

    def check(self) -> None:
        """Check, before anything is embedded, that `apply` can be called.

        Raises:
            UserError: int8 or uint8 without calibration.
        """
        if self.needs_calibration:
            raise UserError(
                f"variant {self.variant}: {self.variant.embedding} needs the range of every dimension: call "
                "calibrate(texts, instruction) first, with texts as they will be searched"
            )

    def _cut(self, vectors: Vectors) -> Vectors:
        if self.dim == vectors.shape[1]:
            return vectors
        return truncate(vectors, self.dim, normalize=self._normalize, model=self._model)

    def describe(self) -> dict[str, Any]:
        """Return its part of a score file. Ranges are exact, so that codes can be computed again from them."""
        found: dict[str, Any] = {
            "precision": self.variant.embedding,
            "dim": self.dim,
            "bytes_per_vector": self.variant.bytes_per_vector(self.dim),
        }
        if self.variant.embedding == "float16":
            found["drift"] = self.drift
        if self.calibration is not None:
            found["calibration"] = {
                "texts": self.calibration.texts,
                "origin": self.calibration.origin,
                "role": self.calibration.role,
                "instruction": self.calibration.instruction,
                "low": self.calibration.low.tolist(),
                "high": self.calibration.high.tolist(),
                "clipped": self._clipped / max(1, self._values),
            }
        return found


def pack_bits(vectors: Vectors) -> Codes:
    """Pack the signs of vectors [n, dim], eight a byte: 1 for values above 0. The last byte is padded with 0."""
    return np.packbits(vectors > 0, axis=1)


def unpack_bits(codes: Codes, dim: int) -> Vectors:
    """Return codes as float32 [n, dim] of 1 and -1."""
    return np.unpackbits(codes, axis=1, count=dim).astype(np.float32) * 2 - 1


def rescore(queries: Vectors, documents: Vectors, candidates: int = CANDIDATES) -> Vectors:
    """Return similarities [queries, documents] of a search in two stages (BPR: Yamada et al. 2021, arXiv:2106.00882).

    Candidates are the documents nearest to the query's bits by Hamming distance h. They get the cosine of the float
    query and the binary document, in [-1, 1]. All others rank below them by distance: -2 - 2 h / dim.

    Args:
        queries: [n, dim] float values.
        documents: [m, dim] of 1 and -1.
        candidates: Documents for each query.
    """
    dim = queries.shape[1]
    left, right = _words(pack_bits(queries)), np.ascontiguousarray(_words(pack_bits(documents)).T)
    unit = queries / np.linalg.norm(queries, axis=1, keepdims=True) / np.sqrt(np.float32(dim))
    scores = np.empty((len(queries), len(documents)), dtype=np.float32)
    for rows in _blocks(len(queries), len(documents)):
        distances = _distances(left[rows], right)
        scores[rows] = -2 - 2 * distances / dim
        places = _nearest(distances, min(candidates, len(documents)))
        for row, query, found in zip(scores[rows], unit[rows], places, strict=True):
            row[found] = documents[found] @ query
    return scores


def _distances(left: Words, right: Words) -> npt.NDArray[np.int32]:
    """Return the Hamming distances of words [n, width] and [width, m]: [n, m]."""
    found = np.zeros((len(left), right.shape[1]), dtype=np.int32)
    for one, other in zip(left.T, right, strict=True):
        found += _ones(np.bitwise_xor.outer(one, other))
    return found


def _nearest(distances: npt.NDArray[np.int32], k: int) -> npt.NDArray[np.int64]:
    """Return places of the k smallest values of each row, the first of equal ones."""
    n = distances.shape[1]
    keys = distances.astype(np.int64) * n + np.arange(n)  # distance, then place
    best = np.sort(keys if k == n else np.partition(keys, k - 1, axis=1)[:, :k], axis=1)
    places: npt.NDArray[np.int64] = best % n
    return places


def _blocks(rows: int, columns: int) -> list[slice]:
    """Return slices of rows that have about `_BLOCK` values each."""
    step = max(1, _BLOCK // max(1, columns))
    return [slice(start, start + step) for start in range(0, rows, step)]


def _words(codes: Codes) -> Words:
    return np.pad(codes, ((0, 0), (0, -codes.shape[1] % 8))).view(np.uint64)


def _ones(words: Words) -> npt.NDArray[np.uint8]:
    """Count the ones in each word."""
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(words)
    counts: npt.NDArray[np.uint8] = _ONES[words[..., None].view(np.uint8)].sum(axis=-1, dtype=np.uint8)
    return counts  # NumPy 1.26
