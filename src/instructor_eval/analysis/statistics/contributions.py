"""Contributions of units to a score: a column whose mean is the score, so that a difference splits item by item.

The metric says what they are (`metrics/`). Of one that does not, a unit adds its jackknife pseudo-value: what the score
owes to it, n s - (n - 1) s without it. But for means a unit's part depends on the others: it says where a difference
shows, not what caused it.
"""

from __future__ import annotations

import numpy as np

from instructor_eval import metrics
from instructor_eval.analysis.statistics import resample
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.metrics.metric import Metric, Numbers

MOST_RECOMPUTED = 2_000
"""Units of a metric that is computed without each of them: the time grows with their square."""


class TooManyUnitsError(UserError):
    """The part of each of so many units would take too long to compute."""


def contributions(metric: str, items: Items) -> tuple[list[str], Numbers]:
    """Return what each unit adds: ids, and float64 [units] whose mean is the score (up to its rounding, if any).

    Raises:
        TooManyUnitsError: the metric does not say it, and there are too many units to compute it without each.
        UserError: there is no such metric.
        KeyError: a column that it needs is missing.
    """
    known = metrics.get(metric)
    found = known.contributions(items)
    return known.units(items), _jackknife(known, items) if found is None else found


def _jackknife(metric: Metric, items: Items) -> Numbers:
    """Pseudo-values (Efron and Tibshirani 1993, 11.5), moved together so that their mean is the score."""
    n = len(metric.units(items))
    if n > MOST_RECOMPUTED:
        raise TooManyUnitsError(
            f"metric '{metric.name}': what each of {n:,} items adds is not shown, of {MOST_RECOMPUTED:,} at most"
        )
    if n < 2:
        return np.full(n, metric.compute(items))
    statistic = resample.statistic(metric, items)
    whole = float(statistic(np.ones((n, 1)))[0])
    without = np.concatenate([statistic((np.arange(n) != i)[:, None].astype(np.float64)) for i in range(n)])
    found = np.nan_to_num(n * whole - (n - 1) * without, nan=whole)
    return np.asarray(found + (whole - float(np.mean(found))))
