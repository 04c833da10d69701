"""Time encoders side by side: they take turns, round by round, with texts of the fixed sample.

A machine that is slower for a while slows all sides of a round. No torch here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from instructor_eval.core.pictures import Item
from instructor_eval.core.sample_texts import sample as sample_texts
from instructor_eval.models.engine import Totals

PASS_SECONDS = 2.0
"""The most seconds that one pass of the baseline takes, about."""
LEAST_TEXTS = 8
"""Texts of the shortest pass."""

Clock = Callable[[], float]


class Encodes(Protocol):
    """An encoder that is timed: an `Engine`, or a stand-in."""

    totals: Totals

    def encode(self, texts: Sequence[Item], instruction: str) -> Any:
        """Embed texts or pictures; done when it returns."""
        ...


def fitting(
    engine: Encodes,
    instruction: str,
    most: int,
    *,
    most_seconds: float = PASS_SECONDS,
    clock: Clock = time.perf_counter,
    sample: Callable[[int], Sequence[Item]] = sample_texts,
) -> int:
    """Return how many items of the sample one pass of about `most_seconds` takes, `most` at most.

    A few items are timed, then four times as many, until the time is long enough to tell. The better of two passes
    counts: the first one over new lengths also chooses kernels for them.
    """

    def seconds(count: int) -> float:
        items = sample(count)
        started = clock()
        engine.encode(items, instruction)
        return clock() - started

    probe = min(LEAST_TEXTS, most)
    engine.encode(sample(probe), instruction)  # the first call loads
    while True:
        taken = seconds(probe)
        if taken < most_seconds:
            taken = min(taken, seconds(probe))
        if probe == most or taken >= most_seconds / 8:
            fits = int(probe * most_seconds / taken) if taken > 0 else most
            return max(min(LEAST_TEXTS, most), min(most, fits))
        probe = min(4 * probe, most)


def take_turns(
    engines: Mapping[str, Encodes],
    texts: Sequence[Item],
    instruction: str,
    rounds: int,
    *,
    clock: Clock = time.perf_counter,
    turn: Callable[[str], contextlib.AbstractContextManager[None]] = lambda _name: contextlib.nullcontext(),
    announce: Callable[[int, Sequence[str]], None] = lambda _number, _order: None,
) -> dict[str, list[float]]:
    """Seconds that each engine takes for all of `texts`, round by round.

    Every round runs each engine once and begins with another one, so that none always follows the same. Each turn runs
    within `turn(name)`.
    """
    names = list(engines)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        order = names[first:] + names[:first]
        announce(number + 1, order)
        for name in order:
            with turn(name):
                started = clock()
                engines[name].encode(texts, instruction)
                seconds[name].append(clock() - started)
    return seconds
