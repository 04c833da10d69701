"""Metrics: each takes the stored items and gives the published number, exactly.

`compute("ndcg_at_10", items)` is what a score file's `score` equals; a test holds every adapter to it. Metrics of
installed packages (entry points `instructor_eval.metrics`) stand behind ours, for cards that name them.
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
    "rougeL_bootstrap": rouge.bootstrap_middle,
    "rougeL_third_worst_group": lambda items: rouge.mean(rouge.third_worst_group(items)),
    "rougeL_third_worst_group_bootstrap": lambda items: rouge.bootstrap_middle(rouge.third_worst_group(items)),
}


_RESERVED = re.compile(r".*_at_.*|(?:max_over_subqueries_|rougeL|summeval).*")
"""Names that say what kind a metric of ours is."""


def plugged() -> dict[str, plugins.Plugin]:
    """Metrics of installed packages that a card can name; none is loaded."""
    found = plugins.found(plugins.SCORERS)
    return {name: p for name, p in found.items() if name not in _METRICS and not _RESERVED.fullmatch(name)}


def is_plugged(metric: str) -> bool:
    """Whether a metric is of an installed package."""
    return metric not in _METRICS and metric in plugged()


def origin(metric: str) -> str:
    """The metric as an identity holds it: another version of a package may mean another number."""
    return f"{metric} of {plugged()[metric].package}" if is_plugged(metric) else metric


def compute(metric: str, items: Items) -> float:
    """The value of `metric` over `items`.

    Raises:
        UserError: an unknown metric, items without the columns it needs, or a package's metric that fails or gives
            no finite number.
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
        raise UserError(f"unknown metric '{metric}': if it is of a package (entry point {plugins.SCORERS}), install it")
    scorer = plugin.load(callable, "function of items")
    own = {name: list(column) for name, column in items.items()}  # theirs to do with as they like
    columns = ", ".join(own)
    value = plugin.run(lambda: float(scorer(own)), f"fails on {len(own['id']):,} items with {columns[:200]}")
    if not math.isfinite(value):
        raise UserError(f"{plugin.what} gives {value} for {len(own['id']):,} items, which is no score: mend it")
    return float(value)
