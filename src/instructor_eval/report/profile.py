"""Rows by task type: a band for each type, in it a lane for each of up to five rows, with a dot and its interval.

Every row is drawn, as one path of dots and one of bars in the first lane; those chosen are moved to a lane of their own
and shown, the others hidden. The page's script chooses others in the same way (profile.js).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from instructor_eval.analysis.board.rows import Row
from instructor_eval.analysis.statistics.spreads import Spread, ends, mean
from instructor_eval.report import svg
from instructor_eval.report.lines import PUBLISHED, Line
from instructor_eval.report.table import Column

WIDTH, LEFT, RIGHT, TOP = 760, 225, 740, 8
LANE, LANES = 11, 5
BAND = LANE * LANES + 9


@dataclass
class Series:
    """A row of the profile."""

    line: Line
    values: list[float | None]
    """Its mean score by type, fractions of 1; None where it lacks one of the tasks."""
    spreads: list[Spread | None]
    lane: int | None = None
    """Its place in each band; None where it is not shown at first."""
    dots: str = ""
    """Path data, in the first lane."""
    bars: str = ""


@dataclass
class Profile:
    """The drawing."""

    types: list[tuple[str, int]]
    """Names, and of how many tasks."""
    series: list[Series] = field(default_factory=list)
    x_ticks: list[tuple[float, str]] = field(default_factory=list)

    @property
    def height(self) -> int:
        """Return the drawing's height, with the numbers below it."""
        return TOP + BAND * len(self.types) + 22

    @property
    def bands(self) -> list[tuple[int, str]]:
        """Return where each type's band begins, and what stands beside it."""
        return [(TOP + i * BAND, f"{name} ({n})" if n > 1 else name) for i, (name, n) in enumerate(self.types)]

    @property
    def shown(self) -> list[Series]:
        """Return the rows shown at first, by their lanes."""
        return sorted((one for one in self.series if one.lane is not None), key=lambda one: one.lane or 0)


def profile(lines: Sequence[Line], columns: Sequence[Column], advised: Sequence[Row]) -> Profile | None:
    """Return the profile of measured rows; None with fewer than two types, or rows that have them.

    Args:
        lines: The page's lines.
        columns: Its columns.
        advised: The rows that the page's advice names: they are shown first, then others as the table has them.
    """
    by_type: dict[str, list[str]] = {}
    for column in columns:
        if column.is_task:
            by_type.setdefault(column.type, []).append(column.name)
    measured = [line for line in lines if line.kind != PUBLISHED]
    tasks = {name: own for name, every in by_type.items() if (own := _shared(measured, every))}
    found = Profile([(name, len(own)) for name, own in tasks.items()])
    for line in measured:
        means = [_mean(line, own) for own in tasks.values()]
        if any(value is not None for value, _ in means):
            found.series.append(Series(line, [value for value, _ in means], [spread for _, spread in means]))
    if len(tasks) < 2 or len(found.series) < 2:
        return None
    first = [one for row in advised for one in found.series if one.line.row is row]
    heads = [one for one in found.series if one.line.row.parent is None]
    for lane, one in enumerate(list(dict.fromkeys(map(id, [*first, *heads, *found.series])))[:LANES]):
        next(series for series in found.series if id(series) == one).lane = lane
    _draw(found)
    return found


def _shared(lines: Sequence[Line], tasks: Sequence[str]) -> list[str]:
    """Return the tasks of a type that all rows with any of them have; all of them where there is none."""
    some = [line for line in lines if any(task in line.row.tasks for task in tasks)]
    shared = [task for task in tasks if all(task in line.row.tasks for line in some)]
    return (shared or list(tasks)) if some else []


def _mean(line: Line, tasks: Sequence[str]) -> tuple[float | None, Spread | None]:
    if any(task not in line.row.tasks for task in tasks):
        return None, None
    return sum(line.row.tasks[t] for t in tasks) / len(tasks), mean([line.row.spreads.get(t) for t in tasks])


def _draw(found: Profile) -> None:
    pairs = [pair for one in found.series for pair in zip(one.values, one.spreads, strict=True)]
    every = [v for value, spread in pairs for v in (value, *ends(spread)) if v is not None]
    x = svg.score_scale(every, LEFT, RIGHT, room=0.03)
    for one in found.series:
        for i, (value, spread) in enumerate(zip(one.values, one.spreads, strict=True)):
            y = TOP + i * BAND + LANE
            if value is not None:
                one.dots += f"M{x(value):g} {y}h0"
            if bar := ends(spread):
                one.bars += f"M{x.within(bar[0]):g} {y}H{x.within(bar[1]):g}"
    found.x_ticks = svg.score_ticks(x, 8)
