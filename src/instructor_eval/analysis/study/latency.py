"""What one query costs: percentiles of its time, text in and vector out, and of the exact search behind it."""

from __future__ import annotations

from dataclasses import dataclass

from instructor_eval.results.score import Percentiles


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
