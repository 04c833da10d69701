"""Checks of columns of items, and their words for what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from instructor_eval.core.values import Items
from instructor_eval.tasks.types.base import Filed

Array: TypeAlias = npt.NDArray[np.float64]
ROUNDING = 1e-9
"""The error allowed in sums and quotients of float64, with room to spare."""
FIVE_PLACES = 1.1e-5
"""mteb rounds its means to five places."""


def report(items: Items, bad: npt.ArrayLike, text: Callable[[int], str]) -> Iterator[str]:
    """Yield the first bad item in words, and how many more there are."""
    at = np.flatnonzero(bad)
    if len(at):
        more = f" (and {len(at) - 1:,} more items)" if len(at) > 1 else ""
        yield f"item {str(items['id'][at[0]])[:80]}: {text(int(at[0]))}{more}"


def within(items: Items, name: str, limits: tuple[float, float]) -> Iterator[str]:
    """Check that every value of a column is within bounds."""
    values, (low, high) = numbers(items[name]), limits
    bad = (values < low - ROUNDING) | (values > high + ROUNDING)
    words = f"at least {low:.0f}" if high == math.inf else f"between {low:.0f} and {high:.0f}"
    yield from report(items, bad, lambda i: f"{name} is {values[i]:.7g}, it must be {words}")


def numbers(values: object) -> Array:
    """Return a column as float64."""
    return np.asarray(values, dtype=np.float64)


def zero_or_one(items: Items, name: str) -> Iterator[str]:
    """Check that every value of a column is 0 or 1."""
    values = numbers(items[name])
    yield from report(items, (values != 0) & (values != 1), lambda i: f"{name} is {values[i]:.7g}, not 0 or 1")


def beside(filed: Filed, name: str, expected: float, what: str, room: float = FIVE_PLACES) -> Iterator[str]:
    """Check a figure beside the score, where there is one."""
    given = filed.metrics.get(name)
    if given is not None and not abs(given - expected) <= room:
        yield f"metrics: {name} is {given:.7g}, the {what} {expected:.7g}"


def whole_numbers(items: Items, values: Array, what: str) -> Iterator[str]:
    """Check that values are whole numbers, to a millionth."""
    off = np.abs(values - np.round(values)) > 1e-6
    yield from report(items, off, lambda i: f"{what} is {values[i]:.7g}, it must be a whole number")


def equal(items: Items, values: Array, others: Array, what: str, other: str) -> Iterator[str]:
    """Check that two columns are equal, to a millionth."""
    off = np.abs(values - others) > 1e-6
    yield from report(items, off, lambda i: f"{what} is {values[i]:.7g}, {other} {others[i]:.7g}")
