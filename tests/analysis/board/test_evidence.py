from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from made_boards import Made
from made_items import BOOTSTRAPPED, T_METRICS, make_items

from instructor_eval.analysis.board.evidence import Evidence, UnreadError
from instructor_eval.analysis.board.statistics_files import StoredStatistics
from instructor_eval.analysis.statistics import filed as module
from instructor_eval.analysis.statistics.filed import BINS, NAMED, shape_of
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.score import Shape

EVERY = (*T_METRICS, *BOOTSTRAPPED, "rougeL_third_worst_group_bootstrap", "mean_of_parts")
Opened = Callable[[], StoredStatistics]


def items_of(metric: str, n: int = 60, seed: int = 0) -> Items:
    return make_items("rougeL" if metric == "mean_of_parts" else metric, n, seed)


def of_values(*values: float, ids: list[str] | None = None) -> Items:
    return {"id": ids or [f"q{i}" for i in range(len(values))], "ndcg_at_10": list(values)}


# The histogram and its ends


def test_a_mean_by_hand() -> None:
    found = shape_of("ndcg_at_10", of_values(0.0, 0.08, 0.09, 0.51, 0.95, 1.0))
    assert (found.low, found.high, found.is_mean) == (0.0, 1.0, True)
    assert found.counts == (2, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2)  # of a width of 0.0833; 1 is in the last
    assert found.median == pytest.approx((0.09 + 0.51) / 2)
    assert found.worst == (("q0", 0.0), ("q1", 0.08), ("q2", 0.09))
    assert found.best == (("q5", 1.0), ("q4", 0.95), ("q3", 0.51))


@pytest.mark.parametrize("metric", T_METRICS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mean_against_numpy(metric: str, seed: int) -> None:
    items = make_items(metric, 101, seed)
    values = items[T_METRICS[metric]]
    found = shape_of(metric, items)
    assert list(found.counts) == np.histogram(values, bins=12, range=(0, 1))[0].tolist()
    assert found.median == statistics.median(values)
    assert (found.worst[0][1], found.best[0][1]) == (min(values), max(values))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=40))
def test_a_value_is_counted_in_the_bin_that_it_lies_in(thousandths: list[int]) -> None:
    counts = [0] * BINS
    for value in thousandths:
        counts[min(value * BINS // 1000, BINS - 1)] += 1
    found = shape_of("ndcg_at_10", of_values(*(v / 1000 for v in thousandths)))
    # A quarter (and a half, ...) lies on an edge, which is exact in both.
    assert list(found.counts) == counts


@pytest.mark.parametrize("metric", EVERY)
@pytest.mark.parametrize("n", [12, 60])
def test_every_unit_is_counted_once(metric: str, n: int) -> None:
    found = shape_of(metric, items_of(metric, n))
    assert len(found.counts) == BINS
    assert sum(found.counts) == (n // 3 if metric == "pearson" else n)  # three systems to a segment
    assert found.low <= found.worst[0][1] <= found.median <= found.best[0][1] <= found.high
    assert len(found.worst) == len(found.best) == NAMED


@pytest.mark.parametrize("metric", [m for m in EVERY if "third_worst" not in m])  # of equal reviewers the first counts
def test_the_order_of_items_moves_nothing(metric: str) -> None:
    items = items_of(metric)
    turned = {name: values[::-1] for name, values in items.items()}
    before, after = shape_of(metric, items), shape_of(metric, turned)
    assert after.median == pytest.approx(before.median)
    assert (after.counts, [i for i, _ in after.best]) == (before.counts, [i for i, _ in before.best])
    assert [i for i, _ in after.worst] == [i for i, _ in before.worst]


@pytest.mark.parametrize("metric", EVERY)
def test_what_stands_for_itself_is_a_mean(metric: str) -> None:
    assert shape_of(metric, items_of(metric)).is_mean == (metric in {*T_METRICS, "mean_of_parts", "summeval_v2"})


@pytest.mark.parametrize(
    ("metric", "correlation"), [("cosine_spearman", scipy.stats.spearmanr), ("cosine_pearson", scipy.stats.pearsonr)]
)
def test_the_parts_of_a_correlation(metric: str, correlation: Callable[..., Any]) -> None:
    few = {"id": ["a", "b", "c"], "gold": [1.0, 2.0, 4.0], "cosine": [0.1, 0.7, 0.6]}
    found = shape_of(metric, few)  # of three all are named
    parts = dict(map(tuple, found.worst))
    assert set(parts) == {"a", "b", "c"}
    assert statistics.mean(parts.values()) == pytest.approx(correlation(few["gold"], few["cosine"]).statistic)
    many = items_of(metric, 80)
    ranked = scipy.stats.rankdata if metric == "cosine_spearman" else np.asarray
    gold, cosine = (scipy.stats.zscore(ranked(many[name])) for name in ("gold", "cosine"))
    product = gold * cosine
    assert product.mean() == pytest.approx(correlation(many["gold"], many["cosine"]).statistic)
    found = shape_of(metric, many)
    assert (found.low, found.high) == pytest.approx((product.min(), product.max()))
    assert found.median == pytest.approx(np.median(product))
    values = {f"i{i}": round(float(value), 9) for i, value in enumerate(product)}
    assert [name for name, _ in found.best] == sorted(values, key=lambda name: (-values[name], name))[:NAMED]
    assert [name for name, _ in found.worst] == sorted(values, key=lambda name: (values[name], name))[:NAMED]
    inner = np.linspace(product.min(), product.max(), BINS + 1)[1:-1]
    assert list(found.counts) == [int(np.sum(np.digitize(product, inner) == k)) for k in range(BINS)]


def test_of_equals_the_first_by_id() -> None:
    ids = ["z", "b", "q10", "a", "q9", "c"]
    found = shape_of("ndcg_at_10", of_values(0.5, 0.5, 0.5, 0.5, 0.5, 0.1, ids=ids))
    assert found.best == (("a", 0.5), ("b", 0.5), ("q10", 0.5))
    assert found.worst == (("c", 0.1), ("a", 0.5), ("b", 0.5))


def test_fewer_units_than_names() -> None:
    found = shape_of("ndcg_at_10", of_values(0.25))
    assert (found.worst, found.best, found.median, sum(found.counts)) == ((("q0", 0.25),), (("q0", 0.25),), 0.25, 1)


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ((0.4, 0.6), (0.0, 1.0)),
        ((0.0, 1.0), (0.0, 1.0)),
        ((0.5, 0.5), (0.0, 1.0)),
        ((-0.1, 0.6), (-0.1, 0.6)),
        ((0.4, 1.5), (0.4, 1.5)),
        ((-2.0, 3.0), (-2.0, 3.0)),
    ],
)
def test_the_axis_is_from_0_to_1_where_all_values_are(values: tuple[float, ...], ends: tuple[float, float]) -> None:
    found = shape_of("ndcg_at_10", of_values(*values))
    assert (found.low, found.high) == ends


@pytest.mark.parametrize("metric", ["cosine_spearman", "cosine_pearson", "pearson"])
def test_a_correlation_of_equal_values_is_all_zero(metric: str) -> None:
    column = "value" if metric == "pearson" else "cosine"
    found = shape_of(metric, items_of(metric, 60) | {column: [0.3] * 60})
    assert (found.low, found.high, found.median) == (0.0, 1.0, 0.0)
    assert found.counts[0] == sum(found.counts)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("metric", T_METRICS)
def test_what_is_not_finite_has_no_shape(metric: str, value: float) -> None:
    items = items_of(metric)
    items[T_METRICS[metric]][7] = value
    with pytest.raises(ValueError, match="not finite"):
        shape_of(metric, items)


def test_a_missing_column_and_an_unknown_metric() -> None:
    with pytest.raises(KeyError, match="ndcg_at_10"):
        shape_of("ndcg_at_10", {"id": ["a"]})
    with pytest.raises(UserError, match="'unheard_of'"):
        shape_of("unheard_of", {"id": ["a"]})


# Stored


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """A new look at the same file."""
    return lambda: StoredStatistics(tmp_path / "statistics" / "board.v2", lambda score: "stamp")


@pytest.fixture
def saved(made: Made, opened: Opened) -> Shape:
    """The shape of the one score there is, stored; its items were read once."""
    score, first = made.add("fp32"), opened()
    found = Evidence(made.items, first).shape(score)
    first.save()
    assert made.asked == [score.identity]
    return found


def test_what_is_stored_is_what_was_computed(made: Made, opened: Opened, saved: Shape) -> None:
    assert saved == shape_of("ndcg_at_10", made.stored[made.scores[0].identity])
    assert Evidence(made.items, opened()).shape(made.scores[0]) == saved
    assert Evidence(None, opened()).shape(made.scores[0]) == saved
    assert len(made.asked) == 1  # not again


@pytest.mark.parametrize("change", ["created", "identity", "stamp"])
def test_what_is_stored_of_another_score_or_file_is_computed_again(
    change: str, made: Made, opened: Opened, saved: Shape
) -> None:
    score, again = made.scores[0], opened()
    if change == "stamp":
        again = StoredStatistics(again.path, lambda score: "another")
    else:
        before = score.identity
        score = dataclasses.replace(score, **{change: "2027"})
        made.stored[score.identity] = made.stored[before]
    assert Evidence(made.items, again).shape(score) == saved
    assert len(made.asked) == 2


@pytest.mark.parametrize("entry", [{}, {"interval": 3}, {"interval": {}, "shape": {"counts": []}}])
def test_an_entry_of_other_fields_is_computed_again(
    entry: dict[str, Any], made: Made, opened: Opened, saved: Shape
) -> None:
    other = opened()
    other.put(other.key("statistics", made.scores[0]), entry)
    assert Evidence(made.items, other).shape(made.scores[0]) == saved
    assert len(made.asked) == 2


@pytest.mark.parametrize("with_file", [True, False])
@pytest.mark.parametrize(
    "items",
    [
        None,
        {},
        {"id": []},
        {"id": [], "ndcg_at_10": []},
        {"id": ["a"], "ndcg_at_10": [float("nan")]},
        {"id": ["a"], "ndcg_at_10": ["many"]},
        {"id": ["a"], "ndcg_at_10": [[]]},
        {"id": ["a", "b"], "ndcg_at_10": [0.5]},
        {"id": None, "ndcg_at_10": [0.5]},
    ],
)
def test_missing_or_damaged_items(items: Items | None, with_file: bool, made: Made, opened: Opened) -> None:
    score, before = made.add("fp32"), opened()
    del made.stored[score.identity]
    if items is not None:
        made.stored[score.identity] = items
    evidence = Evidence(made.items, before if with_file else None)
    with pytest.raises(UnreadError):
        evidence.shape(score)
    assert before.get(before.key("statistics", score)) is None


def test_an_interval_keeps_the_shape_too(made: Made, opened: Opened) -> None:
    score, first = made.add("fp32"), opened()
    Evidence(made.items, first).spread(score, replicates=False)
    first.save()
    assert made.asked == [score.identity]  # once for both
    found = Evidence(None, opened()).shape(score)
    assert found == shape_of("ndcg_at_10", made.stored[score.identity])
    assert made.asked == [score.identity]


def test_a_board_keeps_the_shapes_of_all_its_scores(made: Made, opened: Opened) -> None:
    for variant in ("fp32", "int8"):
        for task in ("SciFact", "ArguAna"):
            made.add(variant, task)
    made.board(stored=opened())
    assert sorted(made.asked) == sorted(made.stored)
    later = Evidence(None, opened())
    for score in made.scores:
        assert later.shape(score) == shape_of("ndcg_at_10", made.stored[score.identity])


def test_what_was_filed_with_a_score_needs_no_items(made: Made, opened: Opened) -> None:
    score = made.add("fp32")
    whole = Evidence(made.items).spread(score, replicates=True)
    filed = dataclasses.replace(score, statistics=module.measure(score, made.stored[score.identity]))
    nothing = Evidence(None, opened())
    assert nothing.spread(filed, replicates=True) == whole
    assert nothing.shape(filed) == shape_of("ndcg_at_10", made.stored[score.identity])


def test_a_score_that_its_items_do_not_give_has_no_statistics(made: Made) -> None:
    score = dataclasses.replace(made.add("fp32"), score=0.25)
    for ask in (Evidence(made.items).shape, lambda s: Evidence(made.items).spread(s, replicates=False)):
        with pytest.raises(UnreadError):
            ask(score)


def test_an_interval_does_not_depend_on_the_shape(made: Made, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    score = made.add("fp32")
    whole = Evidence(made.items).spread(score, replicates=False)

    def fail(*_: object) -> Shape:
        raise ValueError("no shape")

    monkeypatch.setattr(module, "shape_of", fail)
    assert Evidence(made.items, opened()).spread(score, replicates=False) == whole
