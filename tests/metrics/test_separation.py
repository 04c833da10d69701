from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval import metrics
from instructor_eval.analysis.statistics import resample
from instructor_eval.analysis.statistics.spread import spread
from instructor_eval.metrics.separation import FIGURES, NAMES
from instructor_eval.tasks.types import TYPES
from instructor_eval.tasks.types.mteb_type import SEPARATION

SCORES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, -0.0, 1.0]), st.floats(-1, 1))
PAIRS = st.lists(st.tuples(st.integers(0, 1), SCORES), min_size=2, max_size=60).filter(
    lambda p: len({y for y, _ in p}) > 1
)


def pairs(rows: list[tuple[float, float]]) -> dict[str, list]:
    return {"id": [str(i) for i in range(len(rows))], "gold": [y for y, _ in rows], "cosine": [s for _, s in rows]}


def compute(items: dict[str, list]) -> dict[str, float]:
    return {name: metrics.compute(name, items) for name in NAMES}


@given(PAIRS)
def test_the_threshold_and_its_false_positives_are_scikit_learns(rows: list[tuple[int, float]]) -> None:
    from sklearn.metrics import roc_curve

    rate, found, thresholds = roc_curve([y for y, _ in rows], [s for _, s in rows], drop_intermediate=False)
    at = int(np.argmax(found >= 0.95 - 1e-9))
    figures = compute(pairs(rows))
    assert figures["fpr_at_95"] == pytest.approx(float(rate[at]), abs=1e-12)
    assert figures["threshold"] == thresholds[at]


@given(PAIRS)
def test_misses_by_a_plain_loop(rows: list[tuple[int, float]]) -> None:
    yes, no = ([s for y, s in rows if y == label] for label in (1, 0))
    limits = [t for t in sorted({*no}) if sum(s <= t for s in no) >= 0.95 * len(no) - 1e-9]
    assert compute(pairs(rows))["fnr_at_95"] == pytest.approx(sum(s <= limits[0] for s in yes) / len(yes), abs=1e-12)


@given(PAIRS)
def test_separation_by_its_definition(rows: list[tuple[int, float]]) -> None:
    yes, no = (np.array([s for y, s in rows if y == label]) for label in (1, 0))
    common = math.sqrt((yes.var() + no.var()) / 2)
    if common > 1e-6:
        expected = (yes.mean() - no.mean()) / common
        assert compute(pairs(rows))["separation"] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_of_grades_the_middle_half_is_left_out() -> None:
    graded = [(0.0, 0.1), (0.2, 0.3), (0.25, 0.6), (0.3, 0.99), (0.7, -0.99), (0.75, 0.5), (1.0, 0.9)]
    ends = [(float(gold > 0.5), s) for gold, s in graded if gold <= 0.25 or gold >= 0.75]
    assert compute(pairs(graded)) == compute(pairs(ends))
    assert compute(pairs([(g * 4 - 2, s) for g, s in graded])) == compute(pairs(ends))  # any range


def queries(random: np.random.Generator, n: int = 40) -> dict[str, list]:
    sizes = random.integers(1, 11, n)
    scores = [sorted(random.normal(0.5, 0.2, size).tolist(), reverse=True) for size in sizes]
    return {
        "id": [f"q{i}" for i in range(n)],
        "top_scores": scores,
        "top_grades": [(random.random(len(row)) < np.array(row)).astype(int).tolist() for row in scores],
    }


def test_of_queries_it_is_the_pool_of_what_they_found() -> None:
    items = queries(np.random.default_rng(0))
    pool = [
        (float(grade > 0), score)
        for grades, scores in zip(items["top_grades"], items["top_scores"], strict=True)
        for grade, score in zip(grades, scores, strict=True)
    ]
    assert compute(items) == pytest.approx(compute(pairs(pool)), abs=1e-12)


@pytest.mark.parametrize("metric", FIGURES, ids=lambda m: m.name)
def test_draws_are_those_of_repeated_units(metric) -> None:
    random = np.random.default_rng(1)
    for items in (
        queries(random),
        pairs([(float(y), float(s)) for y, s in zip(random.integers(0, 2, 40), random.random(40), strict=True)]),
    ):
        counts = random.integers(0, 3, (40, 25)).astype(float)
        fast = resample.statistic(metric, items)(counts)
        slow = resample.by_recomputing(metric, items, np.arange(40))(counts)
        assert fast == pytest.approx(slow, abs=1e-9, nan_ok=True)


def test_nothing_on_one_side_is_no_number() -> None:
    assert all(math.isnan(value) for value in compute(pairs([(1, 0.5), (1, 0.7)])).values())
    items = {"id": ["a"], "top_scores": [[0.5]], "top_grades": [[0]]}
    assert all(math.isnan(value) for value in compute(items).values())


@pytest.mark.slow
def test_intervals_stay_within_bounds_and_hold_what_others_draw() -> None:
    random = np.random.default_rng(3)

    def drawn(n: int) -> dict[str, list]:
        gold = random.integers(0, 2, n)
        return pairs([(float(g), float(s)) for g, s in zip(gold, random.normal(gold * 1.5, 1.0), strict=True)])

    truth = compute(drawn(400_000))
    for name in NAMES:
        held = 0
        for i in range(60):
            items = drawn(1_000)
            found = spread(name, items, metrics.compute(name, items), seed_text=str(i), keep=False)
            assert found.low is not None and found.high is not None
            assert metrics.get(name).bounds[0] <= found.low <= found.high <= metrics.get(name).bounds[1]
            held += found.low <= truth[name] <= found.high
        assert held >= 52, name  # 95 % of 60 are 57; with 60 pairs a bootstrap holds 9 in 10


def test_types_file_them() -> None:
    assert SEPARATION == NAMES
    assert {name for name, kind in TYPES.items() if getattr(kind, "further", ()) == NAMES} == {
        "Retrieval", "Reranking", "PairClassification", "STS", "ImageTextRetrieval",
    }  # fmt: skip


def test_none_of_a_few_is_not_sure_to_be_none_of_all() -> None:
    items = pairs([(float(i % 2), float(i % 2)) for i in range(40)])
    found = spread("fpr_at_95", items, 0.0, seed_text="x")
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high is not None and 0.05 < found.high < 0.15
