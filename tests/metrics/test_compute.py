from __future__ import annotations

import pytest

from instructor_eval import metrics
from instructor_eval.core.errors import UserError
from instructor_eval.metrics.pairs import SIMILARITIES
from instructor_eval.tasks.types import TYPES

ITEMS = {
    "gold": [1, 0, 1], "cosine": [0.9, 0.3, 0.2], "value": [0.5, 0.25, 0.75], "v_measure": [0.5, 0.25, 0.75],
    "rho": [0.5, 0.5, 0.5], "p": [0.0, 0.0, 0.0], "predictions": [[1], [1], [1]], "ndcg_at_10": [1.0, 0.0, 0.5],
    "map_at_1000": [1.0, 0.5, 0.0], **{n: [0.9, 0.3, 0.2] for n in SIMILARITIES},
}  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", 2 / 3),
        ("cosine_ap", 5 / 6),
        ("max_ap", 5 / 6),
        ("v_measure", 0.5),
        ("cosine_spearman", 0.0),
        ("cosine_pearson", 0.38124643),
        ("pearson", 0.8660254),
        ("summeval_v1", 0.25),
        ("summeval_v2", 0.5),
        ("mean_of_parts", 0.5),
        ("ndcg_at_10", 0.5),
        ("map_at_1000", 0.5),
        ("max_over_subqueries_map_at_1000", 0.5),
    ],
)
def test_each_metric_by_its_name(metric: str, expected: float) -> None:
    found = metrics.compute(metric, ITEMS)
    assert type(found) is float
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("metric", "column"),
    [
        ("accuracy", "gold"), ("max_ap", "gold"), ("v_measure", "v_measure"), ("pearson", "gold"),
        ("summeval_v1", "rho"), ("summeval_v2", "rho"), ("mean_of_parts", "value"), ("ndcg_at_10", "ndcg_at_10"),
        ("max_over_subqueries_map_at_1000", "map_at_1000"), ("nonsense_at_3", "nonsense_at_3"),
    ],
)  # fmt: skip
def test_a_missing_column_is_named(metric: str, column: str) -> None:
    with pytest.raises(UserError) as error:
        metrics.compute(metric, {"id": ["a"]})
    expected = f"the items hold no column '{column}' for {metric}: the file is not whole, run the task again"
    assert str(error.value) == expected


@pytest.mark.parametrize("metric", ["", "acuracy", "rouge-l", "ndcg@10"])
def test_an_unknown_metric(metric: str) -> None:
    with pytest.raises(UserError) as error:
        metrics.compute(metric, ITEMS)
    assert str(error.value).startswith(f"unknown metric '{metric}': ")


@pytest.mark.parametrize("type_", [t for t in TYPES if t not in ("PromptRetrieval", "Summarization")])
def test_every_metric_that_a_card_may_name_can_be_computed(type_: str) -> None:
    for metric in TYPES[type_].metrics:
        column = metric.removeprefix("max_over_subqueries_")
        assert metrics.compute(metric, ITEMS | {column: [0.5, 0.25, 0.75]}) > -1
