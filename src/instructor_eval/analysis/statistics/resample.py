"""Paired resampling: the same items are drawn, with replacement, for two systems, and the metric taken of both.

A resample is a column of counts, how often each unit was drawn; metrics are computed from counts [units, resamples]
without copying or sorting items again (`Metric.weighted`). With every count 1 they are the scores, which a test holds
them to. Sums are einsum's: BLAS may add in another order with another number of threads.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 6: the bootstrap's standard error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.metrics.metric import Metric, Numbers, Places, Statistic

_MOST, _LEAST = 2000, 250  # the standard error of 250 is right to 4.5 %
_BUDGET = 2_500_000  # counts in all: half a second
_BLOCK = 20_000  # counts at a time: they stay in the processor's cache
_LEAST_WIDTH = 10  # resamples at a time: rows of one or two counts take as long as rows of ten


def resamples(n: int) -> int:
    """Return how many resamples `n` items get: 2,000, and down to 250 where the interval is narrow anyway."""
    return max(_LEAST, min(_MOST, _BUDGET // n))


def differences(
    first: Statistic, second: Statistic, n: int, *, seed_text: str, strata: Sequence[str] | None = None
) -> Numbers:
    """`first - second` for each of `resamples(n)` draws of n items, the same draws for both.

    Args:
        first: The metric of the one system.
        second: The metric of the other.
        n: How many items there are.
        seed_text: What the draws start from: the same text, the same draws, on every machine.
        strata: The group of each item, where items are to be drawn within their groups.
    """
    blocks = draws(n, resamples(n), seed_text=seed_text, strata=strata, least=_LEAST_WIDTH)
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw of equal values: no correlation, and NaN
        return np.concatenate([first(counts) - second(counts) for counts in map(counts_of, blocks)])


def draws(
    n: int, rounds: int, *, seed_text: str, strata: Sequence[str] | None = None, least: int = 1
) -> Iterator[Places]:
    """Places of `n` items drawn with replacement, `rounds` times: blocks of [rounds in the block, n].

    The same text gives the same draws on every machine, in whatever blocks, of `least` rounds at least; `strata` as in
    `differences`.
    """
    # Raw bits of PCG64, turned into places here: numpy keeps those the same for ever, its `integers` it does not.
    bits = np.random.PCG64(int.from_bytes(hashlib.sha256(seed_text.encode("utf-8", "surrogatepass")).digest()[:16]))
    members, start, size = _strata(strata if strata is not None else [""] * n)
    step = max(least, _BLOCK // n)
    for width in (min(step, rounds - done) for done in range(0, rounds, step)):
        raw = bits.random_raw((width, n)) >> np.uint64(32)  # 32 bits an item: biased by less than n / 2^32
        yield members[start + ((raw * size) >> np.uint64(32)).astype(np.int64)]


def counts_of(drawn: Places) -> Numbers:
    """Return how often each item was drawn: [items, rounds], from one block of `draws`."""
    rounds, n = drawn.shape
    cells = drawn * rounds + np.arange(rounds)[:, None]
    return np.bincount(cells.ravel(), minlength=n * rounds).reshape(n, rounds).astype(np.float64)


def _strata(labels: Sequence[str]) -> tuple[Places, Places, npt.NDArray[np.uint64]]:
    """Items in the order of their groups, and for each place of that order where its group starts and how big it is."""
    _, group, sizes = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    members = np.argsort(group, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    in_order = group[members]
    return members, starts[in_order], sizes[in_order].astype(np.uint64)


def by_recomputing(metric: Metric, items: Items, places: Places) -> Statistic:
    """Return a metric that does not say more, computed again from the items of every draw; NaN where it fails.

    Args:
        metric: The metric.
        items: Its items.
        places: The unit of each item; counts are of units.
    """

    def value(counts: Numbers) -> float:
        drawn = np.repeat(np.arange(len(places)), counts[places].astype(np.int64)).tolist()
        try:
            return metric.compute({name: [column[i] for i in drawn] for name, column in items.items()})
        except UserError:  # of these items there is no value
            return float("nan")

    return lambda counts: np.array([value(counts[:, r]) for r in range(counts.shape[1])])


def statistic(metric: Metric, items: Items) -> Statistic:
    """Return the metric of draws of these items; counts are of its units, in their order.

    Raises:
        KeyError: a column that it needs is missing.
    """
    if metric.weighted is not None:
        return metric.weighted(items)
    values = metric.unit_values(items)
    if values is None:
        return by_recomputing(metric, items, metric.places(items))
    return lambda counts: np.asarray(np.einsum("i,ir->r", values, counts) / counts.sum(axis=0))


def replicates(metric: Metric, child: Items, parent: Items | None = None, *, seed_text: str) -> Numbers:
    """Return the metric of draws of a system's items, [`resamples(n)`]; with `parent` less that one's, drawn the same.

    Args:
        metric: The metric.
        child: One system's items.
        parent: Another's, the same ones in the same order.
        seed_text: What the draws start from.
    """
    first = statistic(metric, child)
    second = (lambda counts: np.zeros(counts.shape[1])) if parent is None else statistic(metric, parent)
    drawn = child if parent is None else parent
    strata = drawn[metric.strata] if metric.strata else None
    return differences(first, second, len(metric.units(drawn)), seed_text=seed_text, strata=strata)
