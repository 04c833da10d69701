"""What one query costs: percentiles of its time, text in and vector out, and of the exact search behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from instructor_eval.results.score import Percentiles

SHARES = (50, 95, 99)


@dataclass(frozen=True)
class Timed:
    """One row of a model."""

    variant: str
    query: Percentiles
    """Of one text, a batch of one."""
    times_baseline: float
    """Median of its time over the first row's, text by text, the two in turns."""


@dataclass(frozen=True)
class Searched:
    """Exact search of one query among so many vectors in memory."""

    vectors: int
    dim: int
    query: Percentiles


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Return the percentiles of some times, in milliseconds."""
    import numpy as np

    p50, p95, p99 = (round(1000 * float(value), 4) for value in np.percentile(seconds, SHARES))
    return Percentiles(p50, p95, p99, len(seconds))
