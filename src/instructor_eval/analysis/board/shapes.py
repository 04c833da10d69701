"""The shape of a score: how its units' parts of it are spread, and which units do best and worst.

A unit's part is its value where the score is a mean, else what it adds (`analysis/statistics/contributions.py`).
This module is light: the board needs no more where the shapes were computed before.
"""

from __future__ import annotations

from dataclasses import dataclass

from instructor_eval.core.values import Items

BINS = 12
NAMED = 3
"""So many units are named at either end."""


@dataclass(frozen=True)
class Shape:
    """A histogram of what units add to a score, and those at its ends; fractions of 1."""

    low: float
    """Start of the first bin: 0 where all values lie between 0 and 1."""
    high: float
    counts: list[int]
    """Units in each of `BINS` equal bins from `low` to `high`."""
    median: float
    worst: list[list[str | float]]
    """Id and value, the lowest first; of equals the first by id."""
    best: list[list[str | float]]
    is_mean: bool
    """True where the score is the mean of values that stand for themselves (not of what a correlation is made of)."""


def shape(metric: str, items: Items) -> Shape:
    """The shape of a score's items.

    Raises:
        UserError: nothing is known of that metric.
        LookupError, TypeError, ValueError: a column that it needs is missing, or holds what is no number.
    """
    import numpy as np

    from instructor_eval.analysis.statistics.contributions import contributions, mean_column

    with np.errstate(invalid="ignore"):  # what comes of infinity is found below
        ids, values = contributions(metric, items)
    if not ids or not np.isfinite(values).all():
        raise ValueError("no items, or values that are not finite")
    least, most = float(values.min()), float(values.max())
    low, high = (0.0, 1.0) if least >= 0 and most <= 1 else (least, most)
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(values, bins=BINS, range=(low, high))
    named = np.asarray(ids)
    rising = np.lexsort((named, values))[:NAMED]
    falling = np.lexsort((named, -values))[:NAMED]

    def at(places: list[int]) -> list[list[str | float]]:
        return [[ids[i], float(values[i])] for i in places]

    return Shape(
        low,
        high,
        [int(c) for c in counts],
        float(np.median(values)),
        at(rising.tolist()),
        at(falling.tolist()),
        mean_column(metric) is not None,
    )
