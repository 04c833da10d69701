"""Intervals against a known truth, thousands of times over; bands are those of the binomial distribution at 99.9 %."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from simulated import REPEATS, Numbers, band, bounded, pairs, t_interval, t_p

from instructor_eval.analysis.statistics import difference, resample
from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.metrics.correlation import weighted_pearson, weighted_spearman
from instructor_eval.metrics.metric import Statistic
from instructor_eval.metrics.pairs import weighted as precision_of


def test_the_twin_of_t_intervals_is_the_modules() -> None:
    d = bounded(np.random.default_rng(0), (5, 40))
    low, high, lower, se = t_interval(d)
    for i, row in enumerate(d):
        sides = ({"id": range(40), "value": values} for values in (row.tolist(), [0.0] * 40))
        found = difference.paired("rougeL", *sides, seed_text="")
        assert (found.low, found.high, found.lower_by_t, found.se) == pytest.approx((low[i], high[i], lower[i], se[i]))
        assert difference.p_of_t(found) == pytest.approx(t_p(d)[i])


@pytest.mark.parametrize(
    ("n", "share", "short"),
    [
        (30, 1.0, 0.0), (300, 0.3, 0.0), (300, 1.0, 0.0), (1400, 0.05, 0.0), (1400, 0.3, 0.0), (1400, 1.0, 0.0),
        # Nine changed units of 30, or 15 of 300, say little of how large a change can be: short by so much.
        (30, 0.3, 0.03), (300, 0.05, 0.03),
    ],
)  # fmt: skip
def test_t_intervals_hold_the_truth(n: int, share: float, short: float) -> None:
    """Of lopsided changes: most lose a little, some much; the unchanged ones are part of the truth."""
    rng = np.random.default_rng(n + round(100 * share))
    changed = rng.random((REPEATS, n)) < share
    d = changed * (bounded(rng, (REPEATS, n)) - 0.05)
    low, high, lower, _ = t_interval(d)
    truth = -0.05 * share
    below, above = band(0.95, REPEATS)
    assert below - short <= np.mean((low <= truth) & (truth <= high)) <= above
    assert below - max(short, 0.01) <= np.mean(lower <= truth)  # one-sided, the lopsidedness shows


Sides: TypeAlias = Callable[[np.random.Generator, int], tuple[Statistic, Statistic]]


def spearman(rng: np.random.Generator, n: int) -> tuple[Statistic, Statistic]:
    gold, child, parent = normals(rng, n)
    return weighted_spearman(gold, child), weighted_spearman(gold, parent)


def pearson(rng: np.random.Generator, n: int) -> tuple[Statistic, Statistic]:
    gold, child, parent = normals(rng, n)
    return weighted_pearson(gold, child), weighted_pearson(gold, parent)


def normals(rng: np.random.Generator, n: int) -> Any:
    """Correlations of 0.8 / sqrt(1.25) and 0.8 with gold; the systems share half of their errors."""
    gold, shared = rng.normal(size=(2, n))
    parent = 0.8 * gold + 0.6 * (0.6 * shared + 0.8 * rng.normal(size=n))
    return gold, 0.8 * gold + 0.6 * shared + 0.5 * rng.normal(size=n), parent


def clusters(rng: np.random.Generator, n: int) -> tuple[Statistic, Statistic]:
    """Five rows a segment, which share most of their errors; correlations of 1 / sqrt(1.81) and 1 / sqrt(1.36)."""
    segment = np.repeat(np.arange(n), 5)

    def column() -> Numbers:
        return np.asarray(rng.normal(size=n)[segment] + 0.3 * rng.normal(size=5 * n))

    gold = column()
    child, parent = gold + 0.9 * column(), gold + 0.6 * column()
    return weighted_pearson(gold, child, segment), weighted_pearson(gold, parent, segment)


def precision(rng: np.random.Generator, n: int) -> tuple[Statistic, Statistic]:
    gold, child, parent = pairs(rng, n)
    return precision_of(gold, child), precision_of(gold, parent)


def rho(r: float) -> float:
    """Spearman's of two normal variables with Pearson's r."""
    return 6 / math.pi * math.asin(r / 2)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "repeats"), [(30, 1000), (300, 300), (1400, 120)])
@pytest.mark.parametrize(
    ("make", "truth"),
    [
        (spearman, rho(0.8 / 1.25**0.5) - rho(0.8)),
        (pearson, 0.8 / 1.25**0.5 - 0.8),
        (clusters, 1 / 1.81**0.5 - 1 / 1.36**0.5),
        (precision, 0.0),
    ],
)
def test_bootstrap_intervals_hold_the_truth(make: Sides, truth: float, n: int, repeats: int, fewer_draws: None) -> None:
    """With 30 units they may hold it too often (ranks and precisions are coarse), but never too rarely."""
    rng, held, bounded_below = np.random.default_rng(n), 0, 0
    for k in range(repeats):
        first, second = make(rng, n)
        ones = np.ones((n, 1))
        delta = float((first(ones) - second(ones))[0])
        drawn = resample.differences(first, second, n, seed_text=str(k))
        found = difference._around(delta, drawn, n, "bootstrap")  # as of metrics of which nothing is known
        held += found.low <= truth <= found.high
        bounded_below += found.lower <= truth
    low, high = band(0.95, repeats)
    assert low <= held / repeats
    assert held / repeats <= high or n == 30
    # One-sided the skewness of a correlation shows: three in 100 short with 30 units.
    assert bounded_below / repeats >= (low if n > 30 else low - 0.02)


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param((30,) * 3, marks=pytest.mark.slow),
        (5, 10, 10),
        pytest.param((30, 60, 100, 300, 300, 1400), marks=pytest.mark.slow),
    ],
)
def test_intervals_and_p_of_a_mean_of_tasks(sizes: tuple[int, ...]) -> None:
    """Tasks of other sizes and spreads (Welch): by the module, from standard errors that are computed at once."""
    rng = np.random.default_rng(sum(sizes))
    spreads = [0.3 / (1 + i) for i in range(len(sizes))]
    effects = np.linspace(-0.02, 0.01, len(sizes))
    tasks = [
        effect + spread * rng.normal(size=(REPEATS, n))
        for n, spread, effect in zip(sizes, spreads, effects, strict=True)
    ]
    means, errors = [d.mean(axis=1) for d in tasks], [t_interval(d)[3] for d in tasks]
    held, alarms, truth = 0, 0, float(effects.mean())
    for i in range(REPEATS):
        found = difference.mean(
            [
                Difference(float(m[i]), se=float(e[i]), n=n, df=n - 1)
                for m, e, n in zip(means, errors, sizes, strict=True)
            ]
        )
        held += found.low <= truth <= found.high
        centred = Difference(found.delta - truth, se=found.se, df=found.df)
        alarms += difference.chance_of_mean(centred).loss <= 0.05
    below, above = band(0.95, REPEATS)
    assert below <= held / REPEATS <= above
    assert band(0.05, REPEATS)[0] <= alarms / REPEATS <= band(0.05, REPEATS)[1]
