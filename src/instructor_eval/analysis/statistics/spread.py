"""Spread of one score: its interval, and its replicates under other draws of the task's items.

A replicate is the metric of items drawn with replacement. The draws start from the task, its data and its number of
units, not from the model, and go over the items in the order of their ids: so the replicates of two models on one task
are paired, and depend on neither the order in which items are stored nor on threads.

The interval does not come from the replicates, whose middle 95 % hold the truth too seldom with few units or near 0
and 1, but from what each unit adds to the score (`score_intervals.py`). Only of metrics of which that is not known do
the replicates give the standard error (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from instructor_eval import metrics
from instructor_eval.analysis.statistics import resample, score_intervals
from instructor_eval.analysis.statistics.estimates import FEW
from instructor_eval.analysis.statistics.spreads import ROUNDS, Spread
from instructor_eval.core.values import Items
from instructor_eval.metrics.metric import Metric, Numbers

_LEAST = 200
_BUDGET = 20_000_000  # items drawn in all: a second or two


def rounds(n: int) -> int:
    """Return how many replicates of `n` units: 1,000, and down to 200 where there are very many."""
    return max(_LEAST, min(ROUNDS, _BUDGET // max(1, n)))


def _first(metric: Metric, items: Items, n: int) -> int:
    """Return how many replicates are drawn to see whether filed ones are of these items: a few milliseconds."""
    is_slow = metric.weighted is None and metric.unit_values(items) is None
    return 2 if is_slow else max(1, min(20, 100_000 // n))


def spread(
    metric: str, items: Items, value: float, *, seed_text: str, keep: bool = True, filed: Numbers | None = None
) -> Spread:
    """The interval of a score, and its replicates.

    Args:
        metric: The score's metric; no mean of parts (`of_parts`).
        items: Its items.
        value: The score itself.
        seed_text: What the draws start from, beside the number of units: the task and its data.
        keep: Whether replicates are wanted; where the interval needs none they are not made without it.
        filed: Replicates that were made before: the first few are made again, the others taken from here.

    Raises:
        UserError: an unknown metric.
        LookupError, TypeError, ValueError: the items are not whole.
    """
    order = sorted(range(len(items["id"])), key=lambda i: str(items["id"][i]))
    items = {name: [column[i] for i in order] for name, column in items.items()}
    known = metrics.get(metric)
    units, n = known.influences(items), len(known.units(items))
    if n < 2:
        return Spread(value, n=n)
    made, wanted = None, rounds(n) if filed is None else _first(known, items, n)
    if keep or units is None:
        made = _replicates(known, items, n, wanted, seed_text)
    if known.column and made is not None and units is not None:
        made = made + (value - float(np.mean(units)))  # the published score may be rounded, or a bootstrap's middle
    if filed is not None and made is not None:
        made = np.concatenate([made, filed[wanted:]])
    found = _by_bootstrap(made, value, n, known, items) if units is None else _by_units(known, items, units, value)
    return dataclasses.replace(found, replicates=made if keep else None)


def _by_units(metric: Metric, items: Items, units: Numbers, value: float) -> Spread:
    """The interval around the published score."""
    n, method = len(units), metric.method(items)
    if not np.all(np.isfinite(units)):
        return Spread(value, n=n)
    low, high = score_intervals.of(metric, items, units)
    shift = value - float(np.mean(units))
    weak = n < FEW[method] or metric.rests_on_few(items)
    return Spread(value, low + shift, high + shift, score_intervals.standard_error(units), n, method, weak, n - 1)


def _by_bootstrap(made: Numbers | None, value: float, n: int, metric: Metric, items: Items) -> Spread:
    """Student's t with the standard error of the replicates, within the metric's bounds."""
    whole = np.zeros(0) if made is None else made[np.isfinite(made)]
    if made is None or len(whole) < 2:
        return Spread(value, n=n)
    se = float(np.std(whole, ddof=1))
    method, ends = metric.method(items), score_intervals.t(value, se, n - 1)
    low, high = (min(max(end, metric.bounds[0]), metric.bounds[1]) for end in ends)
    if not se and metric.bounds == (0.0, 1.0) and value in metric.bounds:  # no draw differs: that proves little
        low, high = score_intervals.wilson(value, n, n - 1)
    return Spread(value, low, high, se, n, method, n < FEW[method] or len(whole) < 0.95 * len(made), n - 1)


def _replicates(metric: Metric, items: Items, n: int, wanted: int, seed_text: str) -> Numbers:
    strata = items[metric.strata] if metric.strata else None
    blocks = resample.draws(n, wanted, seed_text=f"{seed_text} {n}", strata=strata)
    values = metric.unit_values(items)
    if values is not None:
        # Sums along rows, not products of matrices: their order does not depend on how many threads there are.
        return np.concatenate([values[drawn].mean(axis=1) for drawn in blocks])
    statistic = resample.statistic(metric, items)
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw of equal values: no correlation, and NaN
        return np.concatenate([statistic(resample.counts_of(drawn)) for drawn in blocks])
