"""How far one score can be relied on: its interval, and its replicates under other draws of the task's items.

A replicate is the metric of items drawn with replacement. The draws start from the task, its data and its number of
units, not from the model, and go over the items in the order of their ids: so the replicates of two models on one task
are paired, and depend on neither the order in which items are stored nor on threads.

The interval is Student's t for means over items, around the published score, and the middle 95 % of the replicates for
the others (`stats` has the table of metrics and units; Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
"""

from __future__ import annotations

import math

import numpy as np

from instructor_eval.board.spreads import ROUNDS, Spread
from instructor_eval.comparing import resample
from instructor_eval.comparing.contributions import mean_column
from instructor_eval.comparing.resample import Numbers
from instructor_eval.comparing.stats import FEW
from instructor_eval.types import Items

_LEAST = 200
_BUDGET = 20_000_000  # items drawn in all: a second or two
_THIRD_WORST = "rougeL_third_worst_group"


def rounds(n: int) -> int:
    """How many replicates of `n` units: 1,000, and down to 200 where there are very many."""
    return max(_LEAST, min(ROUNDS, _BUDGET // max(1, n)))


def spread(metric: str, items: Items, value: float, *, seed_text: str, keep: bool = True) -> Spread:
    """The interval of a score, and its replicates.

    Args:
        metric: The score's metric; no mean of parts (`of_parts`).
        items: Its items.
        value: The score itself.
        seed_text: What the draws start from, beside the number of units: the task and its data.
        keep: Whether replicates are wanted; where the interval needs none they are not made without it.

    Raises:
        UserError: an unknown metric.
        LookupError, TypeError, ValueError: the items are not whole.
    """
    order = sorted(range(len(items["id"])), key=lambda i: str(items["id"][i]))
    items = {name: [column[i] for i in order] for name, column in items.items()}
    column = mean_column(metric)
    if column is not None:
        return _mean(np.asarray(items[column], dtype=np.float64), value, seed_text, keep)
    clustered = resample.is_clustered(metric, items)
    n = len(set(items["segment"])) if clustered else len(order)
    if n < 2:
        return Spread(value, n=n)
    found = _resampled(metric, items, n, seed_text)
    whole = found[np.isfinite(found)]
    if len(whole) < 2:
        return Spread(value, n=n)
    low, high = (float(q) for q in np.quantile(whole, [0.025, 0.975]))
    method = "cluster bootstrap" if clustered else "bootstrap"
    weak = n < FEW[method] or len(whole) < 0.95 * len(found)
    se = float(np.std(whole, ddof=1))
    return Spread(value, low, high, se, n, method, weak, n - 1, found if keep else None)


def _mean(values: Numbers, value: float, seed_text: str, keep: bool) -> Spread:
    """Student's t around the published score, which may be rounded, or the middle of a bootstrap."""
    from scipy.special import stdtrit

    n = len(values)
    if n < 2:
        return Spread(value, n=n)
    se = float(np.std(values, ddof=1)) / math.sqrt(n)
    half = float(stdtrit(n - 1, 0.975)) * se
    made = None
    if keep:
        # Sums along rows, not products of matrices: their order does not depend on how many threads there are.
        blocks = resample.draws(n, rounds(n), seed_text=f"{seed_text} {n}")
        made = np.concatenate([values[drawn].mean(axis=1) for drawn in blocks]) + (value - float(np.mean(values)))
    return Spread(value, value - half, value + half, se, n, "t", n < FEW["t"], n - 1, made)


def _resampled(metric: str, items: Items, n: int, seed_text: str) -> Numbers:
    if metric.startswith("summeval"):  # a mean over articles
        columns = ("rho", "p") if metric == "summeval_v1" else ("rho",)
        values = np.mean([np.asarray(items[c], dtype=np.float64) for c in columns], axis=0)
        blocks = resample.draws(n, rounds(n), seed_text=f"{seed_text} {n}")
        return np.concatenate([values[drawn].mean(axis=1) for drawn in blocks])
    statistic = resample.statistic(metric, items)
    strata = items["group"] if metric.startswith(_THIRD_WORST) else None
    blocks = resample.draws(n, rounds(n), seed_text=f"{seed_text} {n}", strata=strata)
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw of equal values: no correlation, and NaN
        return np.concatenate([statistic(resample.counts_of(drawn)) for drawn in blocks])
