"""Ranks, of which equal values share the middle: of all items, and of draws of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from instructor_eval.metrics.metric import Numbers, Places, Statistic


def ranks(values: npt.ArrayLike) -> Numbers:
    """Return the ranks from 1 of values [n]; NaN for all where one is NaN. They are `scipy.stats.rankdata`'s."""
    order, below, up_to = _sorted(values)
    if len(order) and np.isnan(np.asarray(values, dtype=np.float64)[order[-1]]):
        return np.full(len(order), np.nan)
    return (below + up_to + 1) / 2


def weighted_ranks(values: npt.ArrayLike) -> Statistic:
    """Return the ranks of every item in each draw, [items, draws]; of those not drawn, where they would stand."""
    order, first, after = _sorted(values)

    def of_draws(counts: Numbers) -> Numbers:
        below = np.zeros((len(order) + 1, counts.shape[1]))
        np.cumsum(counts.take(order, axis=0), axis=0, out=below[1:])
        return (below.take(first, axis=0) + below.take(after, axis=0) + 1) / 2

    return of_draws


def _sorted(values: npt.ArrayLike) -> tuple[Places, Places, Places]:
    """Return the rising order, and of each value how many are less, and how many are no greater."""
    column = np.asarray(values, dtype=np.float64)
    order = np.argsort(column, kind="stable")
    rising = column[order]
    starts = np.flatnonzero(np.concatenate([[True], rising[1:] != rising[:-1]]))
    sizes = np.diff(starts, append=len(column))
    below, up_to = np.empty_like(order), np.empty_like(order)
    below[order], up_to[order] = np.repeat(starts, sizes), np.repeat(starts + sizes, sizes)
    return order, below, up_to
