from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made_items import BOOTSTRAPPED, T_METRICS, make_items, take

from instructor_eval import metrics
from instructor_eval.analysis.statistics import difference as stats
from instructor_eval.analysis.statistics import matching
from instructor_eval.analysis.statistics.estimates import NotComparableError
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score

MakeScore = Callable[..., Score]
EVERY = (*T_METRICS, *BOOTSTRAPPED)


def stored(make_score: MakeScore, metric: str, items: Items) -> Score:
    return make_score(value=metrics.compute(metric, items), metric=metric, n_items=len(items["id"]))


# Items that are those of a score


@pytest.mark.parametrize("metric", EVERY)
def test_stored_items_pass(metric: str, make_score: MakeScore) -> None:
    items = make_items(metric)
    matching.check(stored(make_score, metric, items), items, "candidate")


def test_accuracy_from_what_a_baseline_keeps(make_score: MakeScore) -> None:
    items = make_items("accuracy")
    compact = {name: items[name] for name in ("id", "gold", "value")}
    assert metrics.compute("accuracy", compact) == pytest.approx(metrics.compute("accuracy", items), abs=1e-12)
    matching.check(stored(make_score, "accuracy", items), compact, "baseline")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), None])
@pytest.mark.parametrize(
    ("metric", "column"), [("ndcg_at_10", "ndcg_at_10"), ("cosine_spearman", "cosine"), ("pearson", "gold")]
)
def test_items_without_a_value_are_named(metric: str, column: str, bad: Any, make_score: MakeScore) -> None:
    items = make_items(metric)
    score = stored(make_score, metric, items)
    for place in (0, 7):
        broken = items | {column: [bad if i == place else v for i, v in enumerate(items[column])]}
        with pytest.raises(
            NotComparableError, match=rf"^1 items of the candidate have no value in {column}.*i{place}$"
        ):
            matching.check(score, broken, "candidate")


def test_a_hand_edited_score_is_seen(make_score: MakeScore) -> None:
    items = make_items("accuracy")
    score = stored(make_score, "accuracy", items)
    for value in (0.99, math.nan, None):
        with pytest.raises(NotComparableError, match="the file was changed"):
            matching.check(dataclasses.replace(score, score=value), items, "baseline")


def test_items_cut_short(make_score: MakeScore) -> None:
    items = make_items("accuracy")
    score = stored(make_score, "accuracy", items)
    with pytest.raises(NotComparableError, match="says 60 items and has 59"):
        matching.check(score, take(items, range(59)), "candidate")
    with pytest.raises(UserError, match="not whole: run the task again"):
        matching.check(score, items | {"value": items["value"][:-1]}, "candidate")
    with pytest.raises(UserError, match="not whole: run the task again"):
        matching.check(score, {"value": items["value"]}, "candidate")
    with pytest.raises(UserError, match=r"no column 'value'"):
        matching.check(stored(make_score, "rougeL", items), {"id": items["id"]}, "candidate")


# The same items, in one order


def test_items_are_brought_into_the_order_of_their_ids() -> None:
    child = {"id": ["b", "c", "a"], "value": [2, 3, 1]}
    parent = {"id": ["c", "a", "b"], "value": [30, 10, 20]}
    mine, theirs, notes = matching.matched("accuracy", child, parent)
    assert (mine, theirs) == (
        {"id": ["a", "b", "c"], "value": [1, 2, 3]},
        {"id": ["a", "b", "c"], "value": [10, 20, 30]},
    )
    assert notes == ()


def test_equal_reviewers_keep_the_parents_order() -> None:
    child = {"id": ["a", "b", "c"], "group": ["x", "y", "z"]}
    mine, theirs, _ = matching.matched("rougeL_third_worst_group", child, take(child, [2, 0, 1]))
    assert mine["id"] == theirs["id"] == ["c", "a", "b"]


def test_ids_that_one_side_misses_are_counted_and_named() -> None:
    child = {"id": ["a", "b", "c"], "gold": [1, 2, 3]}
    parent = {"id": ["e", "c", "b", "d", "f", "g"], "gold": [5, 3, 2, 4, 6, 7]}
    with pytest.raises(NotComparableError) as e:
        matching.matched("cosine_spearman", child, parent)
    expected = "1 items only in the candidate: a; 4 items only in the baseline: e, d, f ..."
    assert str(e.value) == f"other items: {expected} (--intersect leaves them out)"
    mine, theirs, notes = matching.matched("cosine_spearman", child, parent, intersect=True)
    assert mine == theirs == {"id": ["b", "c"], "gold": [2, 3]}
    assert notes == (
        "left out: 1 items only in the candidate: a",
        "left out: 4 items only in the baseline: e, d, f ...",
    )


@pytest.mark.parametrize("intersect", [False, True])
def test_no_item_on_both_sides(intersect: bool) -> None:
    with pytest.raises(NotComparableError, match=r"other items|no item is on both sides"):
        matching.matched("accuracy", {"id": ["a"]}, {"id": ["b"]}, intersect=intersect)


@pytest.mark.parametrize("intersect", [False, True])
def test_ids_that_come_twice_are_never_matched(intersect: bool) -> None:
    whole = {"id": ["a", "b", "c"], "value": [1, 2, 3]}
    for child, parent in ((whole, whole | {"id": ["a", "a", "b"]}), (whole | {"id": ["a", "a", "a"]}, whole)):
        with pytest.raises(NotComparableError, match="ids come twice"):
            matching.matched("accuracy", child, parent, intersect=intersect)


@pytest.mark.parametrize("column", ["gold", "relevant"])
def test_other_gold_values_are_counted_and_named(column: str) -> None:
    child = {"id": ["a", "b", "c"], column: [1, 2, 3]}
    with pytest.raises(NotComparableError, match=r"^other gold values: 2 items differ: a, c$"):
        matching.matched("accuracy", child, child | {column: [0, 2, 4]})


def test_ids_are_compared_as_text() -> None:
    mine, _, _ = matching.matched("accuracy", {"id": [2, 10], "value": [1, 2]}, {"id": ["10", "2"], "value": [3, 4]})
    assert mine["value"] == [2, 1]


# What moved


def test_what_moved_by_hand() -> None:
    ids = list("abcdef")
    parent = {"id": ids, "value": [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]}
    child = {"id": ids, "value": [0.4, 0.5, 0.9, 0.1, 0.5 + 1e-12, 0.6]}
    moved = matching.moved("accuracy", child, parent, most=20)
    assert (moved.n, moved.wins, moved.losses) == (6, 2, 2)
    assert [(m.id, round(m.delta, 9)) for m in moved.lost] == [("d", -0.4), ("a", -0.1)]
    assert [(m.id, m.baseline, m.candidate, round(m.delta, 9)) for m in moved.gained] == [
        ("c", 0.5, 0.9, 0.4), ("f", 0.5, 0.6, 0.1),
    ]  # fmt: skip
    moved = matching.moved("accuracy", child, parent, most=1)
    assert ([m.id for m in moved.lost], [m.id for m in moved.gained], moved.wins) == (["d"], ["c"], 2)


@pytest.mark.parametrize("metric", EVERY)
def test_wins_and_losses_change_places_with_the_sides(metric: str) -> None:
    child, parent, _ = matching.matched(metric, make_items(metric, seed=1), make_items(metric, seed=2))
    there, back = matching.moved(metric, child, parent, most=60), matching.moved(metric, parent, child, most=60)
    assert (there.wins, there.losses) == (back.losses, back.wins)
    assert there.wins + there.losses > 0
    assert {(m.id, m.delta) for m in there.lost} == {(m.id, -m.delta) for m in back.gained}
    forth, again = (stats.paired(metric, a, b, seed_text="x") for a, b in ((child, parent), (parent, child)))
    assert forth.delta == -again.delta
    assert forth.se == pytest.approx(again.se, rel=1e-9)
    assert (forth.lower_by_t, forth.low) == pytest.approx((-again.upper, -again.high), abs=1e-9)
    assert forth.lower <= forth.lower_by_t


@pytest.mark.parametrize("metric", EVERY)
def test_identical_items_have_not_moved(metric: str) -> None:
    items = make_items(metric)
    moved = matching.moved(metric, items, items, most=20)
    assert (moved.wins, moved.losses, moved.lost, moved.gained) == (0, 0, (), ())


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30), st.integers(0, 2**16))
@example(cells=[(0, 0)] * 4 + [(0, 3), (0, 2), (0, 4), (5, 3), (5, 0), (4, 1), (3, 4)], seed=0)  # a difference of -0.0
def test_the_order_of_either_side_changes_nothing(cells: list[tuple[int, int]], seed: int) -> None:
    n = len(cells)
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 6, n).tolist()
    for metric, column in (("accuracy", "value"), ("cosine_spearman", "cosine")):
        child, parent = (
            {"id": [f"q{i}" for i in range(n)], "gold": gold, column: [c[k] / 5 for c in cells]} for k in (0, 1)
        )
        if metric == "cosine_spearman" and min(len(set(x)) for x in (gold, child[column], parent[column])) < 2:
            continue  # no correlation
        found = []
        for mine, theirs in ((child, parent), (take(child, rng.permutation(n)), take(parent, rng.permutation(n)))):
            difference = stats.paired(metric, mine, theirs, seed_text="x")
            a, b, _ = matching.matched(metric, mine, theirs)
            found.append(
                (difference, matching.chance(metric, a, b, seed_text="x"), matching.moved(metric, a, b, most=9))
            )
        assert repr(found[0]) == repr(found[1])
        difference, chance, moved = found[0]
        if not moved.wins and not moved.losses:
            assert (difference.delta, chance.loss, chance.gain) == (0, 1, 1)
