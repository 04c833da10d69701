"""Possible loss on items that were not drawn: the lower bound that a gate's OK rests on.

Student's t knows only the differences that were seen. Where few items change, most samples hold none of those that lose
much, and t says that nothing can be lost: with 2 in 100 items lost, 30 items show none half of the time. So a bound is
taken in which one more item, unseen, has lost much: the mean of the differences and that one under random weights
(uniform on the simplex; the Bayesian bootstrap, Rubin 1981), its 5 % point. This is Gaffke's bound (Gaffke 2005;
Learned-Miller and Thomas 2020, arXiv:1905.06208). For losses of 0 or 1 it is that of Clopper and Pearson (1934), with
nothing changed the rule of three; with many changes it is Student's t.

The unseen loss is the most that a unit can lose, what the best one adds to the baseline's score. Where many units
changed it is less: (1 + 10 / k) times the largest change, where k = (Σd²)² / Σd⁴ says how many changes there are (k
equal ones are k, one that stands out is 1). Beside it stands, for single items, the rule of three itself: however the
others changed, n items cannot exclude that a share of 1 - 0.05^(1/n) loses all. Units that are means of many items
themselves (splits, articles) have no such floor.

Of the mean of tasks it is the 5 % point of the sum; the unseen item is in the one task where it weighs most, which is
the worst case where nothing is seen.

The 5 % point is taken from the first four moments, which are known, by Cornish and Fisher's expansion: within 2 % of
the exact one (`tests/analysis/statistics/test_unseen.py`). Simulated in `benchmarks/verdicts.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from instructor_eval.metrics.metric import Numbers

LEVEL = 0.05
_Z = -1.6448536269514722
"""The normal distribution's 5 % point."""
_SPARE = 10.0
"""The factor by which an unseen loss may exceed the largest change seen, for one change; a k-th of it for k."""


@dataclass(frozen=True)
class Unseen:
    """The differences of one task, as far as the bound needs them; all fractions of 1."""

    n: int
    """Units."""
    mean: float
    moments: tuple[float, float, float]
    """Second, third and fourth central moments."""
    loss: float
    """The loss that one unseen unit may have."""
    floor: float
    """The loss that each of a share 1 - 0.05^(1/n) of the units may have, whatever was seen; 0: no such floor."""
    weight: float = 1.0
    """Of this task in the mean."""


def describe(values: Numbers, *, most: float, floor: float, aggregated: bool = False) -> Unseen:
    """Describe paired differences for `lower`.

    Args:
        values: Candidate less baseline, float64 [units].
        most: What a unit can lose at most.
        floor: What units that no one has seen may lose on average.
        aggregated: Whether a unit is the mean of many items; then, where all changed, an unseen one loses no more than
            those that were seen.
    """
    import numpy as np

    squares = values**2
    fourth = float(np.sum(squares**2))
    middle = float(np.mean(values))
    second, third, last = (float(np.mean((values - middle) ** r)) for r in (2, 3, 4))
    if fourth <= 0:
        loss = most
    else:
        k = float(np.sum(squares)) ** 2 / fourth
        spare = 0.0 if aggregated and bool(np.all(values != 0)) else _SPARE / k
        loss = min(most, (1 + spare) * float(np.max(np.abs(values))))
    return Unseen(len(values), middle, (second, third, last), loss, floor)


def lower(tasks: Sequence[Unseen], *, growth: float = 1.0) -> float:
    """Return the one-sided 95 % lower bound of the weighted mean of the tasks.

    Args:
        tasks: At least one; their weights add up to 1.
        growth: As if there were so many times as many units, with the same moments.
    """
    worst = max(range(len(tasks)), key=lambda i: tasks[i].weight * tasks[i].loss / tasks[i].n)
    middle = spread = skew = peak = 0.0
    for i, task in enumerate(tasks):
        found = _cumulants(task, task.n * growth, unseen=i == worst)
        middle, spread, skew, peak = (
            total + task.weight**r * part
            for r, total, part in zip((1, 2, 3, 4), (middle, spread, skew, peak), found, strict=True)
        )
    rare = max(t.weight * t.floor * (1 - LEVEL ** (1 / (t.n * growth))) for t in tasks)
    return float(min(middle + _quantile(spread, skew, peak), -rare))


def _cumulants(task: Unseen, n: float, *, unseen: bool) -> tuple[float, float, float, float]:
    """Of the mean of a task's differences under weights drawn uniformly from the simplex."""
    second, third, fourth = task.moments
    size, middle = n, task.mean
    sums = [n * second, n * third, n * fourth]
    if unseen:
        size = n + 1
        middle = (n * task.mean - task.loss) / size
        shift, own = task.mean - middle, -task.loss - middle
        sums = [
            n * (second + shift**2) + own**2,
            n * (third + 3 * shift * second + shift**3) + own**3,
            n * (fourth + 4 * shift * third + 6 * shift**2 * second + shift**4) + own**4,
        ]
    two, three, four = sums
    spread = two / (size * (size + 1))
    skew = 2 * three / (size * (size + 1) * (size + 2))
    raw = (6 * four + 3 * two**2) / (size * (size + 1) * (size + 2) * (size + 3))
    return middle, spread, skew, raw - 3 * spread**2


def _quantile(spread: float, skew: float, peak: float) -> float:
    """The 5 % point of a variable with mean 0 and these cumulants (Cornish and Fisher 1938)."""
    if spread <= 0:
        return 0.0
    a, b = skew / spread**1.5, peak / spread**2
    z = _Z + a * (_Z**2 - 1) / 6 + b * (_Z**3 - 3 * _Z) / 24 - a * a * (2 * _Z**3 - 5 * _Z) / 36
    return float(z * spread**0.5)
