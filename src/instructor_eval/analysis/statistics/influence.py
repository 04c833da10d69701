"""Influence of units on a score: a column whose mean is the score and whose spread gives its standard error.

A unit's value is the score plus its empirical influence, the derivative of the score by the unit's weight times the
number of units (Hampel 1974; Efron and Tibshirani 1993, chapter 21: the infinitesimal jackknife). For a mean over items
that is the item's own value. The standard error is that of the mean of the column; of the difference of two scores,
that of the mean of the two columns' differences.

| metric                | influence                                                                                   |
|-----------------------|---------------------------------------------------------------------------------------------|
| means over items      | the value less the mean                                                                     |
| Pearson               | a b - r (a² + b²) / 2, of standard scores a and b (Devlin, Gnanadesikan, Kettenring 1975)    |
| Pearson of Billboard  | the same, summed over the systems of a segment                                              |
| Spearman              | Pearson's of the ranks, and what a unit does to the ranks of others (Croux and Dehon 2010)   |
| average precision     | its own precision, and what it does to the precision at lower places                        |

Everything is computed by sorting: n log n. Only order counts for Spearman and average precision, so compact baselines
give the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from instructor_eval.analysis.statistics.contributions import mean_column, similarity
from instructor_eval.analysis.statistics.resample import Numbers
from instructor_eval.core.values import Items
from instructor_eval.metrics.classification import PAIR_SIMILARITIES

_FEW = 5


def influences(metric: str, items: Items) -> Numbers | None:
    """Return the score plus each unit's influence, float64 [units]; None where a metric has no derivative known here.

    Units are items, for `pearson` (Billboard) segments in the order of their first items. Where the score has no value,
    as a correlation of equal values has none, so have the units (NaN).

    Raises:
        KeyError: a column that the metric needs is missing.
    """
    column = mean_column(metric)
    if column is not None:
        return np.asarray(items[column], dtype=np.float64)
    if metric not in _INFLUENCES:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        return _INFLUENCES[metric](items)


def method(metric: str) -> str:
    """Name the standard error that `influences` gives: t | influence | cluster influence."""
    if mean_column(metric) is not None or metric == "summeval_v1":
        return "t"
    return "cluster influence" if metric == "pearson" else "influence"


def is_aggregated(metric: str) -> bool:
    """Return whether a unit's value is itself a mean of many items: a split's, an article's."""
    return metric in ("v_measure", "summeval_v1", "summeval_v2")


def floor(metric: str, before: Numbers, most: float) -> float:
    """Return what units that nobody has drawn may lose on average (`unseen.py`).

    Args:
        metric: The metric.
        before: What each unit adds to the baseline's score.
        most: The largest of them.

    Returns:
        All that the best adds; of a correlation twice the score, which a similarity loses that turns the other way; 0
        for units that are means themselves.
    """
    if is_aggregated(metric):
        return 0.0
    correlation = metric in ("cosine_spearman", "cosine_pearson", "pearson")
    return 2 * abs(float(np.mean(before))) if correlation else most


def rests_on_few(metric: str, items: Items) -> bool:
    """Return whether average precision has fewer than five positives, or negatives, to rest on."""
    if not metric.endswith("_ap"):
        return False
    positives = sum(1 for gold in items["gold"] if gold == 1)
    return min(positives, len(items["gold"]) - positives) < _FEW


def pearson(x: npt.ArrayLike, y: npt.ArrayLike) -> Numbers:
    """Return Pearson's r plus the influence of each pair."""
    a, b = _standard(x), _standard(y)
    r = float(np.mean(a * b))
    return np.asarray(r + a * b - r * (a * a + b * b) / 2)


def spearman(x: npt.ArrayLike, y: npt.ArrayLike) -> Numbers:
    """Return Spearman's rho plus the influence of each pair; equal values share the middle of their ranks."""
    a, b = (_middle_ranks(values) for values in (x, y))
    across, own_a, own_b = (float(np.mean(p * q)) for p, q in ((a, b), (a, a), (b, b)))
    both = _product_influence(a, b, across) / across if across else np.zeros(len(a))
    alone = _product_influence(a, a, own_a) / own_a + _product_influence(b, b, own_b) / own_b
    rho = across / np.sqrt(own_a * own_b)
    if not across:
        return np.asarray(_product_influence(a, b, 0.0) / np.sqrt(own_a * own_b))
    return np.asarray(rho + rho * (both - alone / 2))


def average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Numbers:
    """Return average precision, ties taken together, plus the influence of each pair."""
    gold, falling = np.asarray(labels, dtype=np.float64), -np.asarray(scores, dtype=np.float64)
    order = np.argsort(falling, kind="stable")
    _, first, sizes = np.unique(falling[order], return_index=True, return_counts=True)
    positives = np.add.reduceat(gold[order], first)
    found, hits = np.cumsum(sizes).astype(np.float64), np.cumsum(positives)
    precision, total = hits / found, hits[-1]
    value = float(np.sum(positives * precision)) / total

    def from_here(step: Numbers) -> Numbers:
        """The sum over a tie and all lower ones."""
        return np.asarray(np.cumsum(step[::-1])[::-1])

    of_positive = precision + from_here(positives / found) - value
    of_any = -from_here(positives * precision / found)
    tie = np.repeat(np.arange(len(first)), sizes)
    influence = np.empty(len(gold))
    influence[order] = gold[order] * of_positive[tie] + of_any[tie]
    return np.asarray(value + influence * (len(gold) / total))


def _standard(values: npt.ArrayLike) -> Numbers:
    column = np.asarray(values, dtype=np.float64)
    spread = float(np.std(column)) if np.ptp(column) else np.nan
    return np.asarray((column - np.mean(column)) / spread)


def _middle_ranks(values: npt.ArrayLike) -> Numbers:
    """Ranks as shares of n, less their mean."""
    column = np.asarray(values, dtype=np.float64)
    if not np.ptp(column):
        return np.full(len(column), np.nan)
    return np.asarray((rankdata(column) - (len(column) + 1) / 2) / len(column))


def _product_influence(a: Numbers, b: Numbers, mean: float) -> Numbers:
    """The influence on the mean product of two columns of ranks: a unit's own, and what it does to others' ranks."""
    return np.asarray(a * b - mean + _pushed(a, b) + _pushed(b, a))


def _pushed(ranks: Numbers, weights: Numbers) -> Numbers:
    """The mean over all others of `weights` times what one more unit here adds to their rank, of mean 0."""
    order = np.argsort(ranks, kind="stable")
    _, first, tie = np.unique(ranks[order], return_index=True, return_inverse=True)
    sums = np.add.reduceat(weights[order], first)
    above = np.cumsum(sums[::-1])[::-1] - sums / 2
    found = np.empty(len(ranks))
    found[order] = above[tie.ravel()] / len(ranks)
    return np.asarray(found - np.mean(found))


def _by_segment(values: Numbers, segments: Sequence[str]) -> Numbers:
    names = {name: i for i, name in enumerate(dict.fromkeys(segments))}
    r = float(np.mean(values))
    sums = np.zeros(len(names))
    np.add.at(sums, [names[s] for s in segments], values - r)
    return np.asarray(r + sums * (len(names) / len(values)))


def _best_ap(items: Items) -> Numbers:
    # Of vectors of length 1 most similarities rank alike: each ranking is taken once.
    columns = [similarity(items, name) for name in PAIR_SIMILARITIES]
    rankings = {np.unique(column, return_inverse=True)[1].tobytes(): column for column in columns}
    found = [average_precision(items["gold"], column) for column in rankings.values()]
    return max(found, key=lambda units: float(np.mean(units)))


_INFLUENCES: dict[str, Callable[[Items], Numbers]] = {
    "summeval_v1": lambda items: np.asarray(np.mean([items["rho"], items["p"]], axis=0), dtype=np.float64),
    "cosine_spearman": lambda items: spearman(items["gold"], items["cosine"]),
    "cosine_pearson": lambda items: pearson(items["gold"], items["cosine"]),
    "pearson": lambda items: _by_segment(pearson(items["gold"], items["value"]), items["segment"]),
    "cosine_ap": lambda items: average_precision(items["gold"], similarity(items, "cosine")),
    "max_ap": _best_ap,
}
