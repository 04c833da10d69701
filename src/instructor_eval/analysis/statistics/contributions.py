"""Contributions of units to a score: a column whose mean is the score, so that a difference splits item by item.

| metric                 | a unit adds                                                                          |
|------------------------|--------------------------------------------------------------------------------------|
| means over items       | its value                                                                            |
| Spearman, Pearson      | the product of its standard scores (of ranks for Spearman), of which r is the mean   |
| Pearson of Billboard   | the same, summed over the systems of a segment                                       |
| average precision      | the precision where it is found, if it is a positive; scaled by items per positive   |
| third worst reviewer   | its value, if it is of that reviewer's; scaled by items per reviewer's item          |
| a package's metric     | its jackknife pseudo-value: what the score owes to it, n s - (n - 1) s without it    |

For the last four a unit's part depends on the others: it says where a difference shows, not what caused it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from instructor_eval import metrics
from instructor_eval.analysis.statistics.resample import Numbers, by_recomputing, is_clustered, places_of
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.metrics.classification import DISTANCES, PAIR_SIMILARITIES, average_precision
from instructor_eval.metrics.rouge import third_worst

MOST_PLUGGED = 2_000
"""Units of a package's metric, which is computed without each of them: the time grows with their square."""


def mean_column(metric: str) -> str | None:
    """The column that a metric is the mean of, or None where it is no mean over its items."""
    if metric in _MEANS:
        return _MEANS[metric]
    return metric.removeprefix("max_over_subqueries_") if "_at_" in metric else None


_MEANS = {
    "accuracy": "value",
    "v_measure": "v_measure",
    "rougeL": "value",
    "rougeL_bootstrap": "value",
    "summeval_v2": "rho",
    "mean_of_parts": "value",
}


def contributions(metric: str, items: Items) -> tuple[list[str], Numbers]:
    """Return what each unit adds: ids, and float64 [units] whose mean is the score (up to its rounding, if any).

    Raises:
        UserError: nothing is known for that metric, or it is a package's and there are too many units.
        KeyError: a column that it needs is missing.
    """
    if metrics.is_plugged(metric):
        return _jackknife(metric, items)
    if metric == "pearson":
        return _by_segment(items)
    return [str(i) for i in items["id"]], _by_item(metric, items)


def _jackknife(metric: str, items: Items) -> tuple[list[str], Numbers]:
    """Pseudo-values (Efron and Tibshirani 1993, 11.5), moved together so that their mean is the score."""
    places = places_of(metric, items)
    n = int(places.max(initial=-1)) + 1
    if n > MOST_PLUGGED:
        raise UserError(f"metric '{metric}': what each of {n:,} items adds is not shown, of {MOST_PLUGGED:,} at most")
    names = items["segment"] if is_clustered(metric, items) else items["id"]
    ids = [str(name) for name in dict.fromkeys(names)]
    if n < 2:
        return ids, np.full(n, metrics.compute(metric, items))
    statistic = by_recomputing(metric, items, places)
    whole = float(statistic(np.ones((n, 1)))[0])
    without = np.concatenate([statistic((np.arange(n) != i)[:, None].astype(np.float64)) for i in range(n)])
    found = np.nan_to_num(n * whole - (n - 1) * without, nan=whole)
    return ids, np.asarray(found + (whole - float(np.mean(found))))


def _by_item(metric: str, items: Items) -> Numbers:
    column = mean_column(metric)
    if column is not None:
        found = np.asarray(items[column], dtype=np.float64)
    elif metric == "summeval_v1":
        found = np.asarray(np.mean([items["rho"], items["p"]], axis=0), dtype=np.float64)
    elif metric == "cosine_spearman":
        found = _standard(rankdata(items["gold"])) * _standard(rankdata(items["cosine"]))
    elif metric == "cosine_pearson":
        found = _standard(items["gold"]) * _standard(items["cosine"])
    elif metric in ("cosine_ap", "max_ap"):
        found = _precisions(items["gold"], _best_similarity(metric, items))
    elif metric.startswith("rougeL_third_worst_group"):
        group = np.asarray(items["group"]) == third_worst(items)
        found = np.where(group, np.asarray(items["value"], dtype=np.float64), 0.0) * (len(group) / group.sum())
    else:
        raise UserError(f"metric '{metric}': it is not known what an item adds to it")
    return found


def _standard(values: npt.ArrayLike) -> Numbers:
    """Standard scores; all 0 where values are equal."""
    column = np.asarray(values, dtype=np.float64)
    if np.ptp(column) == 0:  # of equal values the mean is rounded, and so their spread is not quite 0
        return np.zeros_like(column)
    return np.asarray((column - np.mean(column)) / np.std(column))


def _by_segment(items: Items) -> tuple[list[str], Numbers]:
    products = _standard(items["gold"]) * _standard(items["value"])
    names = {str(name): i for i, name in enumerate(dict.fromkeys(items["segment"]))}
    sums = np.zeros(len(names))
    np.add.at(sums, [names[str(s)] for s in items["segment"]], products)
    return list(names), sums * (len(names) / len(products))


def similarity(items: Items, name: str) -> Numbers:
    """A similarity column, a distance with its sign turned: higher is more alike."""
    return np.asarray(items[name], dtype=np.float64) * (-1 if name in DISTANCES else 1)


def _best_similarity(metric: str, items: Items) -> Numbers:
    if metric == "cosine_ap":
        return similarity(items, "cosine")
    columns = [similarity(items, name) for name in PAIR_SIMILARITIES]
    return max(columns, key=lambda column: average_precision(items["gold"], column))


def _precisions(gold: Sequence[int], scores: Numbers) -> Numbers:
    """Precision at each positive, ties taken together, scaled so that the mean over all items is average precision."""
    labels = np.asarray(gold, dtype=np.float64)
    falling = np.sort(-scores)
    found = np.searchsorted(falling, -scores, "right")
    hits = np.searchsorted(np.sort(-scores[labels == 1]), -scores, "right")
    return np.asarray(np.where(labels == 1, hits / found, 0.0) * (len(labels) / max(labels.sum(), 1.0)))
