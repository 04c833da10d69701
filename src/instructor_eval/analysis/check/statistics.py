"""Checks of the statistics that are filed with a score: its items, or its parts, give the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from instructor_eval import metrics
from instructor_eval.analysis.statistics.contributions import contributions
from instructor_eval.analysis.statistics.filed import UNUSABLE, measure_again, measure_whole, shape_in, spread_of
from instructor_eval.analysis.statistics.spread import rounds
from instructor_eval.core.values import Items
from instructor_eval.metrics.metric import Numbers
from instructor_eval.results.reading import names_of
from instructor_eval.results.score import Interval, Score, Shape

_LAST_BITS = 1e-9
"""Of a fraction of 1: on other processors, and with other builds of NumPy, the last bits of a sum may differ."""
_ROUNDED = 1e-6
"""Of replicates, which are filed as float32, and of what comes of them."""


def of_items(score: Score, items: Items) -> Iterator[str]:
    """Yield what of a score's filed statistics its items do not give; of the replicates the first are drawn again."""
    filed = score.statistics
    if filed is None or metrics.is_of_parts(score.metric):
        return
    found = measure_again(score, items)
    yield from _of_interval(filed.interval, found.interval)
    mine, theirs = (np.frombuffer(made, dtype="<f4") for made in (filed.replicates, found.replicates))
    wanted = rounds(found.interval.n) if found.interval.n > 1 else 0
    same = np.isclose(mine, theirs, rtol=0, atol=_ROUNDED, equal_nan=True) if len(mine) == wanted else None
    if same is None:
        yield f"{len(mine):,} replicates of the score, of {found.interval.n:,} units there are {wanted:,}"
    elif not same.all():
        n = int(np.argmin(same))
        yield f"replicate {n + 1} of the score: {mine[n]:+.6g} beside it, the items give {theirs[n]:+.6g}"
    yield from _of_shape(score.metric, items, filed.shape)


def of_parts(score: Score, parts: Sequence[Score], items: Items) -> Iterator[str]:
    """Yield what of the statistics of a mean of parts those of its parts do not give."""
    of_each = [part.statistics for part in parts]
    if score.statistics is None or None in of_each:
        return
    spreads = [spread_of(part, known, replicates=True) for part, known in zip(parts, of_each, strict=True) if known]
    found = measure_whole(score, spreads, items)
    if found is None:
        yield "an interval is filed, and one of its parts has none"
        return
    yield from _of_interval(score.statistics.interval, found.interval)
    yield from _of_shape(score.metric, items, score.statistics.shape)


def _of_interval(filed: Interval, found: Interval) -> Iterator[str]:
    within = _ROUNDED if "bootstrap" in found.method else _LAST_BITS
    for name in names_of(Interval):
        mine, theirs = getattr(filed, name), getattr(found, name)
        if not _is_same(mine, theirs, within):
            yield f"interval: {name} is {mine!r}, the items give {theirs!r}"


def _is_same(mine: float | str | None, theirs: float | str | None, within: float) -> bool:
    if isinstance(mine, float) and isinstance(theirs, float):
        return math.isclose(mine, theirs, rel_tol=within, abs_tol=within)
    return mine == theirs


def _of_shape(metric: str, items: Items, filed: Shape | None) -> Iterator[str]:
    """Check a histogram; of a metric that does not say what a unit adds, only that all are counted."""
    known = metrics.get(metric)
    if known.contributions(items) is None:
        counted, n = sum(filed.counts) if filed else 0, len(known.units(items))
        if filed is not None and counted != n:
            yield f"histogram: of {counted:,} units, there are {n:,}"
        return
    try:
        ids, values = contributions(metric, items)
        found = shape_in(ids, values, is_mean=bool(known.column))
    except UNUSABLE:
        found = None
    if filed is None or found is None:
        if filed is not found:
            yield f"histogram: {'one' if filed else 'none'} is filed, the items give {'one' if found else 'none'}"
        return
    yield from _of_bins(filed, found, values)
    of_unit = dict(zip(ids, values.tolist(), strict=True))
    for name in ("worst", "best"):
        mine, theirs = getattr(filed, name), getattr(found, name)
        own = [of_unit.get(unit) for unit, _ in mine]  # of equals another may come first, by its last bits
        sides = [[value for _, value in ends] for ends in (mine, theirs)]
        if not all(len(own) == len(side) and all(map(_is_close, own, side)) for side in sides):
            yield f"histogram: {name} are {mine}, the items give {theirs}"


def _of_bins(filed: Shape, found: Shape, values: Numbers) -> Iterator[str]:
    for name in ("low", "high", "median", "is_mean"):
        if not _is_same(getattr(filed, name), getattr(found, name), _LAST_BITS):
            yield f"histogram: {name} is {getattr(filed, name)!r}, the items give {getattr(found, name)!r}"
    # What is computed may lie on either side of an edge, by its last bits; values of items may not.
    slack, rising = 0.0 if found.is_mean else _LAST_BITS, np.sort(values)
    edges = np.linspace(found.low, found.high, len(found.counts) + 1)[1:-1]
    least, most = (np.searchsorted(rising, edges + move) for move in (-slack, slack))
    below = np.cumsum(filed.counts)
    is_whole = len(below) == len(found.counts) and below[-1] == len(rising)
    if not is_whole or np.any(below[:-1] < least) or np.any(below[:-1] > most):
        yield f"histogram: counts are {filed.counts}, the items give {found.counts}"


def _is_close(mine: float | None, theirs: float | None) -> bool:
    return _is_same(mine, theirs, _LAST_BITS)
