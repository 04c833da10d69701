"""Metrics: each computes the published number from stored items, exactly.

A score file's `score` equals `compute("ndcg_at_10", items)`; a test checks it for every adapter. Metrics of installed
packages (entry points `instructor_eval.metrics`) come after the built-in ones, for cards that name them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from instructor_eval.core import plugins
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.metrics import classification, clustering, correlation, ranking, rouge

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
    "rougeL_bootstrap": rouge.bootstrap_median,
    "rougeL_third_worst_group": lambda items: rouge.mean(rouge.third_worst_group(items)),
    "rougeL_third_worst_group_bootstrap": lambda items: rouge.bootstrap_median(rouge.third_worst_group(items)),
}


_RESERVED = re.compile(r".*_at_.*|(?:max_over_subqueries_|rougeL|summeval).*")
"""Names that are reserved for built-in metrics."""


def plugged() -> dict[str, plugins.Plugin]:
    """Return the metrics of installed packages that a card can name; none is loaded."""
    found = plugins.found(plugins.SCORERS)
    return {name: p for name, p in found.items() if name not in _METRICS and not _RESERVED.fullmatch(name)}


def is_plugged(metric: str) -> bool:
    """Return whether a metric belongs to an installed package."""
    return metric not in _METRICS and metric in plugged()


def origin(metric: str) -> str:
    """Return the metric for an identity: another version of a package may give another number."""
    return f"{metric} of {plugged()[metric].package}" if is_plugged(metric) else metric


def compute(metric: str, items: Items) -> float:
    """Compute a metric over items.

    Raises:
        UserError: the metric is unknown, the items lack its columns, or a package's metric fails or gives no finite
            number.
    """
    try:
        if metric in _METRICS:
            return _METRICS[metric](items)
        if "_at_" in metric:
            return ranking.mean_at(metric, items)
    except KeyError as e:
        raise UserError(f"the items hold no column {e} for {metric}: the file is not whole, run the task again") from e
    plugin = plugged().get(metric)
    if plugin is None:
        hint = f"if a package brings it (entry point {plugins.SCORERS}), install it"
        raise UserError(f"unknown metric '{metric}': {hint}")
    scorer = plugin.load(callable, "function of items")
    own = {name: list(column) for name, column in items.items()}  # a copy that the package may change
    columns = ", ".join(own)
    value = plugin.run(lambda: float(scorer(own)), f"fails on {len(own['id']):,} items with {columns[:200]}")
    if not math.isfinite(value):
        count = f"{len(own['id']):,}"
        raise UserError(f"{plugin.what} gives {value} for {count} items, which is not a score: fix or uninstall it")
    return float(value)
