"""The table's columns and cells: the texts are the terminal's, so that both show the same."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from instructor_eval.analysis.board import text
from instructor_eval.analysis.board.board import MTEB_TYPES, kind_of
from instructor_eval.analysis.board.rows import Board
from instructor_eval.analysis.format import MARKS, interval_text
from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.core.paths import slug
from instructor_eval.report.lines import INSTRUCTIONS, Line
from instructor_eval.results.published import BILLBOARD, PROMPTED
from instructor_eval.tasks.cards import shipped_cards

HEATS = 8
"""Shades of a column, from its lowest score to its highest; 0 is none."""
_ALL = "all"
_MEANS = {"Nine-category": (_ALL, ""), "MTEB-56": ("mteb", ""), BILLBOARD: ("billboard", ""),
          PROMPTED: ("prompt-retrieval", "")}  # fmt: skip
_PAPER = (_ALL, "mteb", "billboard", "prompt-retrieval")


@dataclass(frozen=True)
class Column:
    """A task, or a mean of tasks."""

    name: str
    benchmark: str
    type: str
    """Empty for the mean of a whole benchmark."""
    is_task: bool
    id: str = ""
    """Of the task's section on the page."""
    index: int = 0
    domain: str = ""
    """The domain that the task's card gives; empty where it gives none."""


@dataclass(frozen=True)
class Cell:
    """The texts of a cell; empty where there is nothing."""

    main: str = ""
    """The score, behind its mark if it has one: `▼ 64.51`."""
    rest: str = ""
    """The smaller text behind it: ` ±4.1 (3/4)`."""
    heat: int = 0
    delta: str = ""
    """Of a line below another: `-0.31 [-0.52, -0.10]`."""
    verdict: str = ""
    """Of the delta: better | worse | same | unknown."""
    failed: bool = False
    whole: bool = True
    """False for a mean over some of its tasks."""

    @property
    def classes(self) -> str:
        """Short, for there are thousands of cells: a letter for the shade, `x` failed, `o` an incomplete mean."""
        if self.failed or not self.whole:
            return "x" if self.failed else "o"
        return chr(ord("a") + self.heat - 1) if self.heat else ""


@dataclass(frozen=True)
class Group:
    """Columns that stand below one header."""

    name: str
    size: int
    benchmark: str


def columns(board: Board) -> list[Column]:
    """Return means and tasks, by benchmark and type; each mean before what it is the mean of.

    A mean that only one of the columns belongs to is left out: the column says the same.
    """
    kinds = {task: kind_of(task, board.rows) for task in board.tasks}
    found = [Column(m, *_place_of_mean(m), is_task=False) for m in text.means_shown(board)]
    alone = {mean for mean in found if _below(mean, kinds.values()) == 1}
    found = [c for c in found if c not in alone]
    found += [Column(task, *kinds[task], is_task=True) for task in board.tasks]
    benchmarks = [*_PAPER, *dict.fromkeys(c.benchmark for c in found if c.benchmark not in _PAPER)]
    types = ["", *MTEB_TYPES, *dict.fromkeys(c.type for c in found if c.type and c.type not in MTEB_TYPES)]
    found.sort(key=lambda c: (benchmarks.index(c.benchmark), types.index(c.type), c.is_task))
    return [
        Column(c.name, c.benchmark, c.type, c.is_task, f"t-{slug(c.name)}" if c.is_task else "", i, _domain(c))
        for i, c in enumerate(found)
    ]


def _domain(column: Column) -> str:
    card = shipped_cards().get(column.name)
    return card.domain if card is not None and column.is_task else ""


def groups(found: Sequence[Column], *, by_type: bool) -> list[Group]:
    """Return neighbouring columns of one benchmark, or of one type in it."""
    return [
        Group(kind if by_type else benchmark, len(list(of_kind)), benchmark)
        for (benchmark, kind), of_kind in itertools.groupby(
            found, key=lambda c: (c.benchmark, c.type if by_type else "")
        )
    ]


def cells(board: Board, lines: Sequence[Line], found: Sequence[Column]) -> dict[Line, list[Cell]]:
    """Return the cells of every line."""
    shades = {
        c: _shades(v for line in lines if (v := _value(line, c)) is not None and _is_whole(line, c)) for c in found
    }
    return {line: [_cell(board, line, c, shades[c]) for c in found] for line in lines}


def _below(mean: Column, places: Iterable[tuple[str, str]]) -> int:
    """Return how many of the tasks, each a benchmark and a type, belong to a mean."""
    return sum(mean.benchmark in (_ALL, b) and mean.type in ("", kind) for b, kind in places)


def _place_of_mean(name: str) -> tuple[str, str]:
    return ("mteb", name) if name in MTEB_TYPES else _MEANS.get(name, (name, ""))


def _value(line: Line, column: Column) -> float | None:
    if column.is_task:
        return line.row.tasks.get(column.name)
    mean = line.row.means.get(column.name)
    return mean.value if mean is not None else None


def _is_whole(line: Line, column: Column) -> bool:
    """Tell whether a value may be shaded beside the others: an incomplete mean may not."""
    return column.is_task or line.row.means[column.name].complete


def _shades(values: Iterable[float]) -> tuple[float, float]:
    every = list(values)
    return (min(every), max(every)) if every else (0.0, 0.0)


def _cell(board: Board, line: Line, column: Column, ends: tuple[float, float]) -> Cell:
    row = line.row
    shown = text.cell(row, column.name, "table") if column.is_task else text.mean_cell(row, column.name, board, "table")
    if not shown:
        return Cell()
    if column.is_task and column.name in row.failed:
        return Cell(shown, failed=True)
    main, rest = _split(shown)
    delta = line.delta.get(column.name) if column.is_task else None
    return Cell(
        main,
        rest,
        _heat(_value(line, column), ends) if _is_whole(line, column) else 0,
        _delta(line, delta) if delta else "",
        delta.verdict if delta else "",
        whole=_is_whole(line, column),
    )


def _delta(line: Line, delta: Difference) -> str:
    """Return the difference; of another instruction set with its mark."""
    mark = f"{MARKS[delta.verdict]} " if line.kind == INSTRUCTIONS and delta.verdict in ("better", "worse") else ""
    return f"{mark}{interval_text(delta)}"


def _split(shown: str) -> tuple[str, str]:
    """Split `▼ 64.51 ±4.1` into `▼ 64.51` and ` ±4.1`."""
    match = re.match(r"(?:[▲▼] )?\S+", shown)
    end = match.end() if match else len(shown)
    return shown[:end], shown[end:]


def _heat(value: float | None, ends: tuple[float, float]) -> int:
    low, high = ends
    if value is None or not high > low:
        return 0
    share = (value - low) / (high - low)
    return round(HEATS * share) if math.isfinite(share) else 0


def places(found: Sequence[Column]) -> dict[str, int]:
    """Return each task's place among the columns."""
    return {c.name: c.index for c in found if c.is_task}
