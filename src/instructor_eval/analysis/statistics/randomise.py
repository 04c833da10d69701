"""Paired randomisation: p-values from flipping the sign of differences, or swapping two systems' values.

If it does not matter which of two systems a unit's value came from, any assignment of the two values to the two systems
is as likely as the one seen; p is the share of assignments with a difference at least as large (Fisher 1935; Noreen
1989). For a mean over units a swap is a sign flip of its difference. For correlations both systems' values are first
brought to one scale (ranks for Spearman, standard scores for Pearson), as exchanging unlike scales makes no sense
(Deutsch, Dror and Roth 2021, section 4); rows of one segment are swapped together. All assignments are counted where at
most 20 units differ; else 9,999 are drawn, and p = (1 + b) / (9,999 + 1) is never 0. Average precision has to be
computed again for each: of more than 10 pairs they are drawn, and of more than 4,000 pairs only some hundred, whose
normal distribution gives p (not below 1 / 10,000 either). So it is with a metric that says no more than its formula,
of more than 100 units: whole items are swapped.

Sums are of integers (values in steps of 2^-40, standard scores of 2^-16), so that equal differences are equal, and no
figure depends on the order of items, the machine, or the number of threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from instructor_eval import metrics
from instructor_eval.analysis.statistics import resample
from instructor_eval.analysis.statistics.estimates import Chance
from instructor_eval.core.distributions import normal_chance
from instructor_eval.core.values import Items
from instructor_eval.metrics.correlation import standard
from instructor_eval.metrics.metric import Metric, Numbers, Statistic, summed
from instructor_eval.metrics.ranks import ranks

Integers: TypeAlias = npt.NDArray[np.int64]

RESAMPLES = 9_999
EXACT_UP_TO = 20
"""Units that differ: 2^20 assignments are counted in a blink."""
_FIRST = 999
_CLEAR = 0.1
"""Where drawing is slow, 999 are enough if neither p is below this: the rest would decide nothing."""
_MANY, _MANY_RECOMPUTED = 4_000, 100
"""Of more units only some draws are made; the latter of a metric that is computed from the items again."""
_BUDGET, _LEAST = 4_000_000, 199
"""Pairs x draws, half a second, and the fewest draws of more units."""
_SUBSETS = np.arange(256)[:, None] >> np.arange(8)[None, :] & 1
"""The units, of eight, that a byte flips."""
_STEPS = 2.0**40
_STANDARD_STEPS = 2.0**16
_SAME = 1e-12
_BLOCK, _LEAST_WIDTH = 20_000, 10


def chance(metric: str, child: Items, parent: Items, *, seed_text: str, resamples: int = RESAMPLES) -> Chance:
    """One-sided p-values that `child` lost, or gained, nothing; items as `matching.matched` gives them.

    Args:
        metric: The metric of both.
        child: One system's items.
        parent: The other's, the same ones in the same order.
        seed_text: What draws start from: one answer on every machine.
        resamples: So many assignments are drawn where there are too many to count; p is at least 1 / (resamples + 1).
    """
    known = metrics.get(metric)
    mine, theirs = known.unit_values(child), known.unit_values(parent)
    if mine is not None and theirs is not None:
        return _sign_flip(mine - theirs, seed_text, resamples)
    if known.correlates:
        return _swap_correlation(known, child, parent, seed_text, resamples)
    n, joined = len(known.units(child)), _joined(known, child, parent)
    if known.weighted is None or known.is_clustered(child):
        places = known.places(child)
        statistic, many = resample.by_recomputing(known, joined, np.concatenate([places, places + n])), _MANY_RECOMPUTED
    else:
        statistic, many = known.weighted(joined), _MANY
    # A metric with an influence is all but a sum of small parts, and so are its differences; others take the time.
    if n > many and (known.influence or known.weighted is None):
        return _swap_many(statistic, n, seed_text, resamples)
    return _swap(statistic, n, seed_text, resamples)


def _sign_flip(d: Numbers, seed_text: str, resamples: int) -> Chance:
    """Of the mean of `d`."""
    steps = np.rint(d * _STEPS).astype(np.int64)
    steps = steps[steps != 0]
    flipped, exact = _flipped(steps[:, None], seed_text, resamples)
    total = int(steps.sum())
    sums = total - 2 * flipped[:, 0]
    # 0.1 + 0.2 and 0.3 are not equal in whole steps either: each is rounded, by half a step at most.
    sums[np.abs(sums - total) <= len(steps)] = total
    return _chance(sums, total, exact=exact, method="sign-flip")


def _chance(found: npt.NDArray[np.int64 | np.float64], seen: float, *, exact: bool, method: str) -> Chance:
    """P from the statistics of all assignments, or of drawn ones."""
    lower, higher = int((found <= seen).sum()), int((found >= seen).sum())
    if exact:
        return Chance(lower / len(found), higher / len(found), len(found), True, method)
    of = len(found) + 1
    return Chance((1 + lower) / of, (1 + higher) / of, len(found), False, method)


def _flipped(columns: Integers, seed_text: str, resamples: int) -> tuple[Integers, bool]:
    """Sums of each column over the units that are flipped: int64 [assignments, columns], and whether these are all.

    Eight units share a byte of random bits, whose 256 sums are looked up.
    """
    n, width = columns.shape
    if n <= EXACT_UP_TO:
        sums = np.zeros((1, width), dtype=np.int64)
        for row in columns:
            sums = np.concatenate([sums, sums + row])
        return sums, True
    bits = _bits(seed_text)
    sums = np.zeros((resamples, width), dtype=np.int64)
    padded = np.zeros((-(-n // 64), 8, 8, width), dtype=np.int64)  # bits of no unit do nothing
    padded.reshape(-1, width)[:n] = columns
    for word in padded:
        raw = bits.random_raw(resamples).view(np.uint8).reshape(resamples, 8)
        for k, table in enumerate(_SUBSETS @ word):
            sums += table.take(raw[:, k], axis=0)
    return sums, False


def _bits(seed_text: str) -> np.random.PCG64:
    seed = hashlib.sha256(f"randomise {seed_text}".encode("utf-8", "surrogatepass")).digest()[:16]
    return np.random.PCG64(int.from_bytes(seed))


def _swap_correlation(metric: Metric, child: Items, parent: Items, seed_text: str, resamples: int) -> Chance:
    """Of the difference of two correlations with the same gold values."""
    given, own = metric.correlates or ("", "")
    scale = _ranks if metric.ranked else _standard
    a, b, gold = (scale(values) for values in (child[own], parent[own], child[given]))
    rows = np.stack([a, a * a, a * gold, b, b * b, b * gold], axis=1)  # what both correlations are made of
    if metric.is_clustered(child):
        rows = summed(rows, metric.places(child))
    gain = rows[:, 3:] - rows[:, :3]  # what the one system gains by a swap, the other loses
    gain = gain[(gain != 0).any(axis=1)]
    flipped, exact = _flipped(gain, seed_text, resamples)
    mine, theirs = rows[:, :3].sum(axis=0) + flipped, rows[:, 3:].sum(axis=0) - flipped
    n, sum_gold, squares = len(gold), int(gold.sum()), float((gold.astype(np.float64) ** 2).sum())
    spread = squares - sum_gold**2 / n

    def correlation(sums: Integers) -> Numbers:
        s, ss, sg = sums.astype(np.float64).T
        with np.errstate(invalid="ignore", divide="ignore"):
            r = (sg - s * sum_gold / n) / np.sqrt((ss - s * s / n) * spread)
        return np.asarray(np.nan_to_num(r))  # all values equal: no correlation

    found = correlation(mine) - correlation(theirs)
    seen = float(found[0]) if exact else _seen(correlation, rows)
    return _with_ties(found, seen, exact=exact)


def _seen(correlation: Callable[[Integers], Numbers], rows: Integers) -> float:
    ends = rows.sum(axis=0)
    return float(correlation(ends[None, :3])[0] - correlation(ends[None, 3:])[0])


def _with_ties(found: Numbers, seen: float, *, exact: bool) -> Chance:
    """Differences that are equal but for rounding count as equal."""
    settled = np.where(np.abs(found - seen) < _SAME, seen, found)
    return _chance(settled, seen, exact=exact, method="score swap")


def _ranks(values: Sequence[float]) -> Integers:
    """Twice the ranks, of which equal values share the middle."""
    return np.asarray(2 * ranks(values), dtype=np.int64)


def _standard(values: Sequence[float]) -> Integers:
    """Standard scores in steps of 2^-16."""
    return np.asarray(np.rint(standard(values, equal=0.0) * _STANDARD_STEPS), dtype=np.int64)


def _joined(metric: Metric, child: Items, parent: Items) -> Items:
    """The items of both systems, the child's before the parent's; where only order counts, each system's ranks."""

    def scaled(side: Items, name: str) -> list[Any]:
        return ranks(side[name]).tolist() if name in metric.ranked else side[name]

    return {name: [*scaled(child, name), *scaled(parent, name)] for name in child if name in parent}


def _swap(statistic: Statistic, n: int, seed_text: str, resamples: int) -> Chance:
    """Of a metric that is no sum over units: computed again for every assignment."""
    bits = _bits(seed_text)
    if n <= EXACT_UP_TO // 2:
        every = np.arange(2**n)[None, :] >> np.arange(n)[:, None] & 1
        found, exact = _differences(statistic, every.astype(np.float64)), True
        return _with_ties(found, float(found[0]), exact=exact)
    seen = float(_differences(statistic, np.zeros((n, 1)))[0])
    drawn = [_drawn(statistic, n, _FIRST, bits)]
    first = _with_ties(drawn[0], seen, exact=False)
    if min(first.loss, first.gain) > _CLEAR:
        return first
    drawn.append(_drawn(statistic, n, resamples - _FIRST, bits))
    return _with_ties(np.concatenate(drawn), seen, exact=False)


def _swap_many(statistic: Statistic, n: int, seed_text: str, resamples: int) -> Chance:
    """The same of so many units that the difference under swaps, a sum of many small parts, is normal around 0."""
    seen = float(_differences(statistic, np.zeros((n, 1)))[0])
    drawn = _drawn(statistic, n, max(_LEAST, min(_FIRST, _BUDGET // n)), _bits(seed_text))
    spread = float(np.sqrt(np.mean(drawn**2)))
    if spread < _SAME:
        return Chance(1.0, 1.0, len(drawn), False, "score swap")
    least = 1 / (resamples + 1)
    loss, gain = (max(least, normal_chance(sign * seen / spread)) for sign in (1, -1))
    return Chance(loss, gain, len(drawn), False, "score swap, normal")


def _drawn(statistic: Statistic, n: int, wanted: int, bits: np.random.PCG64) -> Numbers:
    """The difference under each of `wanted` assignments, in blocks that stay small."""
    found, step = [], max(_LEAST_WIDTH, _BLOCK // n)
    for width in (min(step, wanted - done) for done in range(0, wanted, step)):
        words = bits.random_raw(width * (n // 64 + 1)).view(np.uint8).reshape(width, -1)
        flips = np.unpackbits(words, axis=1, count=n, bitorder="little").T
        found.append(_differences(statistic, flips.astype(np.float64)))
    return np.concatenate(found)


def _differences(statistic: Statistic, flips: Numbers) -> Numbers:
    """The child's metric less the parent's, where `flips` [n, assignments] is 1 for a unit that is swapped."""
    mine = np.concatenate([1 - flips, flips])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.nan_to_num(statistic(mine) - statistic(1 - mine)))
