"""Estimates of a comparison: a difference with its interval, the chance of seeing as much, or why there is none."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

from instructor_eval.analysis.statistics.unseen import Unseen

FEW = {"t": 5, "influence": 20, "cluster influence": 20, "bootstrap": 20, "cluster bootstrap": 20}
"""With fewer units than these an interval is weak: it leans on a shape that nobody has seen."""


class NotComparableError(Exception):
    """Two results are not of the same items; the text says in what they differ."""


@dataclass(frozen=True)
class Difference:
    """A difference of two scores with its interval, in the score's own unit, fractions of 1."""

    delta: float
    low: float | None = None
    """Ends of the two-sided 95 % interval; None where there is none."""
    high: float | None = None
    se: float | None = None
    n: int = 0
    """Units compared: queries, pairs, segments ...; of a mean over tasks, the tasks."""
    method: str = ""
    """t | influence | cluster influence | bootstrap | cluster bootstrap | welch; empty without an interval"""
    weak: bool = False
    """True where the interval rests on too few units to be relied on."""
    lower: float | None = None
    """One-sided 95 % bounds, each alone: Student's t's, below no more than items that were not drawn allow."""
    upper: float | None = None
    df: float = math.inf
    """Degrees of freedom of `se`."""
    unseen: tuple[Unseen, ...] = field(default=(), repr=False, compare=False)
    """The part of each task's differences that the lower bound needs; empty: it is t's."""

    @property
    def lower_by_t(self) -> float | None:
        """Student's t's lower bound alone."""
        return None if self.upper is None else 2 * self.delta - self.upper

    @property
    def turned(self) -> Difference:
        """Return the same difference, seen from the other side."""

        def minus(value: float | None) -> float | None:
            return None if value is None else -value

        return dataclasses.replace(
            self,
            delta=-self.delta,
            low=minus(self.high),
            high=minus(self.low),
            lower=minus(self.upper),
            upper=minus(self.lower),
        )

    @property
    def verdict(self) -> str:
        """One of better, worse, same (the interval holds 0: no difference shown), unknown (no interval)."""
        if self.low is None or self.high is None:
            return "unknown"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "same"


@dataclass(frozen=True)
class Chance:
    """One-sided p-values: how often so large a loss, or gain, would be seen if there was none of other items."""

    loss: float
    gain: float
    resamples: int = 0
    """Sign flips or swaps drawn; 0 for a p from t."""
    exact: bool = False
    """True where these were all there are."""
    method: str = ""
    """sign-flip | score swap | score swap, normal | welch"""

    @property
    def either(self) -> float:
        """The two-sided p: that there is any difference."""
        return min(1.0, 2 * min(self.loss, self.gain))
