"""Quality against cost: which models are not beaten in both, drawn for each cost that is known of two or more."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from instructor_eval.analysis.board.rows import Board, Row
from instructor_eval.analysis.statistics.spreads import Spread, ends, mean
from instructor_eval.report import svg
from instructor_eval.report.labels import Box, Label, Mark, place, shortened
from instructor_eval.report.lines import VARIANT, Line

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 52, 590, 14, 334
"""The frame that dots are drawn in; names may stand to the right of it too."""
_FEW = 14
"""With at most so many points all are named, with more only the advised ones and some on the frontier."""
_LETTERS, _NARROW_LETTERS = 12, 21
"""Sizes of the font: as drawn, and in a narrow window (report.css), where the drawing is small."""
_STROKE, _NARROW_STROKE = 1.5, 3.5
"""How far a dot's rim reaches beyond it, likewise."""
_NARROW_FEW = 3


@dataclass(eq=False)
class Dot:
    """A row on the chart; places are in the drawing's units."""

    line: Line
    x: float
    y: float
    cost: float
    quality: float
    """Mean score, a fraction of 1."""
    spread: Spread | None
    complete: bool
    """True where its mean is over all the chart's tasks."""
    best: bool = False
    """True where no complete dot is at least as good in both and better in one."""
    low: float | None = None
    high: float | None = None
    label: Label | None = None
    """Its name in its place; None where it has none."""
    narrow: Label | None = None
    """The same in the larger letters of a narrow window, where few are named."""

    name: str = ""
    """As short as the chart needs it."""

    @property
    def radius(self) -> int:
        """Return how large it is drawn."""
        return 4 if self.line.parent else 6


@dataclass
class Chart:
    """One drawing: the mean score against one cost, on a log axis.

    The mean is over the tasks that all its rows have, where these are at least half of the board's, else over all.
    """

    key: str
    title: str
    """The quantity on the x axis, with its unit."""
    hint: str
    """Which side is better."""
    unit: str
    """The text behind a value: `90.3 MB on disk`."""
    tasks: int
    """How many tasks the mean is over, of so many."""
    of: int
    dots: list[Dot] = field(default_factory=list)
    frontier: str = ""
    """Path data."""
    families: list[str] = field(default_factory=list)
    """Path data: a line from a model to each of its variants."""
    x_ticks: list[tuple[float, str]] = field(default_factory=list)
    y_ticks: list[tuple[float, str]] = field(default_factory=list)
    advised: Sequence[Row] = ()
    """The rows that the page's advice names, the one to take first."""

    @property
    def quality(self) -> str:
        """Return the name of the y axis: `mean of 6 of 8 tasks`."""
        of = "" if self.tasks == self.of else f" of {self.of}"
        return f"mean of {self.tasks}{of} task{'s' * (self.of != 1)}"

    @property
    def best(self) -> list[Dot]:
        """The frontier, the best first."""
        return sorted((d for d in self.dots if d.best), key=lambda d: (-d.quality, d.name))

    @property
    def cheapest(self) -> str:
        """Return what its other end is: `fastest` or `smallest`."""
        return "fastest" if self.hint.startswith("faster") else "smallest"

    @property
    def shown(self) -> list[Dot]:
        """Return three of the frontier, the best first: both ends, and between them the advised one or the middle."""
        best = self.best
        if len(best) <= 3:
            return best
        between = [dot for dot in best[1:-1] if dot.line.row in self.advised]
        return [best[0], between[0] if between else best[len(best) // 2], best[-1]]


@dataclass(frozen=True)
class Axis:
    """A cost that can be drawn."""

    key: str
    title: str
    hint: str
    of: Callable[[Line], float | None]
    more_is_better: bool
    unit: str
    scale: float = 1.0


def parameters(line: Line) -> float | None:
    """Return the number of weights of its checkpoint, by the size of the fp32 file."""
    if line.kind == VARIANT and line.parent is not None:  # as many as its parent: sizes are rounded
        return parameters(line.parent)
    cost = line.cost
    if cost.file_bytes is None or cost.size_ratio is None or cost.baseline != "fp32":
        return None
    return cost.file_bytes * cost.size_ratio / 4


def query_milliseconds(line: Line) -> float | None:
    """Return the median time of one query, a batch of one, on the model's own machine."""
    return line.cost.query_ms.p50 if line.cost.query_ms else None


AXES = (
    Axis(
        "speed", "texts a second", "faster is to the right", lambda line: line.cost.texts_per_second, True,
        "texts a second",
    ),
    Axis(
        "pictures", "pictures a second", "faster is to the right", lambda line: line.cost.pictures_per_second, True,
        "pictures a second",
    ),
    Axis(
        "size", "weights on disk, MB", "smaller is to the left", lambda line: line.cost.file_bytes, False,
        "MB on disk", 1e6,
    ),
    Axis("parameters", "million parameters", "smaller is to the left", parameters, False, "million parameters", 1e6),
    Axis("latency", "milliseconds of one query", "faster is to the left", query_milliseconds, False, "ms a query"),
)  # fmt: skip


def charts(board: Board, lines: Sequence[Line], advised: Sequence[Row] = ()) -> list[Chart]:
    """Return a chart for each axis that two rows or more have a place on, in the order of `AXES`.

    Args:
        board: The board.
        lines: Its rows as the page has them.
        advised: The rows that the page's advice names, which are named in the drawing too.
    """
    tasks = set(board.tasks)  # a row may have parts of a task alone
    measured = [line for line in lines if line.row.source == "measured" and tasks & line.row.tasks.keys()]
    found = (_chart(axis, board, measured, advised) for axis in AXES)
    return [chart for chart in found if chart is not None]


def quality(line: Line, tasks: Sequence[str]) -> tuple[float, Spread | None, bool]:
    """Return a row's mean over those of the tasks it has, its interval, and whether it has all."""
    there = [task for task in tasks if task in line.row.tasks]
    value = sum(line.row.tasks[t] for t in there) / len(there)
    return value, mean([line.row.spreads.get(t) for t in there]), len(there) == len(tasks)


def _chart(axis: Axis, board: Board, lines: Sequence[Line], advised: Sequence[Row]) -> Chart | None:
    costs = {line: cost for line in lines if (cost := axis.of(line))}
    if len(costs) < 2:
        return None
    shared = [task for task in board.tasks if all(task in line.row.tasks for line in costs)]
    tasks = shared if 2 * len(shared) >= len(board.tasks) else board.tasks
    known = {line: quality(line, tasks) for line in costs}
    y = svg.score_scale([v for value, spread, _ in known.values() for v in (value, *ends(spread))], BOTTOM, TOP)
    units = [cost / axis.scale for cost in costs.values()]
    x = svg.Scale(min(units) / 1.15, max(units) * 1.15, LEFT, RIGHT, log=True)
    chart = Chart(axis.key, axis.title, axis.hint, axis.unit, len(tasks), len(board.tasks), advised=advised)
    for line, cost in costs.items():
        value, spread, complete = known[line]
        dot = Dot(line, x(cost / axis.scale), y(value), cost / axis.scale, value, spread, complete)
        if bar := ends(spread):
            dot.low, dot.high = map(y.within, bar)
        chart.dots.append(dot)
    _find_best(chart.dots, more_is_better=axis.more_is_better)
    best = sorted((d for d in chart.dots if d.best), key=lambda d: d.x)
    chart.frontier = _path(best) if len(best) > 1 else ""
    by_line = {dot.line: dot for dot in chart.dots}
    for dot in chart.dots:
        if dot.line.kind == VARIANT and dot.line.parent in by_line:
            chart.families.append(_path([by_line[dot.line.parent], dot]))
    _name(chart.dots)
    _place_names(chart)
    places = svg.log_ticks(x.low, x.high)
    chart.x_ticks = [(x(v), f"{v:,.12g}") for v in (places if len(places) > 2 else svg.ticks(x.low, x.high, 5))]
    chart.y_ticks = svg.score_ticks(y, 6)
    return chart


def _find_best(dots: Sequence[Dot], *, more_is_better: bool) -> None:
    sign = 1 if more_is_better else -1
    complete = [(sign * d.cost, d.quality, d) for d in dots if d.complete]
    for cost, value, dot in complete:
        dot.best = not any(c >= cost and v >= value and (c > cost or v > value) for c, v, _ in complete)


def _path(dots: Sequence[Dot]) -> str:
    return svg.curve((d.x, d.y) for d in dots)


def _name(dots: Sequence[Dot]) -> None:
    """Name the dots as briefly as tells them apart: model, instruction set, variant."""
    models, sets = {dot.line.row.name for dot in dots}, {dot.line.row.instructions for dot in dots}
    for dot in dots:
        row, line = dot.line.row, dot.line
        is_head = line.level == 0
        parts = [(row.name or row.model).rsplit("/", 1)[-1]] if is_head or len(models) > 1 else []
        of_head = line.kind == VARIANT and line.parent is not None and line.parent.level == 0
        parts += [row.instructions] if len(sets) > 1 and not is_head and not of_head else []
        parts += [row.short] if line.kind == VARIANT else []
        dot.name = " · ".join(parts)
    known = Counter(dot.name for dot in dots)
    for dot in dots:
        if known[dot.name] > 1:
            dot.name = dot.line.label


def _place_names(chart: Chart) -> None:
    """Place the names of all dots, or of the advised and some of the best where there are many."""
    dots = chart.dots
    important = [dot for row in chart.advised for dot in dots if dot.line.row is row]
    by_x = sorted((dot for dot in dots if dot.best), key=lambda d: d.x)
    if len(dots) > _FEW:
        step = max(1.0, (len(by_x) - 1) / (_FEW - 3))  # both ends, and what lies evenly between
        by_x = [by_x[i] for i in sorted({round(n * step) for n in range(_FEW)}) if i < len(by_x)]
        named = list(dict.fromkeys([*important, *by_x]))[:_FEW]
    else:
        named = list(dict.fromkeys([*important, *by_x, *sorted(dots, key=lambda d: (d.line.level, -d.quality))]))
    few = list(dict.fromkeys([*important, *chart.shown]))[:_NARROW_FEW]
    for dot, label in zip(named, _labels(named, chart, _LETTERS, _STROKE), strict=True):
        dot.label = label
    for dot, label in zip(few, _labels(few, chart, _NARROW_LETTERS, _NARROW_STROKE), strict=True):
        dot.narrow = label


def _labels(named: Sequence[Dot], chart: Chart, size: int, stroke: float) -> list[Label | None]:
    marks = {dot: Mark(dot.x, dot.y, dot.radius + stroke, dot.low, dot.high) for dot in chart.dots}
    frontier = itertools.pairwise(sorted((d for d in chart.dots if d.best), key=lambda d: d.x))
    by_line = {dot.line: dot for dot in chart.dots}
    families = [(by_line[d.line.parent], d) for d in chart.dots if d.line.kind == VARIANT and d.line.parent in by_line]
    lines = [((one.x, one.y), (other.x, other.y)) for one, other in (*frontier, *families)]
    frame = Box(LEFT + 2, TOP - 12, WIDTH - 2, BOTTOM - 2)
    return place([(marks[dot], shortened(dot.name)) for dot in named], list(marks.values()), lines, frame, size)
