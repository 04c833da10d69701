"""A known loss, put into a candidate's items on purpose: a gate that does not see it is blind (`gate --self-test`).

Items are spoiled one after another, in an order that depends on their ids alone, until the score lies `loss` below the
baseline's: a value becomes 0, a similarity is mirrored about the mean. Nothing on disk changes. Tasks whose metric does
not say which columns are the system's stay as they are: what would lower it is not known.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from instructor_eval import metrics
from instructor_eval.core.values import Items
from instructor_eval.metrics.metric import Metric
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
        if candidate.read is not None and not metrics.is_of_parts(score.metric):
            before = baseline.scores.get(task, score).score or 0.0
            changed[task] = _spoil(score, candidate.read(score), before - loss)
    for task, score in candidate.scores.items():
        if candidate.read is not None and metrics.is_of_parts(score.metric):
            names = [str(name) for name in candidate.read(score)["id"]]
            if all(name in changed for name in names):
                items: Items = {"id": names, "value": [changed[name][0].score for name in names]}
                changed[task] = dataclasses.replace(score, score=metrics.compute(score.metric, items)), items
    scores = {task: changed[task][0] if task in changed else score for task, score in candidate.scores.items()}
    values = {task: scores[task].score or 0.0 for task in candidate.values if task in scores}
    label = f"{candidate.label} with a loss of {100 * loss:.0f} points"
    return dataclasses.replace(
        candidate, label=label, values=values, scores=scores, read=lambda score: changed[score.task][1]
    )


def _spoil(score: Score, items: Items, target: float) -> tuple[Score, Items]:
    """Return the items with as few of them spoiled as bring the score to `target`, or all."""
    metric = metrics.get(score.metric)
    if not metric.own:
        return score, items
    keys = [hashlib.sha256(str(i).encode("utf-8", "surrogatepass")).digest() for i in items["id"]]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    found, value = items, score.score or 0.0
    for step in range(1, _STEPS + 1):
        if value <= target:
            break
        found = _with(metric, items, order[: -(-len(order) * step // _STEPS)])
        value = float(np.nan_to_num(metric.compute(found)))
    return dataclasses.replace(score, score=value, n_items=len(order)), found


def _with(metric: Metric, items: Items, places: list[int]) -> Items:
    """Return the items with those at `places` spoiled."""
    change = _mirror if metric.correlates or metric.positives else _zero
    return {
        name: change(values, places) if name in metric.own else values
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
