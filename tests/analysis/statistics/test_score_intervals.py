"""Intervals of scores, against statsmodels, by hand, and against a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, t
from statsmodels.stats.proportion import proportion_confint

from instructor_eval.analysis.statistics import score_intervals
from instructor_eval.metrics import pairs
from instructor_eval.metrics.correlation import pearson_influence, spearman_influence


@pytest.mark.parametrize(("right", "n"), [(15, 30), (29, 30), (30, 30), (0, 30), (980, 1000)])
def test_of_values_0_and_1_it_is_wilsons(right: int, n: int) -> None:
    """With t in place of z: statsmodels' at the level where z is that t; the variance is of n - 1."""
    values = np.array([1.0] * right + [0.0] * (n - right))
    alpha = 2 * (1 - float(0.5 * (1 + math.erf(float(t.ppf(0.975, n - 1)) / math.sqrt(2)))))
    effective = n - 1 if 0 < right < n else n
    low, high = proportion_confint(right / n * effective, effective, alpha=alpha, method="wilson")
    assert score_intervals.of_mean(values) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


def test_far_from_the_ends_it_is_students() -> None:
    values = np.random.default_rng(1).uniform(0.4, 0.6, 400)
    low, high = t.interval(0.95, 399, np.mean(values), np.std(values, ddof=1) / 20)
    assert score_intervals.of_mean(values) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_outside_of_0_and_1_it_is_students() -> None:
    values = np.random.default_rng(1).normal(0, 1, 50)
    expected = t.interval(0.95, 49, np.mean(values), np.std(values, ddof=1) / 50**0.5)
    assert score_intervals.of_mean(values) == pytest.approx(expected)


def test_the_ends_stay_within_bounds() -> None:
    low, high = score_intervals.of_mean(np.array([1.0] * 19 + [0.9]))
    assert 0.9 < low < 0.995 < high <= 1
    units = pairs.influence([1, 1, 1, 0, 1, 0, 0], [7, 6, 5, 4, 3, 2, 1])
    low, high = score_intervals.of_average_precision(units, 4)
    assert 0 < low < 0.95 < high < 1
    low, high = score_intervals.of_correlation(spearman_influence(range(20), [1, 0, *range(2, 20)]), ranks=True)
    assert 0.7 < low < high < 1


def test_fishers_z_by_hand() -> None:
    x, e = np.random.default_rng(3).normal(size=(2, 40))
    units = pearson_influence(x, x + e)
    r, se = float(np.mean(units)), float(np.std(units, ddof=1)) / 40**0.5
    centred = units - r
    df = 2 * 40 / (float(np.mean(centred**4)) / float(np.mean(centred**2)) ** 2 - 1)
    half = float(t.ppf(0.975, min(df, 39))) * se * math.sqrt(40 / 37) / (1 - r * r)
    expected = (math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half))
    assert score_intervals.of_correlation(units, ranks=False) == pytest.approx(expected)


@pytest.mark.parametrize(("p", "n"), [(0.5, 30), (0.9, 100), (0.95, 100), (0.98, 100), (0.98, 300), (0.98, 1000)])
def test_accuracy_holds_the_truth(p: float, n: int) -> None:
    """Exactly, over all counts: t holds 0.98 in 87 of 100 samples of 100 items."""
    held = 0.0
    for right in range(n + 1):
        low, high = score_intervals.of_mean(np.array([1.0] * right + [0.0] * (n - right)))
        held += float(binom.pmf(right, n, p)) * (low <= p <= high)
    assert 0.93 <= held <= 0.97


@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_average_precision_holds_the_truth(gain: float) -> None:
    rng, held, n = np.random.default_rng(7), 0, 100
    many = (rng.random(300_000) < 0.3).astype(int)
    truth = float(np.mean(pairs.influence(many, gain * many + rng.normal(size=300_000))))
    for _ in range(600):
        gold = (rng.random(n) < 0.3).astype(int)
        units = pairs.influence(gold, gain * gold + rng.normal(size=n))
        low, high = score_intervals.of_average_precision(units, int(gold.sum()))
        held += low <= truth <= high
    assert 0.92 <= held / 600 <= 0.985
