"""Paired resampling: the same items are drawn, with replacement, for two systems, and the metric taken of both.

A resample is a column of counts, how often each item was drawn; a metric is computed from counts without copying or
sorting items again: `Statistic`s take counts [items, resamples] and give one value a resample. With every count 1 they
are the metrics of `scorers`, which a test holds them to. Sums are einsum's: BLAS may add in another order with another
number of threads.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 6: the bootstrap's standard error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from instructor_eval import metrics
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.metrics.classification import PAIR_SIMILARITIES

Numbers: TypeAlias = npt.NDArray[np.float64]
Places: TypeAlias = npt.NDArray[np.int64]
Statistic: TypeAlias = Callable[[Numbers], Numbers]

_MOST, _LEAST = 2000, 250  # the standard error of 250 is right to 4.5 %
_BUDGET = 2_500_000  # counts in all: half a second
_BLOCK = 20_000  # counts at a time: they stay in the processor's cache
_LEAST_WIDTH = 10  # resamples at a time: rows of one or two counts take as long as rows of ten
_DISTANCES = ("manhattan", "euclidean")


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
    # Raw bits of PCG64, turned into places here: numpy keeps those the same for ever, its `integers` it does not.
    bits = np.random.PCG64(int.from_bytes(hashlib.sha256(seed_text.encode("utf-8", "surrogatepass")).digest()[:16]))
    members, start, size = _strata(strata if strata is not None else [""] * n)
    wanted, found = resamples(n), []
    step = max(_LEAST_WIDTH, _BLOCK // n)
    for width in (min(step, wanted - done) for done in range(0, wanted, step)):
        raw = bits.random_raw((width, n)) >> np.uint64(32)  # 32 bits an item: biased by less than n / 2^32
        drawn = members[start + ((raw * size) >> np.uint64(32)).astype(np.int64)]
        cells = drawn * width + np.arange(width)[:, None]
        counts = np.bincount(cells.ravel(), minlength=n * width).reshape(n, width).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):  # a draw of equal values: no correlation, and NaN
            found.append(first(counts) - second(counts))
    return np.concatenate(found)


def draws(n: int, rounds: int, *, seed_text: str, strata: Sequence[str] | None = None) -> Iterator[Places]:
    """Places of `n` items drawn with replacement, `rounds` times: blocks of [rounds in the block, n].

    The same text gives the same draws on every machine, in whatever blocks; `strata` as in `differences`.
    """
    bits = np.random.PCG64(int.from_bytes(hashlib.sha256(seed_text.encode("utf-8", "surrogatepass")).digest()[:16]))
    members, start, size = _strata(strata if strata is not None else [""] * n)
    step = max(1, _BLOCK // n)
    for width in (min(step, rounds - done) for done in range(0, rounds, step)):
        raw = bits.random_raw((width, n)) >> np.uint64(32)
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


def mean(values: npt.ArrayLike) -> Statistic:
    """The mean of the items' values."""
    column = np.asarray(values, dtype=np.float64)
    return lambda counts: np.asarray(np.einsum("i,ir->r", column, counts) / counts.sum(axis=0))


def spearman(gold: Sequence[float], values: Sequence[float]) -> Statistic:
    """Spearman's rho: Pearson's r of the ranks, equal values sharing the middle of theirs."""
    gold_ranks, value_ranks = _ranks(gold), _ranks(values)

    def statistic(counts: Numbers) -> Numbers:
        middle = (counts.sum(axis=0) + 1) / 2  # the mean of all ranks
        a, b = gold_ranks(counts) - middle, value_ranks(counts) - middle
        weighted = counts * a
        across, own = np.einsum("ir,ir->r", weighted, b), np.einsum("ir,ir->r", weighted, a)
        return np.asarray(across / np.sqrt(own * np.einsum("ir,ir,ir->r", counts, b, b)))

    return statistic


def _ranks(values: Sequence[float]) -> Statistic:
    """The rank of every item in a resample; of those not drawn, where they would stand."""
    column = np.asarray(values, dtype=np.float64)
    order = np.argsort(column, kind="stable")
    first, after = (np.searchsorted(column[order], column, side) for side in ("left", "right"))

    def ranks(counts: Numbers) -> Numbers:
        below = np.zeros((len(column) + 1, counts.shape[1]))
        np.cumsum(counts.take(order, axis=0), axis=0, out=below[1:])
        return (below.take(first, axis=0) + below.take(after, axis=0) + 1) / 2

    return ranks


def pearson(x: Sequence[float], y: Sequence[float], cluster: Sequence[str] | None = None) -> Statistic:
    """Pearson's r over all items; with `cluster`, counts are of clusters, numbered by their first item."""
    a, b = (np.asarray(v, dtype=np.float64) - np.mean(v) for v in (x, y))  # centred first: sums of squares stay exact
    sums = np.stack([np.ones_like(a), a, b, a * a, b * b, a * b], axis=1)
    if cluster is not None:
        names = {name: i for i, name in enumerate(dict.fromkeys(cluster))}
        by_item, sums = sums, np.zeros((len(names), sums.shape[1]))
        np.add.at(sums, [names[c] for c in cluster], by_item)

    def statistic(counts: Numbers) -> Numbers:
        n, sa, sb, saa, sbb, sab = np.einsum("is,ir->sr", sums, counts)
        return np.asarray((sab - sa * sb / n) / np.sqrt((saa - sa * sa / n) * (sbb - sb * sb / n)))

    return statistic


def average_precision(labels: Sequence[int], scores: npt.ArrayLike) -> Statistic:
    """Average precision, ties taken together (`scorers.classification.average_precision`)."""
    falling = -np.asarray(scores, dtype=np.float64)
    order = np.argsort(falling, kind="stable")
    positive = np.flatnonzero(np.asarray(labels)[order] == 1)
    # Precision is needed only where a tie with a positive in it ends.
    ends = np.searchsorted(falling[order], falling[order[positive]], "right")
    tie_ends, starts = np.unique(ends, return_index=True)
    segments = np.concatenate([[0], tie_ends[:-1]])
    relevant, chosen = order[: tie_ends[-1]], order[positive]

    def statistic(counts: Numbers) -> Numbers:
        true = np.add.reduceat(counts.take(chosen, axis=0), starts, axis=0)
        found = np.cumsum(np.add.reduceat(counts.take(relevant, axis=0), segments, axis=0), axis=0)
        hits = np.cumsum(true, axis=0)
        precision = hits / np.maximum(found, 1.0)
        return np.asarray((true * precision).sum(axis=0) / hits[-1])

    return statistic


def best(statistics: Sequence[Statistic]) -> Statistic:
    """The largest of several statistics, in each resample."""
    return lambda counts: np.asarray(np.max([statistic(counts) for statistic in statistics], axis=0))


def mean_of_third_worst(values: Sequence[float], correct: Sequence[float], group: Sequence[str]) -> Statistic:
    """The mean value in the group with the third lowest accuracy (`scorers.rouge.third_worst_group`)."""
    names = {name: i for i, name in enumerate(dict.fromkeys(group))}
    member = np.zeros((len(names), len(group)))
    member[[names[g] for g in group], np.arange(len(group))] = 1.0
    right, worth = member * np.asarray(correct, dtype=np.float64), member * np.asarray(values, dtype=np.float64)

    def statistic(counts: Numbers) -> Numbers:
        sizes, correct_ones, sums = (np.einsum("gi,ir->gr", column, counts) for column in (member, right, worth))
        third = np.argsort(correct_ones / sizes, axis=0, kind="stable")[2:3]
        return np.asarray(np.take_along_axis(sums / sizes, third, axis=0)[0])

    return statistic


def is_clustered(metric: str, items: Items) -> bool:
    """Return whether whole segments are drawn: for Billboard's metric, and a package's on items that have segments."""
    return metric == "pearson" or (metrics.is_plugged(metric) and "segment" in items)


def places_of(metric: str, items: Items) -> Places:
    """The unit that each item is of, numbered by their first items: the items themselves, or segments."""
    names = items["segment"] if is_clustered(metric, items) else range(len(items["id"]))
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names], dtype=np.int64)


def by_recomputing(metric: str, items: Items, places: Places) -> Statistic:
    """A metric of which nothing more is known, computed again from the items of every resample; NaN where it fails.

    Args:
        metric: The metric.
        items: Its items.
        places: The unit of each item; counts are of units.
    """

    def value(counts: Numbers) -> float:
        drawn = np.repeat(np.arange(len(places)), counts[places].astype(np.int64)).tolist()
        try:
            return metrics.compute(metric, {name: [column[i] for i in drawn] for name, column in items.items()})
        except UserError:  # of these items there is no value
            return float("nan")

    return lambda counts: np.array([value(counts[:, r]) for r in range(counts.shape[1])])


def statistic(metric: str, items: Items) -> Statistic:
    """A metric of `scorers` that is no mean over its items with a t interval, over these items.

    Counts are of items; for `pearson` (Billboard) of segments, in the order of their first items (`is_clustered`).

    Raises:
        UserError: there is none for that metric.
        KeyError: a column that it needs is missing.
    """
    if metrics.is_plugged(metric):
        return by_recomputing(metric, items, places_of(metric, items))
    if metric not in _STATISTICS:
        raise UserError(f"metric '{metric}': no interval is known for it")
    return _STATISTICS[metric](items)


def _max_ap(items: Items) -> Statistic:
    columns = (np.asarray(items[name]) * (-1 if name in _DISTANCES else 1) for name in PAIR_SIMILARITIES)
    # Of vectors of length 1 most similarities rank alike: each ranking is taken once.
    rankings = {np.unique(column, return_inverse=True)[1].tobytes(): column for column in columns}
    return best([average_precision(items["gold"], column) for column in rankings.values()])


def _third_worst(items: Items) -> Statistic:
    return mean_of_third_worst(items["value"], items["correct"], items["group"])


_STATISTICS: dict[str, Callable[[Items], Statistic]] = {
    "cosine_ap": lambda items: average_precision(items["gold"], items["cosine"]),
    "max_ap": _max_ap,
    "cosine_spearman": lambda items: spearman(items["gold"], items["cosine"]),
    "cosine_pearson": lambda items: pearson(items["gold"], items["cosine"]),
    "pearson": lambda items: pearson(items["gold"], items["value"], items["segment"]),
    # The mean over all rho and p is the mean over articles of their mean.
    "summeval_v1": lambda items: mean(np.mean([items["rho"], items["p"]], axis=0)),
    "summeval_v2": lambda items: mean(items["rho"]),
    "rougeL_third_worst_group": _third_worst,
    "rougeL_third_worst_group_bootstrap": _third_worst,
}
