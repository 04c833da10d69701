"""Means over tasks, p-values of many tests at once, and what can be detected."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_items import make_items
from scipy.stats import ttest_rel

from instructor_eval.analysis.statistics import difference
from instructor_eval.analysis.statistics.difference import mean, paired
from instructor_eval.analysis.statistics.estimates import Difference


def test_the_mean_over_tasks() -> None:
    found = mean([Difference(0.1, 0, 0.2, 0.03, 50, "t"), Difference(-0.3, -0.4, -0.2, 0.04, 80, "bootstrap")])
    assert found.delta == pytest.approx(-0.1)
    assert found.se == pytest.approx(0.025)  # sqrt(.0009 + .0016) / 2
    assert (found.low, found.high) == pytest.approx((-0.1 - 1.959964 * 0.025, -0.1 + 1.959964 * 0.025))
    assert (found.n, found.method, found.weak) == (2, "welch", False)


def test_the_mean_of_one_is_that_one_and_of_none_is_an_error() -> None:
    one = Difference(0.1, 0.05, 0.3, 0.03, 50, "bootstrap")
    assert mean([one]) == dataclasses.replace(one, n=1)
    with pytest.raises(ValueError, match="no differences"):
        mean([])


def test_a_mean_and_its_interval_are_of_the_same_tasks() -> None:
    with_interval = [Difference(d, d - 0.2, d + 0.2, 0.1, 50, "t") for d in (0.1, 0.2)]
    found = mean([*with_interval, Difference(0.9)])
    assert (found.delta, found.n) == (pytest.approx(0.15), 2)
    bare = mean([Difference(0.1), Difference(0.2)])
    assert (bare.delta, bare.n, bare.low, bare.verdict) == (pytest.approx(0.15), 2, None, "unknown")


@pytest.mark.parametrize(("shaky", "firm", "weak"), [(0.1, 0.05, True), (0.05, 0.1, False), (0.0, 0.0, False)])
def test_a_mean_is_weak_where_most_of_its_variance_is(shaky: float, firm: float, weak: bool) -> None:
    given = [Difference(0, -1, 1, shaky, 3, "t", weak=True), Difference(0, -1, 1, firm, 50, "t")]
    assert mean(given).weak is weak
    assert mean(given[:1] * 2).weak


def test_the_interval_of_the_mean_holds_the_truth() -> None:
    """Six tasks of 40 items, whose effects are fixed: 95 of 100."""
    held, effects = 0, np.linspace(-0.1, 0.2, 6)
    for k in range(300):
        rng = np.random.default_rng(k)
        tasks = []
        for effect in effects:
            parent = rng.random(40)
            child = parent + effect + 0.3 * rng.normal(size=40)
            ids = list(range(40))
            tasks.append(paired("v_measure", {"id": ids, "v_measure": child}, {"id": ids, "v_measure": parent},
                                seed_text="x"))  # fmt: skip
        found = mean(tasks)
        held += found.low <= effects.mean() <= found.high
    assert 0.92 <= held / 300 <= 0.98


def test_the_shared_constants_are_what_they_say() -> None:
    from scipy.stats import norm

    assert norm.ppf(0.95) == pytest.approx(difference.Z_95, abs=1e-12)
    assert norm.ppf(0.8) == pytest.approx(difference.Z_80, abs=1e-12)


@pytest.mark.slow
def test_holm_is_that_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests  # a second and a half, which only this test needs

    for n, seed in itertools.product((1, 2, 7, 70), range(5)):  # a call takes a tenth of a second
        p = np.round(np.random.default_rng(seed).random(n) ** 3, 2)  # rounded: there are equal ones
        assert difference.holm(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1].tolist(), abs=1e-12)
    assert difference.holm([]) == []


def closed_bonferroni(p: list[float], weights: list[float]) -> list[float]:
    """Every intersection of hypotheses tested by a weighted Bonferroni test; one is rejected where all of its are."""
    sets = [s for size in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), size)]

    def tested(s: tuple[int, ...]) -> float:
        return min(1.0, min(p[i] * sum(weights[j] for j in s) / weights[i] for i in s))

    return [max(tested(s) for s in sets if i in s) for i in range(len(p))]


@given(
    st.lists(st.tuples(st.integers(0, 40).map(lambda k: k / 40), st.sampled_from([1.0, 1.0, 2.0, 7.0])), min_size=1,
             max_size=7)
)  # fmt: skip
def test_weighted_holm_is_the_closed_test(cells: list[tuple[float, float]]) -> None:
    p, weights = [c[0] for c in cells], [c[1] for c in cells]
    assert difference.holm(p, weights) == pytest.approx(closed_bonferroni(p, weights), abs=1e-12)
    assert difference.holm(p, [1.0] * len(p)) == difference.holm(p)


def test_half_of_alpha_for_the_mean() -> None:
    """Ten tasks and their mean, which weighs as much as all of them: tested at 2.5 % and, alone left, at 5 %."""
    weights = [1.0] * 10 + [10.0]
    assert difference.holm([1.0] * 10 + [0.025], weights)[-1] == pytest.approx(0.05)
    assert difference.holm([0.0025] + [1.0] * 10, weights)[0] == pytest.approx(0.05)
    assert difference.holm([0.001] * 10 + [0.05], weights) == pytest.approx([0.02] * 10 + [0.05])


def test_what_can_be_detected() -> None:
    """The figures of the specification: sd 0.12 of 300 queries, and of 1,406."""
    assert difference.minimum_detectable(0.12 / 300**0.5) == pytest.approx(0.0172, abs=5e-5)
    assert difference.minimum_detectable(0.12 / 1406**0.5) == pytest.approx(0.0080, abs=5e-5)


def test_the_degrees_of_freedom_are_welchs() -> None:
    """Of two tasks with each sign: Welch's test of two samples."""
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(4)
    a, b = rng.normal(0.1, 1, 12), rng.normal(0, 0.3, 40)
    each = [paired("rougeL", *({"id": range(len(x)), "value": v} for v in (x, 0 * x)), seed_text="") for x in (a, -b)]
    found = mean(each)
    expected = ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found.df == pytest.approx(expected.df)
    assert (2 * found.low, 2 * found.high) == pytest.approx((interval.low, interval.high))
    assert difference.chance_of_mean(found).either == pytest.approx(expected.pvalue)


@pytest.mark.parametrize(
    ("delta", "se", "loss", "gain"), [(0.0, 0.0, 1, 1), (-0.1, 0.0, 0, 1), (0.1, 0.0, 1, 0), (0.1, None, 1, 1)]
)
def test_p_without_a_spread(delta: float, se: float | None, loss: float, gain: float) -> None:
    found = difference.chance_of_mean(Difference(delta, se=se))
    assert (found.loss, found.gain) == (loss, gain)


def test_the_paired_t_is_scipys() -> None:
    child, parent = make_items("v_measure", 25, 1), make_items("v_measure", 25, 2)
    expected = ttest_rel(child["v_measure"], parent["v_measure"], alternative="less").pvalue
    assert difference.p_of_t(paired("v_measure", child, parent, seed_text="x")) == pytest.approx(expected)


def test_what_a_drawn_p_is_below_half_of_the_time() -> None:
    from scipy.stats import binom

    for level in (0.05, 0.05 / 20, 0.05 / 112):
        found = difference.drawn_level(level, 9_999)
        most = next(b for b in range(10_000) if (2 + b) / 10_000 >= level)  # (1 + b) / 10,000 is below it
        assert binom.cdf(most, 9_999, found) == pytest.approx(0.5, abs=0.02)
    assert difference.drawn_level(0.05, 0) == 0.05
    assert difference.drawn_level(1e-4, 9_999) == 0
