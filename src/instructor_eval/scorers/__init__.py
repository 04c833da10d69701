"""Metrics: each takes the stored items and gives the published number, exactly.

`compute("ndcg_at_10", items)` is what a score file's `score` equals; a test holds every adapter to it.
"""

from __future__ import annotations

from collections.abc import Callable

from instructor_eval.errors import UserError
from instructor_eval.scorers import classification, clustering, correlation, ranking, rouge
from instructor_eval.types import Items

_METRICS: dict[str, Callable[[Items], float]] = {
    "accuracy": classification.accuracy,
    "cosine_ap": classification.cosine_ap,
    "max_ap": classification.max_ap,
    "v_measure": clustering.mean_v_measure,
    "cosine_spearman": correlation.cosine_spearman,
    "cosine_pearson": correlation.cosine_pearson,
    "pearson": correlation.human_pearson,
    "summeval_v1": correlation.summeval_v1,
    "summeval_v2": correlation.summeval_v2,
    "mean_of_parts": ranking.mean_of_parts,
    "rougeL": rouge.mean,
    "rougeL_bootstrap": rouge.bootstrap_middle,
    "rougeL_third_worst_group": lambda items: rouge.mean(rouge.third_worst_group(items)),
    "rougeL_third_worst_group_bootstrap": lambda items: rouge.bootstrap_middle(rouge.third_worst_group(items)),
}


def compute(metric: str, items: Items) -> float:
    """The value of `metric` over `items`.

    Raises:
        UserError: an unknown metric, or items without the columns it needs.
    """
    try:
        if metric in _METRICS:
            return _METRICS[metric](items)
        if "_at_" in metric:
            return ranking.mean_at(metric, items)
    except KeyError as e:
        raise UserError(f"the items hold no column {e} for {metric}: the file is not whole, run the task again") from e
    raise UserError(f"unknown metric '{metric}'")
