"""Rouge-L of prompt retrieval, from each answer's F1 (`value`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.metrics.metric import Metric, Numbers, Statistic

_RESAMPLES = 1000
_WORST = 2


def mean(items: Items) -> float:
    """Return the plain mean over the items."""
    return float(np.mean(items["value"]))


def bootstrap_median(items: Items) -> float:
    """Return the median of 1,000 bootstrap means, which the authors report (`rouge_score.scoring.BootstrapAggregator`).

    The authors used a global random state; here it starts from 0, so that the number can be repeated.
    """
    values = np.asarray(items["value"], dtype=np.float64)
    state = np.random.RandomState(0)  # the legacy generator gives the library's own figure after seed(0)
    means = [float(np.mean(values[state.choice(np.arange(len(values)), size=len(values))])) for _ in range(_RESAMPLES)]
    return float(np.percentile(means, 50))


def _members(groups: Sequence[str]) -> Numbers:
    """Return 1 where an item is of a group, [groups, items], groups in the items' order.

    Raises:
        UserError: there are fewer than three groups.
    """
    number = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    if len(number) <= _WORST:
        raise UserError(f"the third worst of {len(number)} reviewers: raise --limit, or use --protocol amazon=all")
    member = np.zeros((len(number), len(groups)))
    member[[number[g] for g in groups], np.arange(len(groups))] = 1.0
    return member


def _third_worst(right: Numbers) -> Any:
    """Return the place of the group with the third lowest accuracy; of equal ones the first.

    The authors' Amazon figure is this reviewer's: the tenth percentile of 20 (`main_amazon.py`; WILDS).
    """
    return np.argsort(right, axis=0, kind="stable")[_WORST]


def _chosen(items: Items) -> Any:
    """Return whether each item is of that group, bool [items]."""
    member = _members(items["group"])
    return member[_third_worst(member @ np.asarray(items["correct"], dtype=np.float64) / member.sum(axis=1))] == 1


def third_worst_group(items: Items) -> Items:
    """Return the items of the group with the third lowest accuracy.

    Raises:
        UserError: there are fewer groups.
    """
    chosen = _chosen(items)
    return {"value": [v for v, is_chosen in zip(items["value"], chosen, strict=True) if is_chosen]}


def _added(items: Items) -> Numbers:
    """Return each item's value, if it is of that group; scaled by items per item of the group."""
    chosen = _chosen(items)
    return np.asarray(
        np.where(chosen, np.asarray(items["value"], dtype=np.float64), 0.0) * (len(chosen) / chosen.sum())
    )


def _weighted(items: Items) -> Statistic:
    """Return the mean value in the group with the third lowest accuracy of draws."""
    member = _members(items["group"])
    right, worth = (member * np.asarray(items[name], dtype=np.float64) for name in ("correct", "value"))

    def statistic(counts: Numbers) -> Numbers:
        sizes, correct_ones, sums = (np.einsum("gi,ir->gr", column, counts) for column in (member, right, worth))
        third = _third_worst(correct_ones / sizes)
        return np.asarray(np.take_along_axis(sums / sizes, third[None], axis=0)[0])

    return statistic


_KNOWN: dict[str, Any] = {"unit": "test example", "bounds": (0.0, 1.0)}
_MEAN = _KNOWN | {"columns": ("value",), "column": "value"}
_THIRD = _KNOWN | {
    "columns": ("value", "group", "correct"), "strata": "group", "adds": _added, "weighted": _weighted,
}  # fmt: skip
ROUGE = (
    Metric("rougeL", mean, **_MEAN),
    Metric("rougeL_bootstrap", bootstrap_median, **_MEAN),
    Metric("rougeL_third_worst_group", lambda items: mean(third_worst_group(items)), **_THIRD),
    Metric("rougeL_third_worst_group_bootstrap", lambda items: bootstrap_median(third_worst_group(items)), **_THIRD),
)
