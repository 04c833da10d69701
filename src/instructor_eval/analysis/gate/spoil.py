"""A known loss, put into a candidate's items on purpose: a gate that does not see it is blind (`gate --self-test`).

Items are spoiled one after another, in an order that depends on their ids alone, until the score lies `loss` below the
baseline's: a value becomes 0, a similarity is mirrored about the mean. Nothing on disk changes. Tasks with a metric of
an installed package stay as they are: what would lower it is not known.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from instructor_eval import metrics
from instructor_eval.analysis.statistics import matching
from instructor_eval.analysis.statistics.contributions import mean_column
from instructor_eval.core.values import Items
from instructor_eval.metrics.classification import PAIR_SIMILARITIES
from instructor_eval.results.score import Score

if TYPE_CHECKING:
    from instructor_eval.analysis.compare.side import Side

LOSS = 0.10
"""Ten points: any gate worth its name finds that."""
_STEPS = 50


def spoiled(candidate: Side, baseline: Side, loss: float = LOSS) -> Side:
    """Return the candidate with each score, and its items, about `loss` (a fraction of 1) below the baseline's."""
    changed: dict[str, tuple[Score, Items]] = {}
    for task, score in candidate.scores.items():
        if candidate.read is not None and score.metric != "mean_of_parts":
            before = baseline.scores.get(task, score).score or 0.0
            items = candidate.read(score)
            changed[task] = (score, items) if metrics.is_plugged(score.metric) else _spoil(score, items, before - loss)
    for task, score in candidate.scores.items():
        if candidate.read is not None and score.metric == "mean_of_parts":
            names = [str(name) for name in candidate.read(score)["id"]]
            if all(name in changed for name in names):
                items = {"id": names, "value": [changed[name][0].score for name in names]}
                changed[task] = dataclasses.replace(score, score=matching.value(score.metric, items)), items
    scores = {task: changed[task][0] if task in changed else score for task, score in candidate.scores.items()}
    values = {task: scores[task].score or 0.0 for task in candidate.values if task in scores}
    label = f"{candidate.label} with a loss of {100 * loss:.0f} points"
    return dataclasses.replace(
        candidate, label=label, values=values, scores=scores, read=lambda score: changed[score.task][1]
    )


def _spoil(score: Score, items: Items, target: float) -> tuple[Score, Items]:
    """Return the items with as few of them spoiled as bring the score to `target`, or all."""
    keys = [hashlib.sha256(str(i).encode("utf-8", "surrogatepass")).digest() for i in items["id"]]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    found, value = items, score.score or 0.0
    for step in range(1, _STEPS + 1):
        if value <= target:
            break
        found = _with(score.metric, items, order[: -(-len(order) * step // _STEPS)])
        value = float(np.nan_to_num(matching.value(score.metric, found)))
    return dataclasses.replace(score, score=value, n_items=len(order)), found


def _with(metric: str, items: Items, places: list[int]) -> Items:
    """Return the items with those at `places` spoiled."""
    column = mean_column(metric)
    if column is not None or metric.startswith(("summeval", "rougeL")):
        names, change = {column or "value", "rho", "p", "value", "correct"} & set(items), _zero
    elif metric == "pearson":
        names, change = {"value"}, _mirror
    else:
        names, change = {*PAIR_SIMILARITIES} & set(items), _mirror
    return {
        name: change(values, places) if name in names else values
        for name, values in items.items()
        if name != "predictions"  # accuracy is then read from each item's mean correctness
    }


def _zero(values: list[Any], places: list[int]) -> list[Any]:
    new = list(values)
    for i in places:
        new[i] = 0.0
    return new


def _mirror(values: list[Any], places: list[int]) -> list[Any]:
    twice = 2 * float(np.mean(values))
    new = [float(v) for v in values]
    for i in places:
        new[i] = twice - new[i]
    return new
