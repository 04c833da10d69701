"""Score and index size against chunk size: two panels on one log axis, whole documents at a place of their own."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from instructor_eval.analysis.study.chunks import Size, TaskChunks
from instructor_eval.report import svg
from instructor_eval.report.labels import width_of

WIDTH, LEFT, RIGHT = 760, 76, 744
SCORES, INDEXES = (34, 224), (276, 356)
"""Top and bottom of the panels; each panel's title stands above it."""
_NAMED = 76
"""Width of the place of a size that is no number of tokens."""
_GAP = 16
"""Between dots of as many tokens, with other overlaps."""
_LETTERS, _NARROW_LETTERS = 12, 21
"""Sizes of the font: as drawn, and in a narrow window (report.css)."""
_ROWS = 3
_TOKENS = re.compile(r"([1-9][0-9]{0,8})(:[0-9]{1,9})?")


@dataclass
class Point:
    """One chunk size; places are in the drawing's units."""

    size: Size
    x: float
    y: float
    best: bool
    low: float | None = None
    """Ends of its bar, which None has not: it is what the others are compared with."""
    high: float | None = None
    index_y: float | None = None
    """None where the size of its index is not known."""

    @property
    def overlaps(self) -> bool:
        """Return whether its chunks overlap."""
        return ":" in self.size.size


@dataclass
class ChunkChart:
    """One task of a study of chunk sizes."""

    width, left, right = WIDTH, LEFT, RIGHT
    scores, indexes = SCORES, INDEXES
    metric: str
    base: str
    """The size that the others are compared with."""
    base_y: float
    points: list[Point]
    unit: str
    """Of the lower panel; empty where there is none."""
    score_ticks: list[tuple[float, str]]
    index_ticks: list[tuple[float, str]]
    curves: list[str] = field(default_factory=list)
    """Path data: scores, then bytes, of chunks without overlap."""
    names: list[tuple[float, int, str]] = field(default_factory=list)
    """Sizes below the axis: place, row and text; then the same in a narrow window."""
    narrow: list[tuple[float, int, str]] = field(default_factory=list)

    @property
    def overlaps(self) -> bool:
        """Return whether some of the chunks overlap."""
        return any(point.overlaps for point in self.points)

    @property
    def bottom(self) -> int:
        """Return where the sizes' names begin."""
        return INDEXES[1] if self.unit else SCORES[1]

    @property
    def height(self) -> int:
        """Return the drawing's height."""
        return self.bottom + 42 + max((34 * row + 24 for _, row, _ in self.narrow), default=0)


def chunk_chart(task: TaskChunks) -> ChunkChart | None:
    """Return the drawing of a task's sizes; None where fewer than two have a score.

    A bar is the 95 % interval of the paired difference from the base, drawn around the size's own score.
    """
    sizes = [one for one in task.sizes if math.isfinite(one.score)]
    if len(sizes) < 2:
        return None
    ends = [_ends(one) for one in sizes]
    values = [value for one, pair in zip(sizes, ends, strict=True) for value in (one.score, *pair)]
    y = svg.score_scale(values, SCORES[1], SCORES[0])
    most = max((one.index_bytes or 0 for one in sizes), default=0)
    scale, unit = (1e9, "GB") if most >= 1e10 else (1e6, "MB")
    down = svg.Scale(0.0, 1.1 * most / scale, INDEXES[1], INDEXES[0])
    points = [
        Point(one, x, y(one.score), one.size == task.best, *map(y.within, pair))
        for one, x, pair in zip(sizes, _places(sizes), ends, strict=True)
    ]
    for point in points:
        if most and point.size.index_bytes is not None:
            point.index_y = down(point.size.index_bytes / scale)
    base = task.base
    chart = ChunkChart(
        task.metric, base.size, y(base.score), points, unit if most else "",
        svg.score_ticks(y, 5),
        [(down(v), f"{v:,.10g}") for v in svg.ticks(0.0, down.high, 3)] if most else [],
    )  # fmt: skip
    plain = sorted((p for p in points if _tokens(p.size.size) and not p.overlaps), key=lambda p: p.x)
    curves = [[(p.x, p.y) for p in plain], [(p.x, p.index_y) for p in plain if p.index_y is not None]]
    chart.curves = [svg.curve(curve) for curve in curves if len(curve) > 1]
    chart.names, chart.narrow = (_named(points, letters) for letters in (_LETTERS, _NARROW_LETTERS))
    return chart


def _ends(one: Size) -> list[float]:
    """Return the ends of a size's bar, as scores; none where it is the base, or no interval is known."""
    gain = one.gain
    if gain.low is None or gain.high is None or gain.low == gain.high or not math.isfinite(gain.low + gain.high):
        return []
    return [one.score - gain.delta + gain.low, one.score - gain.delta + gain.high]


def _tokens(name: str) -> int:
    """Return how many tokens a size's name says; 0 where it says none, as `whole` does."""
    found = _TOKENS.fullmatch(name)
    return int(found[1]) if found else 0


def _places(sizes: Sequence[Size]) -> list[float]:
    tokens = [_tokens(one.size) for one in sizes]
    numbers, named = [n for n in tokens if n], [i for i, n in enumerate(tokens) if not n]
    step = min(_NAMED, (RIGHT - LEFT) / 2 / max(len(named), 1))
    end = RIGHT - step * len(named)
    found = dict(zip(named, (round(end + step * (i + 0.5), 1) for i in range(len(named))), strict=True))
    if numbers:
        x = svg.Scale(min(numbers), max(numbers), LEFT + 30, end - 30, log=True)
        gap = min(_GAP, (end - LEFT - 60) / len(numbers))
        apart = svg.spread_apart([x(n) for n in numbers], gap, LEFT + 30, end - 30)
        found |= dict(zip((i for i, n in enumerate(tokens) if n), apart, strict=True))
    return [found[i] for i in range(len(sizes))]


def _named(points: Sequence[Point], letters: int) -> list[tuple[float, int, str]]:
    """Return the sizes' names, each in the first row that has room for it; without room it is left to the table."""
    found: list[tuple[float, int, str]] = []
    ends = [-math.inf] * _ROWS
    for point in sorted(points, key=lambda p: p.x):
        half = width_of(point.size.size, letters) / 2
        row = next((row for row, end in enumerate(ends) if end + letters / 3 <= point.x - half), None)
        if row is not None and half <= min(point.x, WIDTH - point.x):
            ends[row] = point.x + half
            found.append((point.x, row, point.size.size))
    return found
