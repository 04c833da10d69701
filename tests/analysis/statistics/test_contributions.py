from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_items import BOOTSTRAPPED, T_METRICS, make_items, take

from instructor_eval import metrics
from instructor_eval.analysis.statistics.contributions import contributions
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.metrics import separation

EVERY = (*T_METRICS, *BOOTSTRAPPED, "rougeL_third_worst_group_bootstrap", "mean_of_parts")
ROUNDED = {"ndcg_at_10": 1e-5, "max_over_subqueries_map_at_1000": 1e-5, "rougeL_bootstrap": 0.01,
           "rougeL_third_worst_group_bootstrap": 0.05}  # fmt: skip
"""Scores that are not quite the mean: rounded to five places, or the median of bootstrap means."""
NEEDED = {"accuracy": ("id", "value"), "pearson": ("id", "segment", "gold", "value"),
          "rougeL_third_worst_group": ("id", "group", "correct", "value"), "summeval_v2": ("id", "rho"),
          "max_ap": ("id", "gold", "similarity", "cosine", "dot", "manhattan", "euclidean")}  # fmt: skip


def items_of(metric: str, n: int = 60, seed: int = 0) -> Items:
    return make_items("rougeL" if metric == "mean_of_parts" else metric, n, seed)


@pytest.mark.parametrize("metric", EVERY)
@pytest.mark.parametrize("n", [12, 60, 301])
def test_the_mean_of_what_units_add_is_the_score(metric: str, n: int) -> None:
    for seed in range(3):
        items = items_of(metric, n, seed)
        ids, values = contributions(metric, items)
        assert len(ids) == len(values) == len(set(ids))
        assert np.mean(values) == pytest.approx(metrics.compute(metric, items), abs=ROUNDED.get(metric, 1e-9))


def test_every_metric_is_known() -> None:
    """Those of separation have units that are no item alone: tests/metrics/test_separation.py."""
    assert set(metrics.BUILTIN) <= {*EVERY, *separation.NAMES}


@pytest.mark.parametrize("metric", NEEDED)
def test_the_columns_that_a_baseline_file_keeps_are_enough(metric: str) -> None:
    items = items_of(metric)
    compact = {name: items[name] for name in NEEDED[metric]}
    assert np.array_equal(contributions(metric, compact)[1], contributions(metric, items)[1])


def test_segments_are_the_units_of_billboard() -> None:
    items = make_items("pearson", 60)
    ids, values = contributions("pearson", items)
    assert ids == [f"s{k}" for k in range(20)]
    uneven = take(items, range(58))  # the last segment has one row of three
    ids, values = contributions("pearson", uneven)
    assert len(ids) == 20
    assert np.mean(values) == pytest.approx(metrics.compute("pearson", uneven), abs=1e-9)


def test_average_precision_by_hand() -> None:
    """Positives found at places 1 and 3 of four, where precision is 1 and 2/3: times 4 items / 2 positives."""
    items = {"id": list("abcd"), "gold": [1, 0, 1, 0], "cosine": [0.9, 0.8, 0.7, 0.1]}
    ids, values = contributions("cosine_ap", items)
    assert dict(zip(ids, values.tolist(), strict=True)) == pytest.approx({"a": 2, "b": 0, "c": 4 / 3, "d": 0})


def test_equal_similarities_are_found_together() -> None:
    items = {"id": list("abc"), "gold": [1, 0, 1], "cosine": [0.5, 0.5, 0.5]}
    assert contributions("cosine_ap", items)[1].tolist() == pytest.approx([1, 0, 1])


def test_only_the_third_worst_reviewer_adds() -> None:
    items = make_items("rougeL_third_worst_group", 60)
    _, values = contributions("rougeL_third_worst_group", items)
    groups = {g for g, v in zip(items["group"], values, strict=True) if v != 0}
    assert len(groups) == 1


@pytest.mark.parametrize("metric", ["cosine_spearman", "cosine_pearson", "pearson"])
def test_equal_values_add_nothing(metric: str) -> None:
    items = make_items(metric)
    column = "value" if metric == "pearson" else "cosine"
    assert not contributions(metric, items | {column: [0.3] * 60})[1].any()


def test_a_missing_column_and_an_unknown_metric() -> None:
    with pytest.raises(KeyError, match="cosine"):
        contributions("cosine_spearman", {"id": ["a"], "gold": [1.0]})
    with pytest.raises(UserError, match="unknown metric 'unheard_of'"):
        contributions("unheard_of", {"id": ["a"]})


@pytest.mark.parametrize(
    ("metric", "column"),
    [("ndcg_at_10", "ndcg_at_10"), ("max_over_subqueries_map_at_1000", "map_at_1000"), ("accuracy", "value"),
     ("summeval_v2", "rho"), ("summeval_v1", ""), ("cosine_ap", ""), ("pearson", "")],
)  # fmt: skip
def test_which_metrics_are_means_of_a_column(metric: str, column: str) -> None:
    assert metrics.get(metric).column == column


numbers = st.integers(-20, 20)


@given(st.lists(st.tuples(numbers, numbers), min_size=4, max_size=25), st.randoms(use_true_random=False))
def test_the_order_of_items_moves_nothing(cells: list[tuple[int, int]], order: Any) -> None:
    gold, value = ([c[k] / 10 for c in cells] for k in (0, 1))
    items: Items = {"id": [f"i{k}" for k in range(len(cells))], "gold": gold, "cosine": value}
    places = list(range(len(cells)))
    order.shuffle(places)
    for metric in ("cosine_spearman", "cosine_pearson", "cosine_ap"):
        if metric == "cosine_ap":
            items["gold"] = [int(g > 0) for g in gold]
        shuffled = take(items, places)
        there, back = (
            dict(zip(*map(list, contributions(metric, side)), strict=True)) for side in (items, shuffled)
        )  # fmt: skip
        assert back == pytest.approx(there, abs=1e-9)
        if sum(items["gold"]) if metric == "cosine_ap" else min(len(set(gold)), len(set(value))) > 1:
            assert np.mean(list(there.values())) == pytest.approx(metrics.compute(metric, items), abs=1e-9)
