"""Classification accuracy, and average precision of pair classification."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from instructor_eval.core.values import Items

PAIR_SIMILARITIES = ("similarity", "cosine", "manhattan", "euclidean", "dot")
"""Columns of pairs; mteb takes the maximum over them."""
DISTANCES = ("manhattan", "euclidean")
"""Columns in which a lower value is nearer."""


def accuracy(items: Items) -> float:
    """Return the mean accuracy over the experiments: each item has its gold label and one prediction a draw."""
    gold = np.asarray(items["gold"])
    draws = np.asarray(items["predictions"])  # [items, draws]
    return float(np.mean([float(np.mean(draws[:, k] == gold)) for k in range(draws.shape[1])]))


def average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the area under the precision-recall steps, sum of (R_n - R_{n-1}) P_n, with ties as one step.

    Labels are 0 or 1, higher scores mean 1. The order of operations is scikit-learn's, so that the value equals its
    `average_precision_score` to the last bit.
    """
    y = np.asarray(labels, dtype=np.int64)
    s = np.asarray(scores, dtype=np.float64)
    order = np.argsort(s, kind="mergesort")[::-1]
    s, y = s[order], y[order]
    last_of_tie = np.r_[np.where(np.diff(s))[0], y.size - 1]
    true_positives = np.cumsum(y, dtype=np.float64)[last_of_tie]
    precision = true_positives / (1 + last_of_tie)
    recall = true_positives / true_positives[-1]
    precision, recall = np.r_[precision[::-1], 1.0], np.r_[recall[::-1], 0.0]
    return float(max(0.0, -np.sum(np.diff(recall) * precision[:-1])))


def cosine_ap(items: Items) -> float:
    """Return the average precision of the cosine: the paper's choice."""
    return average_precision(items["gold"], items["cosine"])


def max_ap(items: Items) -> float:
    """Return the best average precision among five similarities: mteb's main score."""
    return max(
        average_precision(items["gold"], np.asarray(items[name]) * (-1 if name in DISTANCES else 1))
        for name in PAIR_SIMILARITIES
    )
