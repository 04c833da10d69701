"""Rouge-L of prompt retrieval: the items hold each answer's F1 (`value`), these say what is made of them."""

from __future__ import annotations

import numpy as np

from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items

_RESAMPLES = 1000
_WORST = 2


def mean(items: Items) -> float:
    """The plain mean over the items."""
    return float(np.mean(items["value"]))


def bootstrap_middle(items: Items) -> float:
    """The median of 1,000 bootstrap means, which the authors report (`rouge_score.scoring.BootstrapAggregator`).

    Theirs is drawn from a global random state; here it starts from 0, so that the number can be had again.
    """
    values = np.asarray(items["value"], dtype=np.float64)
    state = np.random.RandomState(0)  # the legacy generator: with it the figure is the library's own after seed(0)
    means = [float(np.mean(values[state.choice(np.arange(len(values)), size=len(values))])) for _ in range(_RESAMPLES)]
    return float(np.percentile(means, 50))


def third_worst(items: Items) -> str:
    """The name of the group with the third lowest accuracy; equal ones keep the order in which they come.

    Raises:
        UserError: there are fewer groups.
    """
    groups = items["group"]
    names = list(dict.fromkeys(groups))
    if len(names) <= _WORST:
        raise UserError(f"the third worst of {len(names)} reviewers: raise --limit, or take --protocol amazon=all")
    right = {name: [c for c, g in zip(items["correct"], groups, strict=True) if g == name] for name in names}
    return str(sorted(names, key=lambda name: float(np.mean(right[name])))[_WORST])


def third_worst_group(items: Items) -> Items:
    """The items of the group with the third lowest accuracy.

    The authors' Amazon figure is of that reviewer alone: the tenth percentile of 20 (`main_amazon.py`; WILDS).

    Raises:
        UserError: there are fewer groups.
    """
    chosen = third_worst(items)
    return {"value": [v for v, g in zip(items["value"], items["group"], strict=True) if g == chosen]}
