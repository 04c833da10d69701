"""Metrics: each computes the published number from stored items, exactly (`metric.py`), a file a family.

A score file's `score` equals `get(score.metric).compute(items)`; a test checks it for every adapter. Metrics of
installed packages (entry points `instructor_eval.scorers`) come after the built-in ones, for cards that name them.
"""

from __future__ import annotations

import re

from instructor_eval.core import plugins
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.metrics import (
    classification,
    clustering,
    correlation,
    pairs,
    parts,
    ranking,
    rouge,
    separation,
    summaries,
)
from instructor_eval.metrics.metric import Metric
from instructor_eval.metrics.packages import of_package

BUILTIN: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        classification.ACCURACY,
        pairs.COSINE_AP,
        pairs.MAX_AP,
        clustering.V_MEASURE,
        correlation.COSINE_SPEARMAN,
        correlation.COSINE_PEARSON,
        correlation.PEARSON,
        summaries.SUMMEVAL_V1,
        summaries.SUMMEVAL_V2,
        parts.MEAN_OF_PARTS,
        *rouge.ROUGE,
        *separation.FIGURES,
    )
}
"""The metrics of ours, beside those at k (`ranking.at`)."""

_RESERVED = re.compile(r".*_at_.*|(?:max_over_subqueries_|rougeL|summeval).*")
"""Names that are reserved for built-in metrics."""


def plugged() -> dict[str, plugins.Plugin]:
    """Return the metrics of installed packages that a card can name; none is loaded."""
    found = plugins.found(plugins.SCORERS)
    return {name: p for name, p in found.items() if name not in BUILTIN and not _RESERVED.fullmatch(name)}


def is_plugged(name: str) -> bool:
    """Return whether a metric belongs to an installed package."""
    return name not in BUILTIN and name in plugged()


def origin(name: str) -> str:
    """Return the metric for an identity: another version of a package may give another number."""
    return f"{name} of {plugged()[name].package}" if is_plugged(name) else name


def get(name: str) -> Metric:
    """Return the metric of that name.

    Raises:
        UserError: there is none, or a package's cannot be loaded.
    """
    found = BUILTIN.get(name) or ranking.at(name)
    if found is not None:
        return found
    plugin = plugged().get(name)
    if plugin is None:
        hint = f"if a package brings it (entry point {plugins.SCORERS}), install it"
        raise UserError(f"unknown metric '{name}': {hint}")
    return of_package(plugin)


def compute(name: str, items: Items) -> float:
    """Compute a metric over items.

    Raises:
        UserError: the metric is unknown, the items lack its columns, or a package's metric fails or gives no finite
            number.
    """
    return get(name).compute(items)


def unit_of(name: str) -> str:
    """Return the unit that a metric's statistics resample, in words; `item` where the metric is not to be had."""
    try:
        return get(name).unit
    except UserError:
        return "item"


def is_lower(name: str) -> bool:
    """Return whether lower is better; no package is loaded to know."""
    return name in BUILTIN and BUILTIN[name].lower


def is_neutral(name: str) -> bool:
    """Return whether neither high nor low is better; no package is loaded to know."""
    return name in BUILTIN and BUILTIN[name].neutral


def is_of_parts(name: str) -> bool:
    """Return whether a metric is the mean of other tasks' scores; no package is loaded to know."""
    return name in BUILTIN and BUILTIN[name].of_parts
