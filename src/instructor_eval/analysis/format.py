"""Scores, differences and p-values as text and as JSON: one form for comparisons, gates and the board.

Texts are in points (x 100), JSON in fractions of 1. What is not known is None.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from instructor_eval.analysis.statistics.estimates import Difference

MARKS = {"better": "▲", "worse": "▼", "same": "=", "unknown": "?"}
"""`Difference.verdict` -> its sign."""
_WORDS = {"better": "better", "worse": "worse", "same": "=", "unknown": "?"}  # LaTeX has no such signs without packages


def points(value: float, places: int = 2) -> str:
    """A score in points: `63.25`."""
    return f"{100 * value:.{places}f}"


def score_text(value: float | None) -> str | None:
    """The same of one that may be unknown."""
    return None if value is None else points(value)


def interval_text(difference: Difference) -> str:
    """`-0.31 [-0.52, -0.10]`, the difference alone where there is no interval."""
    bare = _signed(difference.delta)
    if difference.low is None or difference.high is None:
        return bare
    return f"{bare} [{_signed(difference.low)}, {_signed(difference.high)}]"


def _signed(value: float) -> str:
    """Points with their sign; what is rounded to nothing is +0.00."""
    return f"{round(100 * value, 2) + 0.0:+.2f}"


def mark(difference: Difference, form: str) -> str:
    """The sign of a verdict, a word in LaTeX, and whether it rests on too few items: `▼ (weak)`."""
    return f"{(_WORDS if form == 'latex' else MARKS)[difference.verdict]}{' (weak)' if difference.weak else ''}"


def delta_header(form: str) -> str:
    """The header above differences with their intervals."""
    return "points [95 %]" if form == "latex" else "Δ points [95 %]"


def p_cell(p: float) -> str:
    """A p-value in a table: `0.012` or `<0.001`."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def as_json(difference: Difference | None) -> dict[str, Any] | None:
    """All of a difference; degrees of freedom are null where there are infinitely many."""
    if difference is None:
        return None
    df = difference.df if math.isfinite(difference.df) else None
    found = {f.name: getattr(difference, f.name) for f in dataclasses.fields(difference) if f.name != "unseen"}
    return {**found, "df": df, "verdict": difference.verdict}


def some(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are: `a, b, c and 4 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


SENTENCE = (
    "Embeddings are deterministic, so a measured drop on these items is real; the test says whether it would hold for "
    "other items of this kind."
)


def plural(unit: str, n: int) -> str:
    """`query` -> `queries` where `n` is not 1."""
    if n == 1 or not unit:
        return unit or "items"
    return f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"
