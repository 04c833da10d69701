"""Figures of pair classification by mteb's names, without importing mteb.

The order of operations is mteb's (`AbsTaskPairClassification` in 2.26), whose bits they give.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from instructor_eval.metrics.metric import Numbers
from instructor_eval.metrics.pairs import DISTANCES, average_precision

_FIGURES = ("accuracy", "f1", "precision", "recall", "ap")


def figures_of_similarities(labels: npt.ArrayLike, similarities: Mapping[str, npt.ArrayLike]) -> dict[str, float]:
    """Return the figures of each similarity (`cosine_ap`), and the highest of each (`max_ap`).

    Args:
        labels: 0 or 1, [pairs].
        similarities: Their names -> [pairs]; of distances lower values are nearer.
    """
    gold = np.asarray(labels, dtype=np.int64)
    found: dict[str, float] = {}
    for name, values in similarities.items():
        scores = np.asarray(values, dtype=np.float64) * (-1 if name in DISTANCES else 1)
        figures = (*_best_of_thresholds(gold, scores), average_precision(gold, scores))
        found |= {f"{name}_{figure}": value for figure, value in zip(_FIGURES, figures, strict=True)}
    return found | {f"max_{figure}": max(found[f"{name}_{figure}"] for name in similarities) for figure in _FIGURES}


def _best_of_thresholds(gold: npt.NDArray[np.int64], scores: Numbers) -> tuple[float, float, float, float]:
    """Return the highest accuracy, and the highest F1 with its precision and recall.

    A threshold lies between unlike scores, above the last one: some pair is always below.
    """
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    ends = np.flatnonzero(falling[:-1] != falling[1:])
    hits, found = np.cumsum(gold[order])[ends], ends + 1
    right = hits + np.sum(gold == 0) - (found - hits)
    accuracy = float(np.max(right / len(gold), initial=0.0))
    some = hits > 0
    if not some.any():
        return accuracy, 0.0, 0.0, 0.0
    precision, recall = hits[some] / found[some], hits[some] / np.sum(gold)
    f1 = 2 * precision * recall / (precision + recall)
    best = int(np.argmax(f1))
    return accuracy, float(f1[best]), float(precision[best]), float(recall[best])
