"""Score against step: the rows that `evaluate train` files, `RUN@step-N`, a drawing a run, with intervals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from instructor_eval.analysis.statistics.spreads import Spread, ends
from instructor_eval.report import svg
from instructor_eval.report.chart import BOTTOM, LEFT, RIGHT, TOP
from instructor_eval.report.lines import PUBLISHED, VARIANT, Line

_STEP = re.compile(r"(.+)@step-([0-9]{1,9})", re.DOTALL)
_GAP = 13
_MOST = 8
"""Tasks drawn in colours that differ."""


@dataclass
class Point:
    """The score of one step; places are in the drawing's units."""

    step: int
    value: float
    """A fraction of 1."""
    spread: Spread | None
    x: float = 0.0
    y: float = 0.0
    low: float | None = None
    high: float | None = None


@dataclass
class Series:
    """One task of a run."""

    task: str
    points: list[Point]
    path: str = ""
    label_y: float = 0.0


@dataclass
class Steps:
    """One run under one instruction set."""

    run: str
    instructions: str
    series: list[Series]
    x_ticks: list[tuple[float, str]] = field(default_factory=list)
    y_ticks: list[tuple[float, str]] = field(default_factory=list)
    left_out: int = 0
    """Tasks beyond those that are drawn."""


def step_charts(lines: Sequence[Line], tasks: Sequence[str]) -> list[Steps]:
    """Return a drawing for each run that has scores of two steps or more.

    Args:
        lines: The page's lines; of several of one step, other weights under one name, the newest counts.
        tasks: In the order that they are named in.
    """
    runs: dict[tuple[str, str], dict[int, Line]] = {}
    for line in lines:
        found = _STEP.fullmatch(line.row.name)
        if found is None or line.kind in (VARIANT, PUBLISHED) or not line.row.tasks:
            continue
        steps = runs.setdefault((found[1], line.row.instructions), {})
        other = steps.get(int(found[2]))
        if other is None or _newest(line) > _newest(other):
            steps[int(found[2])] = line
    return [_drawn(run, instructions, steps, tasks) for (run, instructions), steps in runs.items() if len(steps) > 1]


def _newest(line: Line) -> str:
    return max((score.created for score in line.row.scores.values()), default="")


def _drawn(run: str, instructions: str, steps: dict[int, Line], tasks: Sequence[str]) -> Steps:
    series = []
    for task in tasks:
        points = [
            Point(step, line.row.tasks[task], line.row.spreads.get(task))
            for step, line in sorted(steps.items())
            if task in line.row.tasks
        ]
        if points:
            series.append(Series(task, points))
    chart = Steps(run, instructions, series[:_MOST], left_out=max(0, len(series) - _MOST))
    every = [point for one in chart.series for point in one.points]
    y = svg.score_scale([v for p in every for v in (p.value, *ends(p.spread))], BOTTOM, TOP)
    x = svg.Scale(min(steps), max(steps), LEFT + 8, RIGHT - 8)
    for point in every:
        point.x, point.y = x(point.step), y(point.value)
        if bar := ends(point.spread):
            point.low, point.high = map(y.within, bar)
    for one in chart.series:
        one.path = svg.curve((p.x, p.y) for p in one.points)
    places = svg.spread_apart([one.points[-1].y for one in chart.series], _GAP, TOP + 4, BOTTOM)
    for one, place in zip(chart.series, places, strict=True):
        one.label_y = place
    chart.x_ticks = [(x(v), f"{v:,.10g}") for v in svg.ticks(x.low, x.high, 6)]
    chart.y_ticks = svg.score_ticks(y, 6)
    return chart
