"""Metrics of installed packages: a `Metric`, or a plain function of items, of which nothing more is known.

Whatever a stranger's code does becomes one line that names the package; it gets items of its own, that it may change.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from instructor_eval.core.errors import UserError
from instructor_eval.core.plugins import Plugin
from instructor_eval.core.values import Items
from instructor_eval.metrics.metric import Metric, Numbers, Statistic

T = TypeVar("T")


def of_package(plugin: Plugin) -> Metric:
    """Load a package's metric.

    Raises:
        UserError: it cannot be loaded, or is no metric.
    """
    loaded = plugin.load(lambda found: isinstance(found, Metric) or callable(found), "function of items, nor a Metric")
    metric = loaded if isinstance(loaded, Metric) else Metric(plugin.name, loaded, cluster="segment")
    return dataclasses.replace(
        metric,
        name=plugin.name,
        formula=_safe_formula(plugin, metric.formula),
        values=_safe(plugin, metric, metric.values),
        adds=_safe(plugin, metric, metric.adds),
        influence=_safe(plugin, metric, metric.influence),
        weighted=_safe_weighted(plugin, metric.weighted),
        of_parts=False,
    )


def _safe_formula(plugin: Plugin, formula: Callable[[Items], float]) -> Callable[[Items], float]:
    def call(items: Items) -> float:
        value = _run(plugin, items, lambda own: float(formula(own)))
        if not math.isfinite(value):
            count = f"{len(items['id']):,}"
            raise UserError(f"{plugin.what} gives {value} for {count} items, which is not a score: fix or uninstall it")
        return value

    return call


def _safe(plugin: Plugin, metric: Metric, part: Callable[[Items], Numbers] | None) -> Callable[[Items], Numbers] | None:
    """Return a function that gives a number a unit, if there is one."""
    if part is None:
        return None

    def call(items: Items) -> Numbers:
        found = _run(plugin, items, lambda own: np.array(part(own), dtype=np.float64))
        return _of_shape(plugin, found, len(metric.units(items)), f"{metric.unit}s")

    return call


def _safe_weighted(
    plugin: Plugin, weighted: Callable[[Items], Statistic] | None
) -> Callable[[Items], Statistic] | None:
    if weighted is None:
        return None

    def of_items(items: Items) -> Statistic:
        statistic = _run(plugin, items, weighted)

        def of_draws(counts: Numbers) -> Numbers:
            found = _run(plugin, items, lambda _own: np.array(statistic(counts.copy()), dtype=np.float64))
            return _of_shape(plugin, found, counts.shape[1], "draws")

        return of_draws

    return of_items


def _run(plugin: Plugin, items: Items, call: Callable[[Items], T]) -> T:
    """Run a package's code on a copy of the items."""
    own = {name: list(column) for name, column in items.items()}
    failing = f"fails on {len(own['id']):,} items with {', '.join(own)[:200]}"
    found: T = plugin.run(lambda: call(own), failing)
    return found


def _of_shape(plugin: Plugin, found: Numbers, n: int, what: str) -> Numbers:
    if found.shape != (n,):
        raise UserError(f"{plugin.what} gives {list(found.shape)} values for {n:,} {what}: fix or uninstall it")
    return found
