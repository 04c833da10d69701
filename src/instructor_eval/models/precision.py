"""What vectors are kept as: cut to their first dimensions, and float16, int8 or one bit a value.

Whatever an index keeps, float32 is given back: the values that a vector database computes with. The codes themselves
are those of sentence-transformers' `quantize_embeddings`, but that ours go to the nearest level, where it takes the one
below; and ours are clipped to the calibrated range, where its versions up to 5 wrap around (its issue 3159).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from instructor_eval.core.errors import ModelOutputError, UserError
from instructor_eval.core.values import Vectors
from instructor_eval.models.hamming import packed, unpacked
from instructor_eval.models.variant import Variant

WHOLE = Variant()
"""Every dimension, in float32."""
CALIBRATED = ("int8", "uint8")
CALIBRATION_TEXTS = 10_000
_LEVELS = 255
# float16 keeps 11 bits, so a row moves by at most 2^-11 of its length; more means values beyond its range.
_LARGEST_DRIFT = 1e-3


def truncated(vectors: Vectors, dim: int, *, normalize: bool, model: str) -> Vectors:
    """The first `dim` values of each row (Matryoshka: Kusupati et al. 2022, arXiv:2205.13147).

    Args:
        vectors: [n, at least dim].
        dim: How many values stay.
        normalize: Scale the rows to length 1 again, as a model that normalises its vectors would give them.
        model: Named in the error.

    Raises:
        ModelOutputError: nothing is left of a row.
    """
    cut = vectors[:, :dim]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    if not lengths.all():
        raise ModelOutputError(f"model {model}: the first {dim} values of a vector are all zero: take a larger @dim")
    whole: Vectors = cut / lengths if normalize else np.ascontiguousarray(cut)
    return whole


def rounded(vectors: Vectors, dtype: str, *, model: str, instead: str) -> tuple[Vectors, float]:
    """The vectors as `dtype` holds them, and how far a row moves at most, as a share of its length.

    Args:
        vectors: [n, dim].
        dtype: A float type of numpy.
        model: Named in the error.
        instead: What the error tells to do.

    Raises:
        ModelOutputError: values are beyond the type's range.
    """
    with np.errstate(over="ignore"):
        kept = vectors.astype(dtype).astype(np.float32)
    exact = vectors.astype(np.float64)  # whose squares stay within range
    moved = np.linalg.norm(kept - exact, axis=1) / np.linalg.norm(exact, axis=1)
    drift = float(moved.max(initial=0.0))
    if not drift <= _LARGEST_DRIFT:
        raise ModelOutputError(
            f"model {model}: {dtype} does not hold its vectors (one moves by {drift:.2g} of its length): {instead}"
        )
    return kept, drift


@dataclass(frozen=True)
class Calibration:
    """The range of every dimension, between whose ends int8 and uint8 have their 256 levels."""

    low: Vectors
    """[dim] The least values."""
    high: Vectors
    """[dim] The largest."""
    texts: int = 0
    """How many texts they were found in."""
    role: str = ""
    instruction: str = ""
    """What those texts were embedded under."""
    origin: str = "corpus"
    """Why those texts: `corpus` named by the task, `first texts` where it named none, `given` by the library's user."""

    @classmethod
    def of(cls, vectors: Vectors, **about: Any) -> Calibration:
        """The ranges of vectors [n, dim], at least one."""
        return cls(vectors.min(axis=0), vectors.max(axis=0), texts=len(vectors), **about)

    @cached_property
    def _step(self) -> Vectors:
        step = (self.high - self.low) / np.float32(_LEVELS)
        return np.where(step == 0, np.float32(1), step)  # a dimension that is constant has one level

    def codes(self, vectors: Vectors, precision: str) -> npt.NDArray[Any]:
        """Each value's nearest level, [n, dim]: 0 to 255 in uint8, -128 to 127 in int8."""
        inside = np.clip(vectors, self.low, self.high)
        levels = np.clip(np.rint((inside - self.low) / self._step), 0, _LEVELS)
        codes: npt.NDArray[Any] = levels.astype(np.uint8) if precision == "uint8" else (levels - 128).astype(np.int8)
        return codes

    def decoded(self, codes: npt.NDArray[Any]) -> Vectors:
        """The values that codes stand for: float32 [n, dim]."""
        levels = codes.astype(np.float32) + np.float32(128 if codes.dtype == np.int8 else 0)
        values: Vectors = self.low + levels * self._step
        return values

    def outside(self, vectors: Vectors) -> int:
        """How many values lie beyond the ranges, and are clipped."""
        return int(np.count_nonzero((vectors < self.low) | (vectors > self.high)))


def calibration_texts(texts: Iterable[str], most: int = CALIBRATION_TEXTS) -> list[str]:
    """At most so many different texts, those of the least hash: the same whatever order they come in."""
    kept: dict[bytes, str] = {}
    for text in texts:
        kept[hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()] = text
        if len(kept) > 2 * most:  # a corpus may not fit into memory twice
            kept = dict(sorted(kept.items())[:most])
    return [text for _, text in sorted(kept.items())[:most]]


class Precision:
    """Makes of full vectors what an index keeps of them, given back as float32.

    Args:
        variant: What they are kept as; its form does not matter here.
        dim: Length of the full vectors.
        normalize: Whether they have length 1.
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
        """How far float16 has moved a vector at most, as a share of its length."""
        self._normalize = normalize
        self._model = model
        self._values = self._clipped = 0

    @property
    def needs_calibration(self) -> bool:
        """Whether `calibrate` must come before `kept`."""
        return self.variant.embedding in CALIBRATED and self.calibration is None

    def calibrate(self, vectors: Vectors, **about: Any) -> None:
        """Take the ranges from full vectors [n, full dim]; `about` is what `Calibration` says of their texts."""
        self.calibration = Calibration.of(self._cut(vectors), **about)
        self._values = self._clipped = 0

    def kept(self, vectors: Vectors, *, as_query: bool = False) -> Vectors:
        """What an index keeps of full vectors [n, full dim]: float32 [n, dim].

        Binary vectors are ones with a sign. Their cosine is 1 - 2 h / dim at a Hamming distance of h, so that both give
        one ranking; a value of 0 counts as negative.

        Args:
            vectors: As the model gives them.
            as_query: They are looked for, not kept: `binary-rescore` leaves them in float32.

        Raises:
            ModelOutputError: float16 does not hold them, or nothing is left of one.
            UserError: int8 or uint8 without calibration.
        """
        vectors = self._cut(vectors)
        embedding = self.variant.embedding
        if embedding == "float32" or (as_query and embedding == "binary-rescore"):
            return vectors
        if embedding == "float16":
            vectors, drift = rounded(vectors, "float16", model=self._model, instead="leave +float16 out")
            self.drift = max(self.drift, drift)
            return vectors
        if embedding not in CALIBRATED:
            return unpacked(packed(vectors), self.dim)
        self.check()
        assert self.calibration is not None
        self._values += vectors.size
        self._clipped += self.calibration.outside(vectors)
        return self.calibration.decoded(self.calibration.codes(vectors, embedding))

    def check(self) -> None:
        """Before anything is embedded: whether `kept` can be called.

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
        return truncated(vectors, self.dim, normalize=self._normalize, model=self._model)

    def describe(self) -> dict[str, Any]:
        """What a score file says of it. The ranges are exact: the codes can be made again from them."""
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
