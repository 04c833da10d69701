"""A metric as a value: how a score comes of its items, and all that statistics, gates, baselines and checks ask of it.

Only a name and a formula are needed. Of a metric of which nothing more is said, statistics compute it again from other
draws of the items, or from mixtures of two systems' items; each further field replaces that by something faster and
sharper. A file a family says it of ours; a package's metric may say as much (docs/plugins.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items

Numbers: TypeAlias = npt.NDArray[np.float64]
Places: TypeAlias = npt.NDArray[np.int64]
N = TypeVar("N", np.float64, np.int64)
Statistic: TypeAlias = Callable[[Numbers], Numbers]
"""A metric of many draws at once: counts [units, draws], how often each unit was drawn, to one value a draw."""

_FEW = 5
GIVEN = frozenset({"gold", "relevant", "segment", "group"})
"""Columns that are the task's; all others are the system's own."""


@dataclass(frozen=True)
class Metric:
    """A metric: higher is better, but of those with `lower`."""

    name: str
    formula: Callable[[Items], float]
    """The published number, exactly."""
    unit: str = "item"
    """The unit that statistics resample, in words."""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    columns: tuple[str, ...] = ()
    """Columns that comparing needs beside the id, and a baseline stores; empty: all."""
    ranked: tuple[str, ...] = ()
    """Those of which only the order counts: a baseline stores their ranks, and swapping exchanges ranks."""
    cluster: str = ""
    """A column whose equal values make one unit, where items have it or `columns` name it; empty: each item is one."""
    strata: str = ""
    """A column within whose equal values items are drawn. Their order in the items decides between equals."""
    column: str = ""
    """The column that it is the mean of, up to rounding; its values stand for themselves."""
    values: Callable[[Items], Numbers] | None = None
    """Any other values that it is the mean of, [units]."""
    aggregated: bool = False
    """True if a unit's value is itself a mean of many items: a split's, an article's."""
    adds: Callable[[Items], Numbers] | None = None
    """The share of each unit in a score that is no mean, [units]: the mean is the score."""
    influence: Callable[[Items], Numbers] | None = None
    """The score plus each unit's empirical influence, [units]: the mean is the score, the spread gives its standard
    error; NaN where there is no score.

    The influence is the derivative of the score by the unit's weight times the number of units (Hampel 1974; Efron and
    Tibshirani 1993, chapter 21: the infinitesimal jackknife). Standard errors of it are right for Spearman with 30
    pairs, where a bootstrap's, whose draws repeat pairs and so tie ranks, is a third too large.
    """
    weighted: Callable[[Items], Statistic] | None = None
    """The metric of draws of these items, without copying or sorting them again."""
    correlates: tuple[str, str] | None = None
    """The columns of gold values and of the system's, if it is a correlation of these."""
    positives: str = ""
    """A column of 0 and 1, if it is a precision of finding the 1s: with few of these it rests on few units."""
    of_parts: bool = False
    """True if it is the mean of other tasks' scores, which are its items."""
    over_subqueries: bool = False
    """True if its items are merged from those that mteb scores."""
    lower: bool = False
    """True if a lower value is better."""
    neutral: bool = False
    """True if neither a high nor a low value is better: it is one to set, not to rank by."""
    mteb: str = ""
    """mteb's own name of the number that it is checked against; empty: the same."""

    def compute(self, items: Items) -> float:
        """Return the score of items.

        Raises:
            UserError: the items lack its columns, or a package's metric fails or gives no finite number.
        """
        try:
            return float(self.formula(items))
        except KeyError as e:
            raise self.missing(e) from e

    def missing(self, column: KeyError) -> UserError:
        """Return the error of a column that the items lack."""
        return UserError(
            f"the items hold no column {column} for {self.name}: the file is not whole, run the task again"
        )

    def unit_values(self, items: Items) -> Numbers | None:
        """Return the values that the score is the mean of, float64 [units]; None where it is no mean.

        Raises:
            KeyError: a column is missing; so with all methods here.
        """
        if self.column:
            return np.asarray(items[self.column], dtype=np.float64)
        return None if self.values is None else self.values(items)

    def influences(self, items: Items) -> Numbers | None:
        """Return the score plus each unit's influence, float64 [units]: of a mean its values; None if not known."""
        values = self.unit_values(items)
        if values is not None or self.influence is None:
            return values
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.influence(items)

    def contributions(self, items: Items) -> Numbers | None:
        """Return what each unit adds to the score, float64 [units] whose mean is the score; None if not known."""
        return self.influences(items) if self.adds is None else self.adds(items)

    def is_clustered(self, items: Items) -> bool:
        """Return whether units are whole clusters of these items."""
        return self.cluster in items or self.cluster in self.columns

    def units(self, items: Items) -> list[str]:
        """Return the units' names: ids, or clusters in the order of their first items."""
        return (
            list(dict.fromkeys(map(str, items[self.cluster]))) if self.is_clustered(items) else [*map(str, items["id"])]
        )

    def places(self, items: Items) -> Places:
        """Return the unit that each item is of, int64 [items], in the order of `units`."""
        if not self.is_clustered(items):
            return np.arange(len(items["id"]))
        number = {name: i for i, name in enumerate(self.units(items))}
        return np.array([number[str(name)] for name in items[self.cluster]], dtype=np.int64)

    def method(self, items: Items) -> str:
        """Name what standard errors are from: t, or (cluster) influence, or (cluster) bootstrap."""
        if self.column or self.values:
            return "t"
        return ("cluster " if self.is_clustered(items) else "") + ("influence" if self.influence else "bootstrap")

    def count_positives(self, items: Items) -> int:
        """Return how many 1s there are to find."""
        return int(np.count_nonzero(np.asarray(items[self.positives]) == 1))

    def rests_on_few(self, items: Items) -> bool:
        """Return whether there are fewer than five positives, or negatives, to find."""
        if not self.positives:
            return False
        positives = self.count_positives(items)
        return min(positives, len(items[self.positives]) - positives) < _FEW

    @property
    def own(self) -> tuple[str, ...]:
        """The columns that are a system's own, of those that it is computed from; empty where these are not known."""
        return tuple(name for name in self.columns if name not in GIVEN)


def summed(rows: npt.NDArray[N], places: Places) -> npt.NDArray[N]:
    """Return the sums of the items' rows [items, ...] over each unit: [units, ...]."""
    sums = np.zeros((int(places.max(initial=-1)) + 1, *rows.shape[1:]), dtype=rows.dtype)
    np.add.at(sums, places, rows)
    return sums
