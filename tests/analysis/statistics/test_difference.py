from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from made_items import BOOTSTRAPPED, T_METRICS, make_items, take
from made_scores import edited
from scipy.stats import bootstrap, t, ttest_rel

from instructor_eval import metrics
from instructor_eval.analysis.statistics import difference, resample
from instructor_eval.analysis.statistics.difference import paired, why_not
from instructor_eval.analysis.statistics.estimates import Difference, NotComparableError
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.metrics import separation
from instructor_eval.results.score import Score

MakeScore = Callable[..., Score]

# The metrics on counts


@pytest.mark.parametrize("metric", BOOTSTRAPPED)
def test_a_metric_on_counts_is_the_metric_of_the_drawn_items(metric: str) -> None:
    items = make_items(metric)
    width = 3 if metric == "pearson" else 1
    units = [list(range(first, first + width)) for first in range(0, 60, width)]
    # Within groups for the last one, as an empty group has no accuracy; for the others anything.
    rng = np.random.default_rng(5)
    strata = range(6) if "group" in items else [0]
    size = len(units) // len(strata)
    draws = [[g + len(strata) * k for g in strata for k in rng.integers(0, size, size)] for _ in range(20)]
    draws.append(list(range(len(units))))
    counts = np.stack([np.bincount(d, minlength=len(units)) for d in draws], axis=1).astype(float)
    found = resample.statistic(metrics.get(metric), items)(counts)
    for value, drawn in zip(found, draws, strict=True):
        # Group by group, so that the groups keep their order: it decides between equal ones.
        ordered = sorted(drawn, key=lambda u: (u % len(strata), u))
        expanded = take(items, [i for u in ordered for i in units[u]])
        assert value == pytest.approx(metrics.compute(metric, expanded), abs=1e-12)
    assert len(set(np.round(found, 9))) > 5


def test_every_metric_has_an_interval_or_is_a_mean_of_parts() -> None:
    known = {*T_METRICS, *BOOTSTRAPPED, "rougeL_third_worst_group_bootstrap", "mean_of_parts"} | {*separation.NAMES}
    assert set(metrics.BUILTIN) <= known
    for metric in known - {"mean_of_parts"}:
        found = paired(metric, make_items(metric, seed=1), make_items(metric, seed=2), seed_text="x")
        assert found.low < found.high


def test_draws_are_the_same_everywhere_and_stay_in_groups() -> None:
    seen: list[Any] = []

    def spy(counts: Any) -> Any:
        seen.append(counts.copy())
        return counts[0]

    def zero(counts: Any) -> Any:
        return 0 * counts[0]

    found = resample.differences(spy, zero, 5, seed_text="two identities and a task")
    assert len(found) == 2000
    assert found[:24].astype(int).tolist() == PINNED
    assert np.all(np.concatenate(seen, axis=1).sum(axis=0) == 5)
    assert np.mean(found) == pytest.approx(1, abs=0.1)
    other = resample.differences(spy, zero, 5, seed_text="another")
    assert not np.array_equal(found, other)
    seen.clear()
    resample.differences(spy, zero, 5, seed_text="x", strata=["b", "a", "b", "a", "b"])
    counts = np.concatenate(seen, axis=1)
    assert np.all(counts[[1, 3]].sum(axis=0) == 2)
    assert np.all(counts[[0, 2, 4]].sum(axis=0) == 3)
    assert {0, 1, 2, 3} == set(counts[0].astype(int))


PINNED = [1, 0, 2, 1, 1, 0, 0, 0, 1, 0, 1, 1, 3, 0, 0, 0, 1, 1, 3, 1, 0, 1, 2, 2]


@pytest.mark.parametrize(("n", "expected"), [(1, 2000), (1250, 2000), (2500, 1000), (100_000, 250)])
def test_fewer_resamples_of_many_items(n: int, expected: int) -> None:
    assert resample.resamples(n) == expected


# Against scipy


@pytest.mark.parametrize("metric", T_METRICS)
def test_means_have_the_interval_of_the_paired_t_test(metric: str) -> None:
    child, parent = make_items(metric, seed=1), make_items(metric, seed=2)
    found = paired(metric, child, parent, seed_text="x")
    column = T_METRICS[metric]
    expected = ttest_rel(child[column], parent[column]).confidence_interval(0.95)
    # Around the difference of the published scores, which may be rounded.
    assert found.delta == pytest.approx(metrics.compute(metric, child) - metrics.compute(metric, parent), abs=1e-12)
    shift = found.delta - np.mean(np.subtract(child[column], parent[column]))
    assert abs(shift) < (0.01 if metric == "rougeL_bootstrap" else 1.1e-5)
    assert (found.low, found.high) == pytest.approx((expected.low + shift, expected.high + shift), abs=1e-12)
    assert (found.n, found.method, found.weak) == (60, "t", False)


@pytest.mark.parametrize("metric", [m for m in BOOTSTRAPPED if m != "rougeL_third_worst_group"])
def test_standard_errors_agree_with_scipys_paired_bootstrap(metric: str) -> None:
    child, parent = make_items(metric, seed=1), make_items(metric, seed=2)
    found = paired(metric, child, parent, seed_text="x")
    n = 20 if metric == "pearson" else 60
    width = 3 if metric == "pearson" else 1

    def statistic(units: Any) -> float:
        places = [int(u) * width + k for u in units for k in range(width)]
        return metrics.compute(metric, take(child, places)) - metrics.compute(metric, take(parent, places))

    result = bootstrap((np.arange(n),), statistic, method="percentile", n_resamples=1000, rng=np.random.default_rng(7))
    assert found.se == pytest.approx(result.standard_error, rel=0.2)
    half = float(t.ppf(0.975, n - 1)) * found.se
    assert (found.low, found.high) == pytest.approx((found.delta - half, found.delta + half), abs=1e-12)
    method = "t" if metric.startswith("summeval") else "cluster influence" if metric == "pearson" else "influence"
    assert (found.n, found.method) == (n, method)
    assert found.low < found.delta < found.high


# Against a known truth


def spearman_of_normals(r: float) -> float:
    """Spearman's rho of a bivariate normal with correlation r."""
    return float(6 / np.pi * np.arcsin(r / 2))


def sts(rng: np.random.Generator, n: int) -> tuple[Items, Items]:
    gold = rng.normal(size=n)
    shared = rng.normal(size=n)
    child, parent = (0.8 * gold + 0.6 * s for s in (shared, 0.6 * shared + 0.8 * rng.normal(size=n)))
    child = child + 0.5 * rng.normal(size=n)
    ids = list(range(n))
    return {"id": ids, "gold": gold, "cosine": child}, {"id": ids, "gold": gold, "cosine": parent}


def billboard(rng: np.random.Generator, segments: int) -> tuple[Items, Items]:
    """Systems of a segment share most of its difficulty, so that there are far fewer independent values than rows."""
    segment = np.repeat(np.arange(segments), 5)
    gold = rng.normal(size=segments)[segment] + 0.3 * rng.normal(size=5 * segments)
    systems = [
        gold + k * (rng.normal(size=segments)[segment] + 0.3 * rng.normal(size=5 * segments)) for k in (0.9, 0.6)
    ]
    return tuple(  # type: ignore[return-value]  # a pair
        {"id": list(range(5 * segments)), "segment": segment.tolist(), "gold": gold.tolist(), "value": s.tolist()}
        for s in systems
    )


@pytest.mark.parametrize(
    ("metric", "make", "n", "truth"),
    [
        ("cosine_spearman", sts, 80, spearman_of_normals(0.8 / 1.25**0.5) - spearman_of_normals(0.8)),
        ("pearson", billboard, 50, 1 / 1.81**0.5 - 1 / 1.36**0.5),
    ],
)
def test_intervals_hold_the_truth_about_95_times_in_100(metric: str, make: Any, n: int, truth: float) -> None:
    rounds, held, sizes = 200, 0, []
    for k in range(rounds):
        child, parent = make(np.random.default_rng(1000 + k), n)
        found = paired(metric, {c: list(v) for c, v in child.items()}, {c: list(v) for c, v in parent.items()},
                       seed_text=str(k))  # fmt: skip
        held += found.low <= truth <= found.high
        sizes.append(found.delta)
    assert np.mean(sizes) == pytest.approx(truth, abs=0.02)  # the truth is one
    assert 0.90 <= held / rounds <= 0.985


def test_rows_of_a_segment_are_not_taken_for_independent() -> None:
    child, parent = billboard(np.random.default_rng(3), 50)
    by_segment = paired("pearson", child, parent, seed_text="x")
    one_each = {"segment": [str(k) for k in range(250)]}
    by_row = paired("pearson", child | one_each, parent | one_each, seed_text="x")
    assert by_segment.se > 1.5 * by_row.se
    assert (by_segment.n, by_row.n) == (50, 250)


# Items


@pytest.mark.parametrize("metric", ["ndcg_at_10", "accuracy", "cosine_spearman", "max_ap", "pearson", "summeval_v1"])
def test_the_order_of_items_does_not_matter(metric: str) -> None:
    child, parent = make_items(metric, seed=1), make_items(metric, seed=2)
    shuffled = take(child, np.random.default_rng(0).permutation(60))
    expected, found = (paired(metric, c, parent, seed_text="x") for c in (child, shuffled))
    assert dataclasses.astuple(found)[:4] == pytest.approx(dataclasses.astuple(expected)[:4], abs=1e-12)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": [f"j{k}" for k in range(60)]}, "other items"),
        ({"id": ["i0"] * 60}, "other items"),
        ({"gold": [0.5] * 59 + [0.1]}, "other gold values"),
    ],
)
def test_what_is_not_of_the_same_items_is_not_compared(change: Items, reason: str) -> None:
    items = make_items("cosine_spearman")
    with pytest.raises(NotComparableError, match=reason):
        paired("cosine_spearman", items | change, items, seed_text="x")
    with pytest.raises(NotComparableError, match="other items"):
        paired("cosine_spearman", items, take(items, range(59)), seed_text="x")


@pytest.mark.parametrize(
    ("metric", "change", "message"),
    [
        ("cosine_spearman", {"id": None}, "no column 'id'"),
        ("cosine_spearman", {"cosine": None}, "no column 'cosine'"),
        ("pearson", {"segment": None}, "no column 'segment'"),
        ("accuracy", {"value": None}, "no column 'value'"),
        ("mean_of_parts", {}, "compared part by part"),
        ("unheard_of", {}, "unknown metric 'unheard_of'"),
    ],
)
def test_items_that_are_not_whole(metric: str, change: dict[str, Any], message: str) -> None:
    items = make_items(metric)
    broken = {name: values for name, values in items.items() if name not in change}
    for child, parent in ((broken, items), (items, broken), (broken, broken)):
        with pytest.raises(UserError, match=message):
            paired(metric, child, parent, seed_text="x")


def test_identical_results_do_not_differ() -> None:
    for metric in ("ndcg_at_10", "cosine_spearman", "pearson"):
        items = make_items(metric)
        found = paired(metric, items, items, seed_text="x")
        assert (found.delta, found.low, found.high, found.se, found.verdict) == (0, 0, 0, 0, "same")


def test_few_items_are_said_to_be_weak_and_one_has_no_interval() -> None:
    def splits(n: int) -> Difference:
        values = [0.5, 0.4, 0.7, 0.6, 0.3][:n]
        child = {"id": list(range(n)), "v_measure": [v + 0.1 * (i + 1) for i, v in enumerate(values)]}
        return paired("v_measure", child, {"id": list(range(n)), "v_measure": values}, seed_text="x")

    assert [(splits(n).low is not None, splits(n).weak) for n in (1, 2, 4, 5)] == [
        (False, False), (True, True), (True, True), (True, False),
    ]  # fmt: skip
    assert (splits(1).delta, splits(1).verdict, splits(1).n) == (pytest.approx(0.1), "unknown", 1)
    weak = [
        paired("cosine_spearman", make_items("cosine_spearman", n, 1), make_items("cosine_spearman", n, 2),
               seed_text="x").weak
        for n in (19, 20)
    ]  # fmt: skip
    assert weak == [True, False]


def test_bounds_and_intervals_are_those_of_t() -> None:
    drawn = np.random.default_rng(0).permutation(1001) / 1000
    found = difference._around(0.4, drawn, 50, "bootstrap")
    se = float(np.std(drawn, ddof=1))
    assert (found.delta, found.se, found.weak, found.df) == (0.4, pytest.approx(se), False, 49)
    assert (found.low, found.high) == pytest.approx((0.4 + se * t.ppf(0.025, 49), 0.4 + se * t.ppf(0.975, 49)))
    assert (found.lower, found.upper) == pytest.approx((0.4 + se * t.ppf(0.05, 49), 0.4 + se * t.ppf(0.95, 49)))
    nothing = difference._around(0.4, np.full(9, np.nan), 50, "bootstrap")
    assert (nothing.delta, nothing.low, nothing.verdict) == (0.4, None, "unknown")


def test_one_positive_is_too_few() -> None:
    ids, gold = list(range(30)), [1] + [0] * 29
    child = {"id": ids, "gold": gold, "cosine": np.linspace(1, 0, 30).tolist()}
    parent = {"id": ids, "gold": gold, "cosine": [0.5, *np.linspace(1, 0, 29).tolist()]}
    found = paired("cosine_ap", child, parent, seed_text="x")
    assert found.low < found.delta < found.high
    assert found.weak


# Verdicts


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 0.2, "better"), (-0.2, -0.1, "worse"), (-0.1, 0.1, "same"), (0.0, 0.1, "same"), (-0.1, 0.0, "same"),
        (None, None, "unknown"),
    ],
)  # fmt: skip
def test_verdicts(low: float | None, high: float | None, verdict: str) -> None:
    assert Difference(0.05, low, high).verdict == verdict


# Scores


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"model": "another/model", "variant": "int8", "fingerprint": "0", "created": "2027", "value": 0.1}, None),
        ({"data": {"hash": "a", "key": "elsewhere"}}, None),
        ({"data": {}}, "other data"),  # nothing says that it is the same
        ({"data": {"hash": "b"}}, "other data"),
        ({"task": "STS13"}, "other task"),
        ({"metric": "cosine_pearson"}, "other metric"),
        ({"protocol": {"empty_text": "error"}}, "other protocol"),
        ({"limit": 3}, "other limit"),
        ({"seed": 1}, "other seed"),
        ({"reader": {"name": "nearest", "fingerprint": "z"}}, "other reader"),
    ],
)
def test_which_scores_can_be_compared(change: dict[str, Any], reason: str | None, make_score: MakeScore) -> None:
    given = {"task": "STS12", "data": {"hash": "a"}}
    assert why_not(make_score(**(given | change)), make_score(**given)) == reason


def test_the_literal_instructions_must_be_the_same(make_score: MakeScore) -> None:
    one, other = make_score(), make_score()
    one = edited(one, instructions={"set": "paper", "roles": {"text": {"text": "Represent: ", "rule": "card"}}})
    assert why_not(one, other) == "other instruction texts"
    roles = {"text": {"text": "Represent: ", "rule": "template"}}
    other = edited(other, instructions={"set": "other name", "roles": roles})
    assert why_not(one, other) is None


# What it costs


def test_it_is_light_until_items_are_compared() -> None:
    program = (
        "import sys\nfrom instructor_eval.analysis.statistics import difference as stats\n"
        "stats.mean([stats.Difference(0.1)])\n"
        "print(sorted(m for m in sys.modules if m in ('numpy', 'scipy', 'pyarrow', 'torch', 'mteb')))\n"
        "stats.paired('v_measure', *[{'id': [1, 2], 'v_measure': [0.1, 0.2]}] * 2, seed_text='')\n"
        "print(sorted(m for m in sys.modules if m in ('numpy', 'scipy', 'pyarrow', 'torch', 'mteb')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['numpy']"]
