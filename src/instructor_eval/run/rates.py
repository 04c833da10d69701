"""Speed of a model on the texts that a run would give it: a short calibration, class of length by class of length.

Short inputs and long ones differ several times in tokens per second (the cost of a batch against that of attention),
and little within a class. What is timed is a random sample of the very inputs, in the engine's own batches.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from instructor_eval.run.counting import CLASSES, Sample
from instructor_eval.run.turns import Clock, Encodes

PASS_SECONDS = 0.6
PASSES = 3
_FIRST = 8
_SHARE = 0.03
"""A class with less of the tokens is not timed: it takes the rate of its neighbour."""
SPREAD = (0.9, 1.2)
"""The factor by which an estimate's ends lie beyond the fastest and slowest pass: a long run is neither. On busy or hot
machines it takes longer, hardly ever less."""


@dataclass(frozen=True)
class Rate:
    """Tokens a second: those of the slowest and the fastest pass."""

    low: float
    high: float


@dataclass(frozen=True)
class Seconds:
    """An estimate: most likely between the two."""

    low: float
    high: float

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.low + other.low, self.high + other.high)

    def __str__(self) -> str:
        """As `2 to 3 min`: two figures, no more than an estimate knows."""
        if self.high < 1:
            return "< 1 s"
        unit, name = next(
            (u, n) for u, n in ((3600.0, "h"), (60.0, "min"), (1.0, "s")) if self.high >= 1.5 * u or u == 1
        )
        low, high = _rounded(self.low / unit), _rounded(self.high / unit)
        return f"{high} {name}" if low == high else f"{low} to {high} {name}"


def _rounded(value: float) -> str:
    """Two figures: 0.4, 1.2, 25, 130."""
    if value < 9.95:
        return f"{value:.1f}".removesuffix(".0")
    digits = len(str(int(value))) - 2
    return f"{round(value, -digits):,.0f}"


def measure_rates(
    engine: Encodes, sample: Sample, tokens: Sequence[int], *, clock: Clock = time.perf_counter
) -> list[Rate | None]:
    """The rate of each class of length; None where the run has no tokens at all.

    Args:
        engine: The model, without a cache.
        sample: Inputs to be computed.
        tokens: How many are to be computed, by class of length.
        clock: Gives seconds.

    Raises:
        UserError: the model cannot be loaded, or gives no usable vectors.
    """
    whole = sum(tokens)
    found: list[Rate | None] = [
        _timed(engine, sample.texts(cls), clock) if tokens[cls] > _SHARE * whole else None for cls in range(CLASSES)
    ]
    known = [cls for cls in range(CLASSES) if found[cls] is not None]
    return [found[min(known, key=lambda k: abs(k - cls))] if known else None for cls in range(CLASSES)]


def _timed(engine: Encodes, texts: Sequence[str], clock: Clock) -> Rate | None:
    def run(count: int) -> tuple[float, int]:
        before, started = engine.totals.tokens, clock()
        engine.encode(texts[:count], "")
        return clock() - started, engine.totals.tokens - before

    count = min(_FIRST, len(texts))
    if not count:
        return None
    run(count)  # loads the network, and chooses kernels
    taken, _ = run(count)
    while taken < PASS_SECONDS / 4 and count < len(texts):
        count = min(4 * count, len(texts))
        taken, _ = run(count)
    fitting = int(count * PASS_SECONDS / taken) if taken > 0 else len(texts)
    count = max(1, min(len(texts), fitting))
    rates = [tokens / seconds for seconds, tokens in (run(count) for _ in range(PASSES)) if seconds > 0]
    return Rate(min(rates), max(rates)) if rates else None


def estimate(tokens: Sequence[int], rates: Sequence[Rate | None]) -> Seconds | None:
    """The time that so many tokens of each class take; None where a rate that is needed is not known."""
    low = high = 0.0
    for count, rate in zip(tokens, rates, strict=True):
        if count and rate is None:
            return None
        if rate is not None:
            low += count / rate.high
            high += count / rate.low
    return Seconds(low * SPREAD[0], high * SPREAD[1])
