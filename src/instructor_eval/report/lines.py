"""The board's rows as a tree: a model, below it its other instruction sets, below each of these its variants.

On the board every instruction set is a row that is ranked. On the page one of them stands for the model, the authors'
own where there is one, else the one that most was run with, and the others tell how they differ from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from instructor_eval.analysis.board import variants
from instructor_eval.analysis.board.evidence import Evidence, UnreadError
from instructor_eval.analysis.board.rows import Board, Row
from instructor_eval.analysis.statistics import difference
from instructor_eval.analysis.statistics.estimates import Difference, NotComparableError

_FIRST, _LAST = "paper", "none"
MODEL, INSTRUCTIONS, VARIANT, PUBLISHED = "model", "instructions", "variant", "published"


@dataclass(eq=False)
class Line:
    """A row of the page's table."""

    row: Row
    id: str
    """A hash of the row's names: it stays what it is when the page is made again."""
    index: int
    """The row's place on the board, and in its CSV."""
    kind: str
    """What it is to its parent: `VARIANT` or `INSTRUCTIONS`; without one, `MODEL` or `PUBLISHED`."""
    parent: Line | None = None
    level: int = 0
    """How many lines stand above it in the tree."""
    delta: dict[str, Difference] = field(default_factory=dict)
    """Task -> its score less the parent's."""
    not_comparable: dict[str, str] = field(default_factory=dict)
    """Task -> why its score cannot be compared with the parent's."""
    delta_macro: Difference | None = None
    """The mean of `delta`."""

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
    places = {id(row): i for i, row in enumerate(board.rows)}
    ids: set[str] = set()
    found: list[Line] = []

    def add(row: Row, kind: str, parent: Line | None) -> Line:
        line = Line(row, _new_id(row, ids), places[id(row)], kind, parent, parent.level + 1 if parent else 0)
        found.append(line)
        return line

    def add_variants(parent: Line) -> None:
        for row in parent.row.children:
            line = add(row, VARIANT, parent)
            line.delta, line.not_comparable, line.delta_macro = row.delta, row.not_comparable, row.delta_macro

    for family in _by_checkpoint(row for row in board.rows if row.source == "measured" and row.parent is None):
        main, *others = sorted(family, key=_order)
        head = add(main, MODEL, None)
        add_variants(head)
        for row in others:
            line = add(row, INSTRUCTIONS, head)
            _compare(line, board.tasks, evidence)
            add_variants(line)
    for row in board.rows:
        if row.source != "measured":
            add(row, PUBLISHED, None)
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


def _order(row: Row) -> tuple[bool, int, int, bool, str]:
    """Return the place of an instruction set: the authors' own first, else the one with most tasks."""
    name = row.instructions
    return name != _FIRST, -len(row.tasks), -len(row.children), name == _LAST, name


def _compare(line: Line, tasks: Iterable[str], evidence: Evidence) -> None:
    """Fill what an instruction set's line says of its parent's."""
    if line.parent is not None:
        line.delta, line.not_comparable = differences(line.row, line.parent.row, tasks, evidence)
        line.delta_macro = difference.mean(line.delta.values()) if line.delta else None


def differences(
    row: Row, other: Row, tasks: Iterable[str], evidence: Evidence
) -> tuple[dict[str, Difference], dict[str, str]]:
    """Return what two rows differ by, task by task, and why some tasks cannot be compared."""
    found: dict[str, Difference] = {}
    not_comparable: dict[str, str] = {}
    for task in tasks:
        if task not in row.tasks or task not in other.tasks:
            continue
        try:
            found[task] = variants.difference(row, other, task, evidence, instructions=False)
        except NotComparableError as e:
            not_comparable[task] = str(e)
        except UnreadError:
            found[task] = Difference(row.tasks[task] - other.tasks[task])
    return found, not_comparable
