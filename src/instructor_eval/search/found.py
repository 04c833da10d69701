"""What a search finds, and how much of the exact answer that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from instructor_eval.core.values import Vectors

_SAME = 1e-6
"""Scores that are nearer to each other are one: a copy of a document may stand for it."""


@dataclass(frozen=True)
class Found:
    """What a search gave, for each query its documents' places and scores, the best first."""

    places: list[npt.NDArray[np.int64]]
    scores: list[Vectors]
    figures: dict[str, Any] = field(default_factory=dict)
    """Of a store: build_seconds (None: it was there), queries_per_second, index_bytes, what it says of itself."""
    contents: npt.NDArray[np.uint64] | None = None
    """A hash of every document's vector: copies of one document have the same."""


def recall(found: Found, exact: Found, k: int) -> float:
    """Mean share of each query's k exactly nearest documents that a store found among its first k.

    A document as near as the k-th of them counts too, and so does every copy of one: which of several equally near ones
    is named is chance. A query that nothing is to be found for counts as answered.
    """

    def content(places: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        return places if exact.contents is None else exact.contents[places]

    shares = []
    for places, truth, scores in zip(found.places, exact.places, exact.scores, strict=True):
        most = min(k, len(truth))
        near = truth[scores >= scores[most - 1] - _SAME] if most else truth
        hits = int(np.isin(content(places[:k]), content(near)).sum())
        shares.append(min(most, hits) / most if most else 1.0)
    return float(np.mean(shares))
