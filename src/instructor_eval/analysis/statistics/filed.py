"""Statistics of one score and its items, as they are filed with it: tables and pages then need no items.

Replicates, which only the intervals of ranks need, are stored as float32 differences from the score: 4 kB, right to
about 1e-9, and equal where two models' are equal.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from instructor_eval.analysis.statistics import spreads
from instructor_eval.analysis.statistics.spreads import Spread
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.score import Interval, Score, Shape, Statistics

if TYPE_CHECKING:
    from instructor_eval.metrics.metric import Numbers

BINS = 12
NAMED = 3
"""So many units are named at either end."""
UNUSABLE = (UserError, LookupError, TypeError, ValueError)
"""Errors that items lead to which are not whole, or whose metric is not known."""


def measure(score: Score, items: Items) -> Statistics:
    """Return the statistics of a score that is no mean of parts.

    Raises:
        UserError, LookupError, TypeError, ValueError: the items are not whole, or the metric is not known.
    """
    found = _filed(_spread(score, items), _shape_or_none(score.metric, items))
    return dataclasses.replace(found, further=_further(score, items))


def measure_again(score: Score, items: Items) -> Statistics:
    """Return what the items of a score give of its filed statistics, without the histogram.

    Only the first replicates are drawn again; the others are those filed.

    Raises:
        UserError, LookupError, TypeError, ValueError: as `measure`.
    """
    filed = b"" if score.statistics is None else score.statistics.replicates
    found = _filed(_spread(score, items, _replicates(score.score or 0.0, filed)), None)
    return dataclasses.replace(found, further=_further(score, items))


def _spread(score: Score, items: Items, filed: Numbers | None = None) -> Spread:
    from instructor_eval.analysis.statistics.spread import spread

    seed = f"{score.task} {score.data.hash or ''}"
    return spread(score.metric, items, score.score or 0.0, seed_text=seed, filed=filed)


def _further(score: Score, items: Items) -> dict[str, Interval]:
    """Return the intervals of the further metrics that have one."""
    from instructor_eval.analysis.statistics.spread import spread
    from instructor_eval.metrics import separation

    seed = f"{score.task} {score.data.hash or ''}"
    return {
        name: interval_of(spread(name, items, value, seed_text=seed, keep=False))
        for name in separation.NAMES
        if (value := score.metrics.get(name)) is not None
    }


def measure_whole(score: Score, parts: Sequence[Spread], items: Items) -> Statistics | None:
    """Return the statistics of a mean of parts; None unless every part has an interval."""
    found = spreads.of_parts(parts, score.score or 0.0)
    return None if found is None else _filed(found, _shape_or_none(score.metric, items))


def spread_of(score: Score, statistics: Statistics, *, replicates: bool) -> Spread:
    """Return the interval of a score from its statistics, and its replicates if they are wanted."""
    found, value = statistics.interval, score.score or 0.0
    df = math.inf if found.df is None else found.df
    made = _replicates(value, statistics.replicates) if replicates and statistics.replicates else None
    return Spread(value, found.low, found.high, found.se, found.n, found.method, found.weak, df, made)


def _replicates(value: float, deviations: bytes) -> Numbers:
    import numpy as np

    return value + np.frombuffer(deviations, dtype="<f4").astype(np.float64)


def _filed(found: Spread, shape: Shape | None) -> Statistics:
    made = b"" if found.replicates is None else (found.replicates - found.value).astype("<f4").tobytes()
    return Statistics(interval_of(found), shape, replicates=made)


def interval_of(found: Spread) -> Interval:
    """Return the interval as a score's file has it."""
    df = found.df if math.isfinite(found.df) else None
    return Interval(found.low, found.high, found.se, found.n, found.method, found.weak, df)


def _shape_or_none(metric: str, items: Items) -> Shape | None:
    try:
        return shape_of(metric, items)
    except UNUSABLE:
        return None


def shape_of(metric: str, items: Items) -> Shape:
    """Return the shape of a score's items.

    Raises:
        UserError: nothing is known of that metric.
        LookupError, TypeError, ValueError: a column that it needs is missing, or holds what is no number.
    """
    import numpy as np

    from instructor_eval import metrics
    from instructor_eval.analysis.statistics.contributions import contributions

    with np.errstate(invalid="ignore"):  # what comes of infinity is found below
        ids, values = contributions(metric, items)
    return shape_in(ids, values, is_mean=bool(metrics.get(metric).column))


def shape_in(ids: Sequence[str], values: Numbers, *, is_mean: bool) -> Shape:
    """Return the shape of what units add.

    Raises:
        ValueError: there are none, or one is not finite.
    """
    import numpy as np

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

    def ends(places: list[int]) -> tuple[tuple[str, float], ...]:
        return tuple((str(ids[i]), float(values[i])) for i in places)

    return Shape(
        low=low,
        high=high,
        counts=tuple(int(c) for c in counts),
        median=float(np.median(values)),
        worst=ends(rising.tolist()),
        best=ends(falling.tolist()),
        is_mean=is_mean,
    )
