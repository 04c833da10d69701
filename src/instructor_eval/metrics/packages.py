"""Metrics of installed packages: a `Metric`, or a plain function of items, of which nothing more is known.

Whatever a stranger's code does becomes one line that names the package; it gets items of its own, that it may change.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
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

    def run(items: Items, call: Callable[[Items], T]) -> T:
        own = {name: list(column) for name, column in items.items()}
        found: T = plugin.run(lambda: call(own), f"fails on {len(own['id']):,} items with {', '.join(own)[:200]}")
        return found

    def array(items: Items, call: Callable[[Items], Numbers], n: int, what: str) -> Numbers:
        found = run(items, lambda own: np.array(call(own), dtype=np.float64))
        if found.shape != (n,):
            raise UserError(f"{plugin.what} gives {list(found.shape)} values for {n:,} {what}: fix or uninstall it")
        return found

    def score(items: Items) -> float:
        value = run(items, lambda own: float(metric.formula(own)))
        if not math.isfinite(value):
            count = f"{len(items['id']):,}"
            raise UserError(f"{plugin.what} gives {value} for {count} items, which is not a score: fix or uninstall it")
        return value

    def by_unit(part: Callable[[Items], Numbers] | None) -> Callable[[Items], Numbers] | None:
        return part and (lambda items: array(items, part, len(metric.units(items)), f"{metric.unit}s"))

    def of_draws(weighted: Callable[[Items], Statistic], items: Items) -> Statistic:
        statistic = run(items, weighted)
        return lambda counts: array(items, lambda _own: statistic(counts.copy()), counts.shape[1], "draws")

    return dataclasses.replace(
        metric,
        name=plugin.name,
        formula=score,
        values=by_unit(metric.values),
        adds=by_unit(metric.adds),
        influence=by_unit(metric.influence),
        weighted=metric.weighted and partial(of_draws, metric.weighted),
        of_parts=False,
    )
