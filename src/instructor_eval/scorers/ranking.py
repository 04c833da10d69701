"""Ranking metrics: the mean over queries of a per-query value (nDCG, MAP, recall, precision at k).

The per-query values are trec_eval's, as mteb computes them with pytrec_eval; the mean is rounded to five places, as
mteb's published numbers are (mteb 2.26, `parse_metrics_from_scores`).
"""

from __future__ import annotations

from instructor_eval.types import Items


def mean_at(metric: str, items: Items) -> float:
    """The mean of column `metric` (for example `ndcg_at_10`), rounded to five places."""
    values = items[metric.removeprefix("max_over_subqueries_")]
    return round(sum(values) / len(values), 5)


def mean_of_parts(items: Items) -> float:
    """The plain mean over sub-tasks (CQADupstackRetrieval over its 12 forums)."""
    return float(sum(items["value"]) / len(items["value"]))
