"""The result of timing two models in turns: the ratio with its interval, and the verdict."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from instructor_eval.analysis.gate.quality import IMPROVED, INCONCLUSIVE, OK, REGRESSED


@dataclass(frozen=True)
class Speed:
    """Both sides, as their rounds left them."""

    verdict: str
    baseline: str
    candidate: str
    limit: float
    """Candidate's seconds / baseline's."""
    baseline_seconds: tuple[float, ...]
    """For one pass over the texts, round by round."""
    candidate_seconds: tuple[float, ...]
    texts: int
    tokens: int
    """Of the texts, as the baseline reads them."""
    device: str
    machine: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    gate: str = "speed"

    @property
    def rounds(self) -> int:
        """Return how often both had their turn."""
        return len(self.candidate_seconds)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Return how many times as fast as the baseline, round by round."""
        pairs = zip(self.baseline_seconds, self.candidate_seconds, strict=True)
        return tuple(base / own if own > 0 else math.inf for base, own in pairs)

    @property
    def ratio(self) -> float:
        """Return how many times as fast as the baseline: the median of the rounds' ratios."""
        return median(self.ratios)

    @property
    def interval(self) -> tuple[float, float]:
        """Of that median."""
        return interval(self.ratios)

    @property
    def line(self) -> str:
        """The outcome in one line."""
        low, high = self.interval
        return (
            f"speed: {self.verdict}: {self.ratio:.2f} times as fast as the baseline [{low:.2f}-{high:.2f}], at least "
            f"{1 / self.limit:.2f} passes; {self.rounds} rounds in turn, {self.texts:,} texts, on {self.device}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return all of it for JSON: seconds, and ratios of speeds."""
        low, high = self.interval
        return dataclasses.asdict(self) | {
            "ratio": self.ratio, "ratio_low": low, "ratio_high": high, "ratios": list(self.ratios),
            "rounds": self.rounds, "line": self.line,
        }  # fmt: skip


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return an interval of the median: the k-th least and greatest value, k by the sign test.

    It misses the median of what the values are drawn from with a chance of 1/16 at most; of fewer than five values it
    is the least and the greatest, and misses more often.
    """
    ordered, n, k, outside = sorted(values), len(values), 1, 2.0 ** (1 - len(values))
    while k < (n + 1) // 2:
        outside += 2 * math.comb(n, k) / 2**n
        if outside > _OUTSIDE:
            break
        k += 1
    return ordered[k - 1], ordered[n - k]


def decide(ratios: Sequence[float], limit: float) -> str:
    """Return the verdict on the ratios of speed, one a round; up to `limit` times slower passes."""
    low, high = interval(ratios)
    if high < 1 / limit:
        return REGRESSED
    if low > limit:
        return IMPROVED
    return OK if low >= 1 / limit else INCONCLUSIVE


_OUTSIDE = 1 / 16
"""Chance that the median lies outside the interval, at most, where there are rounds enough: that of five."""
