"""Geometry for the page's drawings: numbers in, numbers and path data out. Templates write the elements."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True)
class Scale:
    """Values to places on one axis of a drawing; a place may run against its value."""

    low: float
    high: float
    start: float
    """Where `low` is drawn."""
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a value, to a tenth."""
        low, high, at = (self._shape(v) for v in (self.low, self.high, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    def within(self, value: float) -> float:
        """Return the place of a value, or of the end that it lies beyond."""
        return self(min(max(value, self.low), self.high))

    def _shape(self, value: float) -> float:
        return math.log10(value) if self.log else value


def score_scale(values: Sequence[float], start: float, end: float, *, room: float = 0.05) -> Scale:
    """Return an axis that holds all scores, with a little room; what differs by rounding alone stays in one place."""
    low, high = min(values), max(values)
    beyond = max(room * (high - low), 0.001)
    return Scale(max(low - beyond, -1.0), min(high + beyond, 1.0), start, end)


def score_ticks(scale: Scale, most: int) -> list[tuple[float, str]]:
    """Return places on an axis of scores, and the points that stand there."""
    return [(scale(v), f"{100 * v:.10g}") for v in ticks(scale.low, scale.high, most)]


def curve(places: Iterable[tuple[float, float]]) -> str:
    """Return straight lines from place to place as path data."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in places)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return round values from `low` to `high`, at most about `most` of them."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(s * size for s in _STEPS if s * size >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten from `low` to `high`; only the powers where these are many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [m * 10.0**d for d in decades for m in (1, 2, 5)]
    inside = [v for v in found if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]
    powers = [v for v in inside if math.log10(v) == round(math.log10(v))]
    return powers if len(inside) > 8 and len(powers) > 1 else inside


def bars(counts: Sequence[int], height: int) -> str:
    """Return a histogram's outline as path data: each bar a unit wide; no count is invisible."""
    most = max(counts, default=0)
    tops = [height - (max(1, round(height * count / most)) if count else 0) for count in counts]
    return f"M0 {height}" + "".join(f"V{top}h1" for top in tops) + f"V{height}z"


def around_zero(values: Iterable[float]) -> tuple[float, float]:
    """Return the ends of an axis that holds zero and all values, with a little room.

    Values that are all within a billionth of each other are drawn as equal: such a difference is of rounding, and
    6 % of the smallest floats is 0, which is no room at all.
    """
    every = [0.0, *(v for v in values if math.isfinite(v))]
    low, high = min(every), max(every)
    room = 0.06 * (high - low) if high - low > 1e-9 else 0.001
    return low - room, high + room


def spread_apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return the places, moved as little as needed to be `gap` apart, within `low` and `high`."""
    order = sorted(range(len(places)), key=places.__getitem__)
    found = list(places)
    floor = low
    for i in order:
        found[i] = max(found[i], floor)
        floor = found[i] + gap
    ceiling = high
    for i in reversed(order):
        found[i] = min(found[i], ceiling)
        ceiling = found[i] - gap
    return [round(v, 1) for v in found]
