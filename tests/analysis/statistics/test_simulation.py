"""P-values and the gate against a known truth, thousands of times over.

Most p-values here come from a vectorised twin of the module's function, which a test holds to it. Bands are those of
the binomial distribution at 99.9 %; seeds are fixed.

A p-value from all sign flips is conservative: with k units that differ it is a multiple of 2^-k, and where values are
few (accuracies in tenths) whole groups of assignments are equal and count together. So p <= 5 % happens *at most* 5
times in 100, and with the 2 changed units of 5 % of 30 never, as the smallest p is 1/4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata
from simulated import (
    BLOCK,
    FEW_DRAWS,
    KINDS,
    REPEATS,
    Numbers,
    band,
    losses,
    padded,
    pairs,
    sign_flip,
    t_interval,
    t_p,
)

from instructor_eval.analysis.compare.compare import Comparison, TaskComparison
from instructor_eval.analysis.gate.limits import Margins, Thresholds
from instructor_eval.analysis.gate.quality import REGRESSED, judge
from instructor_eval.analysis.statistics import difference, randomise
from instructor_eval.analysis.statistics.estimates import Chance, Difference

SIZES, SHARES = (30, 300, 1400), (0.05, 0.3, 1.0)


# Sign flips


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [2, 15, 60])
def test_the_twin_of_sign_flips_is_the_modules(kind: str, k: int, fewer_draws: None) -> None:
    d = KINDS[kind](np.random.default_rng(k), (5, k))
    for row in d:
        whole = row[row != 0]
        # The flips of each unit, as the module draws them.
        own, exact = randomise._flipped(np.eye(len(whole), dtype=np.int64), "x", FEW_DRAWS)
        loss, gain = sign_flip(whole[None], own.T.astype(np.float64), exact=exact)
        found = randomise._sign_flip(row, "x", FEW_DRAWS)
        assert (found.loss, found.gain, found.exact) == (loss[0], gain[0], exact)


@pytest.mark.slow
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("kind", KINDS)
def test_false_alarms_of_sign_flips_and_t(kind: str, share: float, n: int) -> None:
    rng = np.random.default_rng(n + round(100 * share))
    k = round(share * n)
    repeats = REPEATS if not 10 < k <= randomise.EXACT_UP_TO else 1000  # all 2^k are slow
    d = KINDS[kind](rng, (repeats, k))
    low, high = band(0.05, repeats)
    rate = np.mean(losses(rng, d) <= 0.05)
    assert rate <= high
    by_t = np.mean(t_p(padded(d, n)) <= 0.05)
    assert by_t <= high
    if k <= 4:
        assert rate == 0  # 2^-k is above 5 %
    else:
        assert by_t >= low
        if kind == "bounded":
            assert rate >= low


@pytest.mark.slow
@pytest.mark.parametrize(("n", "limits"), [(30, (0.02, 0.1)), (300, (0.035, 0.065)), (1400, (0.035, 0.065))])
def test_false_alarms_where_changes_are_lopsided(n: int, limits: tuple[float, float]) -> None:
    """A few large losses, many small gains, nothing lost on average: no p is exact then, but near 5 % with many units.

    The sign flip leans on symmetry, and t on the normal shape of the mean; both get it from many units.
    """
    rng = np.random.default_rng(n)
    d = np.where(rng.random((REPEATS, n)) < 0.2, -0.16, 0.04) + rng.normal(0, 0.02, (REPEATS, n))
    for found in (losses(rng, d), losses(rng, -d), t_p(d), t_p(-d)):
        assert limits[0] <= np.mean(found <= 0.05) <= limits[1]


@pytest.mark.slow
@pytest.mark.parametrize(("n", "share"), [(300, 0.3), (300, 1.0), (1400, 0.05), (1400, 0.3), (1400, 1.0)])
def test_power_is_that_of_the_formula(n: int, share: float) -> None:
    """A true loss of the minimum detectable size is found four times in five, by either p."""
    rng = np.random.default_rng(n)
    # A changed unit loses mu on average, give or take 0.1: the variance is share * 0.01 + share (1 - share) mu^2.
    z = (difference.Z_95 + difference.Z_80) / math.sqrt(n)
    mu = math.sqrt(z**2 * share * 0.01 / (share**2 - z**2 * share * (1 - share)))
    effect, sd = share * mu, math.sqrt(share * 0.01 + share * (1 - share) * mu**2)
    assert effect == pytest.approx(difference.minimum_detectable(sd / math.sqrt(n)))
    changed = rng.random((REPEATS, n)) < share
    d = changed * (rng.normal(0, 0.1, (REPEATS, n)) - mu)
    for p in (losses(rng, d), t_p(d)):
        assert np.mean(p <= 0.05) == pytest.approx(0.8, abs=0.03)


# Score swap


def standard(values: Numbers) -> Numbers:
    return np.rint((values - values.mean()) / values.std() * randomise._STANDARD_STEPS)


def twice_ranks(values: Numbers) -> Numbers:
    return np.asarray(2 * rankdata(values))


def swap(gold: Numbers, child: Numbers, parent: Numbers, flipped: Numbers, width: int) -> tuple[float, float]:
    """`randomise._swap_correlation` of values already on one scale, in segments of `width` rows."""

    def sums(values: Numbers) -> Numbers:
        rows = np.stack([values, values**2, values * gold], axis=1)
        return rows.reshape(-1, width, 3).sum(axis=1)

    def correlation(total: Numbers) -> Numbers:
        n, (s, ss, sg) = len(gold), total
        spread = (gold**2).sum() - gold.sum() ** 2 / n
        return np.asarray((sg - s * gold.sum() / n) / np.sqrt((ss - s * s / n) * spread))

    mine, theirs = sums(child), sums(parent)
    moved = (theirs - mine).T @ flipped
    ends = [side.sum(axis=0)[:, None] for side in (mine, theirs)]
    found = correlation(ends[0] + moved) - correlation(ends[1] - moved)
    seen = (correlation(ends[0]) - correlation(ends[1]))[0]
    found[np.abs(found - seen) < 1e-12] = seen
    of = 1 + len(found)
    return (1 + (found <= seen).sum()) / of, (1 + (found >= seen).sum()) / of


def exchangeable(rng: np.random.Generator, n: int, width: int = 1) -> tuple[Numbers, Numbers, Numbers]:
    """Gold in whole grades, and two systems that are equally good and much alike; rows of a segment share errors."""
    segment = np.repeat(np.arange(n), width)
    quality = rng.normal(size=n * width)
    shared = rng.normal(size=n)[segment]
    gold = np.clip(np.round(2.5 + 1.3 * (quality + 0.3 * rng.normal(size=n)[segment])), 0, 5)
    child, parent = (
        quality + 0.5 * shared + 0.3 * rng.normal(size=n)[segment] + 0.2 * rng.normal(size=n * width) for _ in "ab"
    )
    return gold, child, parent


CORRELATIONS: dict[str, tuple[Callable[[Numbers], Numbers], int]] = {
    "cosine_spearman": (twice_ranks, 1),
    "cosine_pearson": (standard, 1),
    "pearson": (standard, 4),
}


def items_of(metric: str, gold: Numbers, values: Numbers, width: int) -> dict[str, Any]:
    column = "value" if metric == "pearson" else "cosine"
    segment = np.repeat(np.arange(len(gold) // width), width).tolist()
    return {"id": list(range(len(gold))), "gold": gold.tolist(), column: values.tolist(), "segment": segment}


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_the_twin_of_swaps_is_the_modules(metric: str, fewer_draws: None) -> None:
    scale, width = CORRELATIONS[metric]
    for k in range(5):
        gold, child, parent = exchangeable(np.random.default_rng(k), 40, width)
        scaled = [scale(v) for v in (gold, child, parent)]
        differ = (scaled[1] != scaled[2]).reshape(-1, width).any(axis=1)
        flipped = np.zeros((40, FEW_DRAWS))
        flipped[differ] = randomise._flipped(np.eye(int(differ.sum()), dtype=np.int64), "x", FEW_DRAWS)[0].T
        expected = swap(*scaled, flipped, width)
        mine, theirs = (items_of(metric, gold, side, width) for side in (child, parent))
        found = randomise.chance(metric, mine, theirs, seed_text="x", resamples=FEW_DRAWS)
        assert (found.loss, found.gain) == expected


@pytest.mark.slow
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("metric", CORRELATIONS)
def test_false_alarms_of_swaps(metric: str, n: int) -> None:
    scale, width = CORRELATIONS[metric]
    rng, repeats = np.random.default_rng(n), 1000 if n < 1000 else 600
    found = []
    for k in range(repeats):
        if k % BLOCK == 0:
            flipped = rng.integers(0, 2, (n, FEW_DRAWS)).astype(np.float64)
        gold, child, parent = (scale(v) for v in exchangeable(rng, n, width))
        found.append(swap(gold, child, parent, flipped, width))
    low, high = band(0.05, repeats)
    for p in np.transpose(found):
        assert low <= np.mean(p <= 0.05) <= high


@pytest.mark.slow
@pytest.mark.parametrize(("n", "repeats"), [(30, 1000), (300, 500), (1400, 150)])
def test_false_alarms_of_average_precision(n: int, repeats: int, fewer_draws: None) -> None:
    """By the module itself, which stops early where p is clear."""
    rng, found = np.random.default_rng(n), []
    for k in range(repeats):
        gold, child, parent = pairs(rng, n)
        mine, theirs = ({"id": range(n), "gold": gold, "cosine": side} for side in (child, parent))
        drawn = randomise.chance("cosine_ap", mine, theirs, seed_text=str(k), resamples=FEW_DRAWS)
        found.append(drawn)
    low, high = band(0.05, repeats)
    for p in ([c.loss for c in found], [c.gain for c in found]):
        assert low <= np.mean(np.array(p) <= 0.05) <= high


# The gate


TEN = ((30, 1.0), (60, 0.2), (100, 0.3), (150, 1.0), (300, 0.05), (300, 0.3), (500, 0.3), (1000, 0.05), (1400, 0.3),
       (1400, 1.0))  # fmt: skip


def comparisons(repeats: int, effect: float = 0.0) -> Iterator[Comparison]:
    """Ten tasks of other sizes, of which other shares of units changed; a true loss of `effect` in each."""
    rng = np.random.default_rng(10)
    rows = []
    for n, share in TEN:
        kind = list(KINDS.values())[n % 3]
        d = kind(rng, (repeats, round(n * share))) - effect / share
        low, high, lower, se = t_interval(padded(d, n))
        rows.append((n, d.sum(axis=1) / n, se, low, high, lower, losses(rng, d), losses(rng, -d)))
    for i in range(repeats):
        tasks = []
        for k, (n, *columns) in enumerate(rows):
            delta, se, low, high, lower, loss, gain = (float(c[i]) for c in columns)
            found = Difference(delta, low, high, se, n, "t", lower=lower, upper=2 * delta - lower, df=n - 1)
            tasks.append(
                TaskComparison(
                    f"t{k}",
                    "Retrieval",
                    "ndcg_at_10",
                    "query",
                    0.5,
                    0.5 + delta,
                    found,
                    Chance(loss, gain),
                    n=n,
                    wins=n // 2,
                    losses=n // 3,
                )
            )
        yield Comparison(
            "a", "b", tasks, macro=difference.mean([t.difference for t in tasks if t.difference is not None])
        )


@pytest.mark.slow
def test_ten_unchanged_tasks_are_seldom_called_regressed() -> None:
    """With the default margins well below 5 times in 100; by significance alone at most 5."""
    repeats, bare = 2000, Thresholds(Margins(default=1e-7, macro=1e-7))
    fails, alarms = 0, 0
    for comparison in comparisons(repeats):
        fails += judge(comparison, Thresholds()).verdict == REGRESSED
        alarms += judge(comparison, bare).verdict == REGRESSED
    assert fails / repeats < 0.05
    assert fails <= alarms
    assert band(0.05, repeats)[0] / 2 <= alarms / repeats <= band(0.05, repeats)[1]


def test_a_loss_of_two_points_everywhere_is_found() -> None:
    found = [judge(comparison, Thresholds()) for comparison in comparisons(200, effect=0.02)]
    assert np.mean([j.verdict == REGRESSED for j in found]) > 0.95
    assert np.mean([j.macro is not None and j.macro.verdict == REGRESSED for j in found]) > 0.95
