"""Rouge-L of prompt retrieval, from each answer's F1 (`value`)."""

from __future__ import annotations

import numpy as np

from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items

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


def third_worst(items: Items) -> str:
    """Return the name of the group with the third lowest accuracy; equal ones in the items' order.

    Raises:
        UserError: there are fewer groups.
    """
    groups = items["group"]
    names = list(dict.fromkeys(groups))
    if len(names) <= _WORST:
        raise UserError(f"the third worst of {len(names)} reviewers: raise --limit, or use --protocol amazon=all")
    right = {name: [c for c, g in zip(items["correct"], groups, strict=True) if g == name] for name in names}
    return str(sorted(names, key=lambda name: float(np.mean(right[name])))[_WORST])


def third_worst_group(items: Items) -> Items:
    """Return the items of the group with the third lowest accuracy.

    The authors' Amazon figure is this reviewer's: the tenth percentile of 20 (`main_amazon.py`; WILDS).

    Raises:
        UserError: there are fewer groups.
    """
    chosen = third_worst(items)
    return {"value": [v for v, g in zip(items["value"], items["group"], strict=True) if g == chosen]}
