"""A package's metric that says more than its formula: taken as it is, and every part of it held in bounds."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from instructor_eval import metrics
from instructor_eval.analysis.statistics import difference
from instructor_eval.analysis.statistics.contributions import contributions
from instructor_eval.core import plugins
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.metrics.correlation import COSINE_PEARSON
from instructor_eval.metrics.metric import Metric

Bring = Callable[[Any], Metric]
ITEMS: Items = {"id": ["a", "b", "c"], "gold": [1.0, 2.0, 4.0], "cosine": [0.1, 0.3, 0.2]}


@pytest.fixture
def bring(monkeypatch: pytest.MonkeyPatch) -> Bring:
    def install(loaded: Any) -> Metric:
        point = SimpleNamespace(load=lambda: loaded)
        found = {"theirs": plugins.Plugin(plugins.SCORERS, "theirs", "acme:M", "acme 1.0", point)}
        monkeypatch.setattr(plugins, "found", lambda group: found if group == plugins.SCORERS else {})
        return metrics.get("theirs")

    return install


def mean(items: Items) -> float:
    return sum(items["cosine"]) / len(items["cosine"])


def error(call: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_that_is_ours_by_another_name_gets_our_figures(bring: Bring) -> None:
    bring(COSINE_PEARSON)
    other = {**ITEMS, "cosine": [0.2, 0.2, 0.4]}
    found, expected = (difference.paired(name, ITEMS, other, seed_text="x") for name in ("theirs", "cosine_pearson"))
    assert found == expected
    assert found.method == "influence"
    assert contributions("theirs", ITEMS)[1].tolist() == contributions("cosine_pearson", ITEMS)[1].tolist()


def test_it_is_called_as_its_entry_says_and_is_no_mean_of_tasks(bring: Bring) -> None:
    found = bring(Metric("another name", mean, of_parts=True))
    assert (found.name, found.of_parts, metrics.is_of_parts("theirs")) == ("theirs", False, False)
    assert metrics.origin("theirs") == "theirs of acme 1.0"


@pytest.mark.parametrize("part", ["values", "adds", "influence"])
@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda items: items["no_such"], "fails on 3 items with id, gold, cosine (KeyError: 'no_such')"),
        (lambda items: items["id"], "(ValueError: could not convert string to float"),
        (lambda items: items["cosine"][:2], "gives [2] values for 3 items: fix or uninstall it"),
        (lambda items: 0.5, "gives [] values for 3 items"),
        (lambda items: [[v] for v in items["cosine"]], "gives [3, 1] values for 3 items"),
    ],
)
def test_parts_that_give_no_number_a_unit(bring: Bring, part: str, function: Any, words: str) -> None:
    metric = bring(Metric("m", mean, **{part: function}))
    text = error(lambda: metric.contributions(ITEMS))
    assert text.startswith("scorer theirs (acme 1.0) ")
    assert words in text


@pytest.mark.parametrize("part", ["values", "adds", "influence"])
def test_a_part_may_change_the_items_that_it_gets(bring: Bring, part: str) -> None:
    items = {name: list(column) for name, column in ITEMS.items()}
    metric = bring(Metric("m", mean, **{part: lambda own: own.pop("cosine")}))
    assert metric.contributions(items) == pytest.approx([0.1, 0.3, 0.2])  # lists are made arrays
    assert items == ITEMS


def test_draws_that_fail_or_are_too_few(bring: Bring) -> None:
    counts = np.ones((3, 4))
    good = bring(Metric("m", mean, weighted=lambda items: lambda counts: items["cosine"] @ counts / counts.sum(axis=0)))
    assert good.weighted is not None
    assert good.weighted(ITEMS)(counts) == pytest.approx([0.2] * 4)
    few = bring(Metric("m", mean, weighted=lambda _items: lambda _counts: np.zeros(3)))
    assert "gives [3] values for 4 draws" in error(lambda: few.weighted(ITEMS)(counts))
    none = bring(Metric("m", mean, weighted=lambda _items: lambda _counts: 1 / 0))
    assert "(ZeroDivisionError" in error(lambda: none.weighted(ITEMS)(counts))
    early = bring(Metric("m", mean, weighted=lambda items: items["no_such"]))
    assert "(KeyError: 'no_such')" in error(lambda: early.weighted(ITEMS))


def test_what_is_neither_a_function_nor_a_metric(bring: Bring) -> None:
    assert error(lambda: bring(5)) == (
        "scorer theirs (acme 1.0): acme:M is no function of items, nor a Metric: correct or uninstall it"
    )
