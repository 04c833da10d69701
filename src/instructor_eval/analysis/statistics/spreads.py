"""A score with its interval and replicates, and means of such scores; `replicates.py` makes them of items.

This module is light: the board needs no more where all that it shows was computed before.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from instructor_eval.analysis.statistics import difference
from instructor_eval.analysis.statistics.estimates import Difference

if TYPE_CHECKING:
    from instructor_eval.metrics.metric import Numbers

ROUNDS = 1000
"""Replicates of a score, and rounds of the bootstrap of ranks."""


@dataclass(frozen=True)
class Spread:
    """A score with its 95 % interval; fractions of 1."""

    value: float
    low: float | None = None
    high: float | None = None
    se: float | None = None
    n: int = 0
    """Units: queries, pairs, segments ...; of a mean over tasks, the tasks."""
    method: str = ""
    """t | influence | cluster influence | bootstrap | cluster bootstrap | welch: where `se` is from; empty without an
    interval"""
    weak: bool = False
    """True where the interval rests on too few units to be relied on."""
    df: float = math.inf
    replicates: Numbers | None = field(default=None, repr=False, compare=False)
    """The score of other draws of the items, [rounds]; None where they were not asked for, or cannot be had."""

    @property
    def half(self) -> float | None:
        """Half the interval's width; the score is not in its middle where it is near 0 or 1."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def ends(spread: Spread | None) -> tuple[float, ...]:
    """Return the two ends of an interval; none where there is none."""
    return () if spread is None or spread.low is None or spread.high is None else (spread.low, spread.high)


def mean(spreads: Sequence[Spread | None]) -> Spread | None:
    """The mean of the scores of several tasks, which are taken as independent; None unless all have an interval."""
    known = [s for s in spreads if s is not None and s.se is not None]
    if not known or len(known) < len(spreads):
        return None
    found = difference.mean(Difference(s.value, s.low, s.high, s.se, s.n, s.method, s.weak, df=s.df) for s in known)
    return Spread(found.delta, found.low, found.high, found.se, found.n, found.method, found.weak, found.df)


def of_parts(parts: Sequence[Spread], value: float) -> Spread | None:
    """A mean of parts: the interval of the parts' mean, and the mean of their replicates."""
    found = mean(parts)
    if found is None:
        return None
    import numpy as np

    made = [p.replicates for p in parts if p.replicates is not None]
    whole = None
    if len(made) == len(parts):
        whole = np.stack([r[: min(map(len, made))] for r in made]).mean(axis=0)
    return dataclasses.replace(found, value=value, replicates=whole)
