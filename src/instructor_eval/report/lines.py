"""The board's rows as a tree: a model, below it its other instruction sets, below each of these its variants.

On the board every instruction set is a row that is ranked. On the page one of them stands for the model, the authors'
own where there is one, else the one that most was run with, and the others tell how they differ from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.analysis.board.rows import Board, Row
from instructor_eval.analysis.board.variants import beside
from instructor_eval.analysis.statistics import difference
from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.results.score import CostFigures

_FIRST, _LAST = "paper", "none"
MODEL, INSTRUCTIONS, VARIANT, PUBLISHED = "model", "instructions", "variant", "published"
Differences: TypeAlias = tuple[Mapping[str, Difference], Mapping[str, str]]
"""Task -> difference, and task -> why there is none."""


@dataclass(frozen=True, eq=False)
class Line:
    """A row of the page's table."""

    row: Row
    id: str
    """A hash of the row's names: it stays what it is when the page is made again."""
    index: int
    """The row's place on the board, and in its CSV."""
    kind: str
    """Its relation to its parent: `VARIANT` or `INSTRUCTIONS`; without one, `MODEL` or `PUBLISHED`."""
    parent: Line | None = None
    level: int = 0
    """How many lines stand above it in the tree."""
    delta: Mapping[str, Difference] = field(default_factory=dict)
    """Task -> its score less the parent's."""
    not_comparable: Mapping[str, str] = field(default_factory=dict)
    """Task -> why its score cannot be compared with the parent's."""

    @cached_property
    def delta_macro(self) -> Difference | None:
        """The mean of `delta`."""
        return difference.mean(self.delta.values()) if self.delta else None

    @cached_property
    def cost(self) -> CostFigures:
        """The row's newest measurement; without one nothing in it is known."""
        return self.row.cost or CostFigures()

    @property
    def label(self) -> str:
        """Return its name where no other line is near: model, variant and instruction set."""
        return f"{self.row.model} · {self.row.instructions}"

    @property
    def short(self) -> str:
        """Return its name below its parent."""
        if self.kind == VARIANT:
            return self.row.short
        return self.row.instructions if self.kind == INSTRUCTIONS else self.row.model

    @property
    def ancestors(self) -> list[str]:
        """Return the names of the lines above it, the model first."""
        return [*self.parent.ancestors, self.parent.short] if self.parent else []

    @property
    def family(self) -> str:
        """Return how the model takes instructions; empty where nobody has said."""
        known = [*self.row.scores.values(), *self.row.failures.values()]
        return known[0].model.family if known else ""


def lines(board: Board, evidence: Evidence) -> list[Line]:
    """Return the rows in the order of the tree, models by their best rank, published rows behind them.

    Args:
        board: The board.
        evidence: Of its scores' items, for the differences between instruction sets.
    """
    places = {row: i for i, row in enumerate(board.rows)}
    ids: set[str] = set()
    found: list[Line] = []

    def add(row: Row, kind: str, parent: Line | None = None, differs: Differences = ({}, {})) -> Line:
        level = parent.level + 1 if parent else 0
        line = Line(row, _new_id(row, ids), places[row], kind, parent, level, *differs)
        found.append(line)
        for child in board.families.get(row, ()):
            add(child, VARIANT, line, (child.delta, child.not_comparable))
        return line

    heads = [row for row in board.rows if row.source == "measured" and row.parent is None]
    for family in _by_checkpoint(heads):
        main, *others = sorted(family, key=lambda row: _order(row, len(board.families.get(row, ()))))
        head = add(main, MODEL)
        for row in others:
            add(row, INSTRUCTIONS, head, differences(row, main, board.tasks, evidence))
    for row in board.rows:
        if row.source != "measured":
            add(row, PUBLISHED)
    return found


def _new_id(row: Row, taken: set[str]) -> str:
    base = hashlib.sha256(f"{row.model}\0{row.instructions}".encode("utf-8", "surrogatepass")).hexdigest()[:8]
    name, n = base, 2
    while name in taken:
        name, n = f"{base}-{n}", n + 1
    taken.add(name)
    return name


def _by_checkpoint(heads: Iterable[Row]) -> list[list[Row]]:
    """Return the heads of one model, revision, variant and content, in the order of the first of each."""
    families: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in heads:
        families.setdefault((row.name, row.revision, row.variant, row.base or row.fingerprint), []).append(row)
    return list(families.values())


def _order(row: Row, variants: int) -> tuple[bool, int, int, bool, str]:
    """Return the place of an instruction set: the authors' own first, else the one with most tasks."""
    name = row.instructions
    return name != _FIRST, -len(row.tasks), -variants, name == _LAST, name


def differences(row: Row, other: Row, tasks: Iterable[str], evidence: Evidence) -> Differences:
    """Return what two rows differ by, task by task, and why some tasks cannot be compared."""
    found = {t: beside(row.scores, other.scores, t, evidence, instructions=False) for t in tasks}
    known = {task: one.difference for task, one in found.items() if one.difference}
    return known, {task: one.why for task, one in found.items() if one.why}
