"""Average precision of pair classification.

| of average precision | pair by pair                                                                              |
|----------------------|-------------------------------------------------------------------------------------------|
| adds                 | the precision where it is found, if it is a positive; scaled by pairs per positive        |
| influence            | its own precision, and what it does to the precision at lower places                      |

Ties are taken together. What a pair adds depends on the others: it says where a difference shows, not what caused it.
All is computed by sorting: n log n. Only order counts, so compact baselines give the same values.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from instructor_eval.core.values import Items
from instructor_eval.metrics.metric import Metric, Numbers, Places, Statistic

SIMILARITIES = ("similarity", "cosine", "manhattan", "euclidean", "dot")
"""Columns of pairs; mteb takes the maximum over them."""
DISTANCES = ("manhattan", "euclidean")
"""Columns in which a lower value is nearer."""


class _Ties(NamedTuple):
    """Pairs by falling score, equal scores together; float64 [ties] but for the first two, which are of the pairs."""

    order: Places
    tie: Places
    """Of each pair in that order."""
    positives: Numbers
    found: Numbers
    """Pairs in this tie or a higher one; `hits`: positives among them."""
    hits: Numbers

    @property
    def precision(self) -> Numbers:
        return self.hits / self.found


def _ties(gold: Numbers, scores: npt.ArrayLike) -> _Ties:
    falling = -np.asarray(scores, dtype=np.float64)
    order = np.argsort(falling, kind="stable")
    _, sizes = np.unique(falling[order], return_counts=True)
    tie = np.repeat(np.arange(len(sizes)), sizes)
    positives = np.bincount(tie, weights=gold[order], minlength=len(sizes)).astype(np.float64)
    return _Ties(order, tie, positives, np.cumsum(sizes).astype(np.float64), np.cumsum(positives))


def average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the area under the precision-recall steps, sum of (R_n - R_{n-1}) P_n, with ties as one step.

    Labels are 0 or 1, higher scores mean 1. The order of operations is scikit-learn's, so that the value equals its
    `average_precision_score` to the last bit.
    """
    ties = _ties(np.asarray(labels, dtype=np.float64), scores)
    if not ties.hits[-1]:  # there is nothing to find
        return 0.0
    recall = ties.hits / ties.hits[-1]
    precision, recall = np.r_[ties.precision[::-1], 1.0], np.r_[recall[::-1], 0.0]
    return float(max(0.0, -np.sum(np.diff(recall) * precision[:-1])))


def added(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Numbers:
    """Return the precision at each positive, scaled so that the mean over all pairs is average precision."""
    gold = np.asarray(labels, dtype=np.float64)
    ties = _ties(gold, scores)
    found = np.empty(len(gold))
    found[ties.order] = gold[ties.order] * ties.precision[ties.tie]
    return np.asarray(found * (len(gold) / max(float(gold.sum()), 1.0)))


def influence(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Numbers:
    """Return average precision plus the influence of each pair."""
    gold = np.asarray(labels, dtype=np.float64)
    ties = _ties(gold, scores)
    precision, total = ties.precision, ties.hits[-1]
    value = float(np.sum(ties.positives * precision)) / total

    def from_here(step: Numbers) -> Numbers:
        """Return the sum over a tie and all lower ones."""
        return np.asarray(np.cumsum(step[::-1])[::-1])

    of_positive = precision + from_here(ties.positives / ties.found) - value
    of_any = -from_here(ties.positives * precision / ties.found)
    found = np.empty(len(gold))
    found[ties.order] = gold[ties.order] * of_positive[ties.tie] + of_any[ties.tie]
    return np.asarray(value + found * (len(gold) / total))


def weighted(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Statistic:
    """Return average precision of draws."""
    falling = -np.asarray(scores, dtype=np.float64)
    order = np.argsort(falling, kind="stable")
    positive = np.flatnonzero(np.asarray(labels)[order] == 1)
    # Precision is needed only where a tie with a positive in it ends.
    ends = np.searchsorted(falling[order], falling[order[positive]], "right")
    tie_ends, starts = np.unique(ends, return_index=True)
    segments = np.concatenate([[0], tie_ends[:-1]])
    relevant, chosen = order[: tie_ends[-1]], order[positive]

    def statistic(counts: Numbers) -> Numbers:
        true = np.add.reduceat(counts.take(chosen, axis=0), starts, axis=0)
        found = np.cumsum(np.add.reduceat(counts.take(relevant, axis=0), segments, axis=0), axis=0)
        hits = np.cumsum(true, axis=0)
        precision = hits / np.maximum(found, 1.0)
        return np.asarray((true * precision).sum(axis=0) / hits[-1])

    return statistic


def similarity(items: Items, name: str) -> Numbers:
    """Return a similarity column, a distance with its sign turned: higher is more alike."""
    return np.asarray(items[name], dtype=np.float64) * (-1 if name in DISTANCES else 1)


def best_precision(name: str, similarities: tuple[str, ...]) -> Metric:
    """Return the best average precision among some similarities."""

    def rankings(items: Items) -> list[Numbers]:
        """Return the similarities that rank unlike: of vectors of length 1 most rank alike, and are taken once."""
        columns = [similarity(items, s) for s in similarities]
        return list({np.unique(column, return_inverse=True)[1].tobytes(): column for column in columns}.values())

    def best_added(items: Items) -> Numbers:
        gold, columns = items["gold"], rankings(items)
        best = columns[0] if len(columns) == 1 else max(columns, key=lambda column: average_precision(gold, column))
        return added(gold, best)

    def best_influence(items: Items) -> Numbers:
        found = [influence(items["gold"], column) for column in rankings(items)]
        return max(found, key=lambda units: float(np.mean(units)))

    def best_weighted(items: Items) -> Statistic:
        statistics = [weighted(items["gold"], column) for column in rankings(items)]
        return lambda counts: np.asarray(np.max([statistic(counts) for statistic in statistics], axis=0))

    return Metric(
        name,
        lambda items: max(average_precision(items["gold"], similarity(items, s)) for s in similarities),
        unit="pair",
        bounds=(0.0, 1.0),
        columns=("gold", *similarities),
        ranked=similarities,
        positives="gold",
        adds=best_added,
        influence=best_influence,
        weighted=best_weighted,
    )


COSINE_AP = best_precision("cosine_ap", ("cosine",))
"""Average precision of the cosine: the paper's choice."""
MAX_AP = best_precision("max_ap", SIMILARITIES)
"""The best among five similarities: mteb's main score."""
