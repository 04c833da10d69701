from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_items import BOOTSTRAPPED, T_METRICS, make_items, take
from scipy.stats import permutation_test, rankdata

from instructor_eval import metrics
from instructor_eval.analysis.statistics import randomise, resample
from instructor_eval.analysis.statistics.estimates import Chance
from instructor_eval.analysis.statistics.randomise import chance
from instructor_eval.core.values import Items
from instructor_eval.metrics.pairs import SIMILARITIES, average_precision

CORRELATIONS = ("cosine_spearman", "cosine_pearson", "pearson")
SWAPPED = ("cosine_ap", "max_ap", "rougeL_third_worst_group", *CORRELATIONS)
EVERY = (*T_METRICS, *BOOTSTRAPPED)


def pair(metric: str, n: int, seeds: tuple[int, int] = (1, 2)) -> tuple[Items, Items]:
    child, parent = (make_items(metric, n, seed) for seed in seeds)
    return child, parent


def scipys(statistic: Callable[..., Any], units: int, resamples: float, **options: Any) -> tuple[float, float]:
    """SciPy's p of a loss and of a gain; the data are places, which the statistic looks up on either side."""
    places = np.arange(units)
    loss, gain = (
        permutation_test(
            (places, places + units),
            statistic,
            permutation_type="samples",
            alternative=alternative,
            n_resamples=resamples,
            rng=np.random.default_rng(3),
            **options,
        ).pvalue
        for alternative in ("less", "greater")
    )
    return float(loss), float(gain)


def correlations(metric: str, child: Items, parent: Items) -> Callable[[Any, Any], float]:
    """The difference of two correlations, with values on one scale, of units that may be segments of three rows."""
    scale = rankdata if metric == "cosine_spearman" else lambda v: (np.array(v) - np.mean(v)) / np.std(v)
    column, width = ("value", 3) if metric == "pearson" else ("cosine", 1)
    gold = scale(child["gold"])
    both = np.concatenate([scale(child[column]), scale(parent[column])])

    def rows(units: Any) -> Any:
        return (np.asarray(units)[:, None] * width + np.arange(width)).ravel()

    def difference(mine: Any, theirs: Any) -> float:
        return float(np.corrcoef(gold, both[rows(mine)])[0, 1] - np.corrcoef(gold, both[rows(theirs)])[0, 1])

    return difference


def precisions(metric: str, child: Items, parent: Items) -> Callable[[Any, Any], float]:
    """The difference of two (best) average precisions of ranks."""
    names = ("cosine",) if metric == "cosine_ap" else SIMILARITIES
    columns = []
    for name in names:
        sign = -1 if name in ("manhattan", "euclidean") else 1
        columns.append(np.concatenate([rankdata(sign * np.array(side[name])) for side in (child, parent)]))
    gold = np.array([*child["gold"], *parent["gold"]])

    def best(units: Any) -> float:
        return max(average_precision(gold[units], column[units]) for column in columns)

    return lambda mine, theirs: best(np.asarray(mine)) - best(np.asarray(theirs))


def sums(child: Items, parent: Items, column: str) -> Callable[..., Any]:
    # Whole numbers: SciPy's sums of fractions would tell equal ones apart.
    both = np.rint(1e6 * np.array([*child[column], *parent[column]]))
    return lambda mine, theirs, axis=-1: both[mine].sum(axis=axis) - both[theirs].sum(axis=axis)


# Against scipy: exact ones are equal, drawn ones within what drawing leaves open


@pytest.mark.parametrize("metric", [*T_METRICS, "summeval_v1", "summeval_v2"])
@pytest.mark.parametrize("n", [2, 9, 12])
def test_all_sign_flips_are_scipys(metric: str, n: int) -> None:
    child, parent = pair(metric, n)
    column = T_METRICS.get(metric, "rho")
    if metric == "summeval_v1":
        child, parent = ({**s, "rho": np.mean([s["rho"], s["p"]], axis=0)} for s in (child, parent))
        expected = scipys(sums(child, parent, "rho"), n, np.inf, vectorized=True)
        child, parent = pair(metric, n)
    else:
        expected = scipys(sums(child, parent, column), n, np.inf, vectorized=True)
    found = chance(metric, child, parent, seed_text="x")
    assert (found.loss, found.gain) == pytest.approx(expected, abs=1e-12)
    assert (found.exact, found.method) == (True, "sign-flip")


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_all_swaps_of_correlations_are_scipys(metric: str) -> None:
    units = 8
    child, parent = pair(metric, 3 * units if metric == "pearson" else units)
    found = chance(metric, child, parent, seed_text="x")
    expected = scipys(correlations(metric, child, parent), units, np.inf)
    assert (found.loss, found.gain) == pytest.approx(expected, abs=1e-12)
    assert (found.exact, found.method) == (True, "score swap")


@pytest.mark.parametrize("metric", ["cosine_ap", "max_ap"])
def test_all_swaps_of_average_precision_are_scipys(metric: str) -> None:
    child, parent = pair(metric, 9)
    assert 0 < sum(child["gold"]) < 9
    found = chance(metric, child, parent, seed_text="x")
    # Without a positive there is no value for scipy to count, but both sides always keep theirs: gold is not swapped.
    expected = scipys(precisions(metric, child, parent), 9, np.inf)
    assert (found.loss, found.gain) == pytest.approx(expected, abs=1e-12)
    assert (found.exact, found.resamples) == (True, 2**9)


@pytest.mark.parametrize(
    ("metric", "n", "make"),
    [
        ("accuracy", 80, lambda child, parent: sums(child, parent, "value")),
        ("ndcg_at_10", 200, lambda child, parent: sums(child, parent, "ndcg_at_10")),
        ("cosine_spearman", 60, lambda *sides: correlations("cosine_spearman", *sides)),
        ("pearson", 90, lambda *sides: correlations("pearson", *sides)),
        ("cosine_ap", 60, lambda *sides: precisions("cosine_ap", *sides)),
    ],
)
def test_drawn_p_values_are_scipys(metric: str, n: int, make: Any) -> None:
    child, parent = pair(metric, n, (3, 4))
    found = chance(metric, child, parent, seed_text="x")
    drawn = 2000
    vectorized = {"vectorized": True} if metric in T_METRICS else {}
    expected = scipys(make(child, parent), n // 3 if metric == "pearson" else n, drawn, **vectorized)
    assert not found.exact
    for mine, theirs in zip((found.loss, found.gain), expected, strict=True):
        error = math.sqrt(max(mine * (1 - mine), 0.001) * (1 / drawn + 1 / found.resamples))
        assert abs(mine - theirs) < 4 * error
        assert 0 < mine < 1


@pytest.mark.parametrize("metric", SWAPPED)
def test_the_difference_seen_is_that_of_the_scores(metric: str) -> None:
    """The statistic of no swaps is the difference of the published metrics, but for the rounding of scales."""
    child, parent = pair(metric, 30)
    expected = metrics.compute(metric, child) - metrics.compute(metric, parent)
    if metric in CORRELATIONS:
        units = np.arange(10 if metric == "pearson" else 30)
        seen = correlations(metric, child, parent)(units, units + len(units))
    else:
        known = metrics.get(metric)
        statistic = resample.statistic(known, randomise._joined(known, child, parent))
        seen = float(randomise._differences(statistic, np.zeros((30, 1)))[0])
    assert seen == pytest.approx(expected, abs=1e-9)


# What p-values are


def test_a_p_by_hand() -> None:
    """Differences 1, 1, 1, -1: of 16 assignments 5 have a sum of 2 or more, 15 one of 2 or less."""
    child = {"id": list("abcd"), "value": [1.0, 1.0, 1.0, 0.0]}
    parent = {"id": list("abcd"), "value": [0.0, 0.0, 0.0, 1.0]}
    assert chance("accuracy", child, parent, seed_text="x") == Chance(15 / 16, 5 / 16, 16, True, "sign-flip")


def test_sums_that_are_equal_but_for_rounding_count_as_equal() -> None:
    """0.1 + 0.2 is 0.3: with tenths many assignments are equal, and all count."""
    child = {"value": [0.1, 0.2, 0.0, 0.01, 0.02, 0.0]}
    parent = {"value": [0.0, 0.0, 0.3, 0.0, 0.0, 0.03]}
    found = chance("accuracy", child, parent, seed_text="x")
    # In hundredths: how many of the 64 signed sums of 10, 20, 30, 1, 2, 3 are 0 or more.
    signs = np.array(np.meshgrid(*[[-1, 1]] * 6)).reshape(6, -1).T
    sums = signs @ np.array([10, 20, 30, 1, 2, 3])
    assert (found.loss, found.gain) == (np.mean(sums <= 0), np.mean(sums >= 0))


@pytest.mark.parametrize(("changed", "exact", "resamples"), [(20, True, 2**20), (21, False, 9_999)])
def test_up_to_twenty_units_that_differ_are_counted_out(changed: int, exact: bool, resamples: int) -> None:
    values = np.linspace(0.1, 0.9, 50)
    moved = values + np.where(np.arange(50) < changed, 0.01 * (np.arange(50) % 7 - 2.5), 0)
    found = chance("accuracy", {"value": moved}, {"value": values}, seed_text="x")
    assert (found.exact, found.resamples) == (exact, resamples)


def test_equal_differences_are_equal_whatever_they_are_made_of() -> None:
    """0.3 - 0.2 and 0.1 - 0 differ in the last bits, which must not decide whether one assignment reaches another."""
    child = {"value": [0.3, 0.1, 0.7, 0.4, 0.0]}
    parent = {"value": [0.2, 0.0, 0.6, 0.3, 0.1]}
    assert chance("accuracy", child, parent, seed_text="x").gain == 6 / 32


@pytest.mark.parametrize("metric", EVERY)
def test_identical_systems_have_a_p_of_one(metric: str) -> None:
    items = make_items(metric, 30)
    found = chance(metric, items, items, seed_text="x")
    assert (found.loss, found.gain, found.either) == (1, 1, 1)


@pytest.mark.parametrize("metric", EVERY)
@pytest.mark.parametrize("n", [9, 45])
def test_the_other_way_round_a_loss_is_a_gain(metric: str, n: int) -> None:
    child, parent = pair(metric, n)
    there, back = chance(metric, child, parent, seed_text="x"), chance(metric, parent, child, seed_text="x")
    # Drawn ones are the same assignments, seen from the other side: no difference is left.
    assert (there.loss, there.gain) == (back.gain, back.loss)


@pytest.mark.parametrize("metric", EVERY)
def test_the_drawn_p_is_never_zero(metric: str) -> None:
    child, parent = pair(metric, 60)
    column = next(name for name in ("cosine", "value", "rho", T_METRICS.get(metric)) if name in child)
    as_gold = child["gold"] if column == "cosine" or metric == "pearson" else [1.0] * 60
    found = chance(metric, child | {column: as_gold}, parent, seed_text="x")
    assert 0 < min(found.loss, found.gain) < 0.5
    assert found.loss <= 1
    assert found.gain <= 1


def test_the_seed_text_decides_the_draw() -> None:
    child, parent = pair("ndcg_at_10", 200, (3, 4))
    found = [chance("ndcg_at_10", child, parent, seed_text=text) for text in ("a b STS12", "a b STS12", "other")]
    assert found[0] == found[1] != found[2]
    assert found[0] == PINNED


PINNED = Chance(0.4412, 0.5617, 9_999, False, "sign-flip")


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_values_all_equal_have_no_correlation_and_no_error(metric: str) -> None:
    child, parent = pair(metric, 60)
    column = "value" if metric == "pearson" else "cosine"
    found = chance(metric, child | {column: [0.5] * 60}, parent, seed_text="x")
    assert 0 < found.loss <= 1
    assert 0 < found.gain <= 1


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_correlations_do_not_depend_on_the_scale_of_values(metric: str) -> None:
    child, parent = pair(metric, 60)
    column = "value" if metric == "pearson" else "cosine"
    scaled = child | {column: [8 * v - 3 for v in child[column]]}
    assert chance(metric, scaled, parent, seed_text="x") == chance(metric, child, parent, seed_text="x")


def test_slow_draws_are_fewer_where_p_decides_nothing() -> None:
    child, parent = pair("cosine_ap", 60)
    clear = chance("cosine_ap", child, parent, seed_text="x")
    assert (clear.resamples, min(clear.loss, clear.gain) > 0.1) == (999, True)
    gold = np.array(parent["gold"])
    better = parent | {"cosine": (gold + 0.01 * np.arange(60)).tolist()}
    close = chance("cosine_ap", better, parent, seed_text="x")
    assert (close.resamples, close.gain < 0.1) == (9_999, True)


@pytest.mark.parametrize("seeds", [(1, 2), (3, 4), (5, 6)])
@pytest.mark.parametrize("metric", ["cosine_ap", "max_ap"])
def test_p_of_many_counted_swaps_agrees_with_their_spread(
    metric: str, seeds: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    child, parent = pair(metric, 1000, seeds)
    counted = chance(metric, child, parent, seed_text="x")
    monkeypatch.setattr(randomise, "_MANY", 999)
    found = chance(metric, child, parent, seed_text="x")
    assert (found.method, found.resamples, found.exact) == ("score swap, normal", 999, False)
    assert found.loss + found.gain == pytest.approx(1)
    # Both are drawn: by so much may either be off.
    error = math.sqrt(counted.loss * counted.gain / counted.resamples) + 0.01
    assert abs(found.loss - counted.loss) < 4 * error


def test_of_many_pairs_a_p_is_not_below_that_of_the_most_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(randomise, "_MANY", 99)
    child, parent = pair("cosine_ap", 300)
    best = child | {"cosine": [float(g) for g in child["gold"]]}
    assert chance("cosine_ap", best, parent, seed_text="x").gain == 1e-4
    same = chance("cosine_ap", child, child, seed_text="x")
    assert (same.loss, same.gain) == (1, 1)


@pytest.mark.parametrize("n", [21, 64, 65, 200])
def test_bits_flip_units_one_to_one(n: int) -> None:
    """Each unit's own column shows whether it is flipped, and a sum is that of the flipped units."""
    own, exact = randomise._flipped(np.eye(n, dtype=np.int64), "x", 9_999)
    values = np.random.default_rng(n).integers(-(2**40), 2**40, (n, 3))
    assert np.array_equal(randomise._flipped(values, "x", 9_999)[0], own @ values)
    assert (exact, set(np.unique(own))) == (False, {0, 1})
    assert np.all(np.abs(own.mean(axis=0) - 0.5) < 4 * 0.5 / math.sqrt(len(own)))
    assert np.abs(np.corrcoef(own.T) - np.eye(n)).max() < 5.5 / math.sqrt(len(own))


def test_segments_are_swapped_as_a_whole() -> None:
    """Rows swapped one by one would be taken for more evidence than they are."""
    rng = np.random.default_rng(5)
    segment = np.repeat(np.arange(12), 10)
    gold = rng.normal(size=120)
    noise = rng.normal(size=(2, 12))[:, segment]
    child, parent = (
        {"id": list(range(120)), "segment": segment.tolist(), "gold": gold.tolist(), "value": (gold + k * e).tolist()}
        for k, e in zip((1.6, 1.2), noise, strict=True)
    )
    whole = chance("pearson", child, parent, seed_text="x")
    alone = {"segment": list(range(120))}
    by_row = chance("pearson", child | alone, parent | alone, seed_text="x")
    assert whole.exact
    assert whole.either > 2 * by_row.either


@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=1, max_size=11),
    st.randoms(use_true_random=False),
)
def test_invariants_of_sign_flips(cells: list[tuple[int, int]], order: Any) -> None:
    child, parent = ({"value": [c[k] / 10 for c in cells]} for k in (0, 1))
    found = chance("accuracy", child, parent, seed_text="x")
    assert found.exact
    assert 0 < found.loss <= 1
    assert found.loss + found.gain >= 1  # the assignment seen counts in both
    mirrored = chance("accuracy", parent, child, seed_text="x")
    assert (mirrored.loss, mirrored.gain) == (found.gain, found.loss)
    places = list(range(len(cells)))
    order.shuffle(places)
    assert chance("accuracy", take(child, places), take(parent, places), seed_text="x") == found
    # Units that do not differ change nothing, however many there are.
    padded = [{"value": [*side["value"], *[0.5] * 40]} for side in (child, parent)]
    assert chance("accuracy", *padded, seed_text="x") == found
