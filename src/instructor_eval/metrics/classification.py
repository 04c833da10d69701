"""Classification accuracy."""

from __future__ import annotations

import numpy as np

from instructor_eval.core.values import Items
from instructor_eval.metrics.metric import Metric


def accuracy(items: Items) -> float:
    """Return the mean accuracy over the experiments: each item has its gold label and one prediction a draw.

    Where there are no predictions it is of each item's mean correctness, which is all that a baseline stores.
    """
    if "predictions" not in items and "value" in items:
        return float(np.mean(items["value"]))
    gold = np.asarray(items["gold"])
    draws = np.asarray(items["predictions"])  # [items, draws]
    return float(np.mean([float(np.mean(draws[:, k] == gold)) for k in range(draws.shape[1])]))


ACCURACY = Metric("accuracy", accuracy, unit="test item", bounds=(0.0, 1.0), columns=("value", "gold"), column="value")
