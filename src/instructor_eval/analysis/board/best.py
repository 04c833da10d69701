"""The best of each column, and what is not distinguished from it by the items that both have."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from instructor_eval.analysis.board import variants
from instructor_eval.analysis.board.board import groups_of
from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.analysis.board.rows import Board, Row
from instructor_eval.analysis.statistics import difference as stats
from instructor_eval.analysis.statistics.estimates import Difference


@dataclass(frozen=True)
class Best:
    """Column -> the rows in it that are best, of the columns that two rows or more have; the first has the value."""

    tasks: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    means: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    tested: bool = False
    """True where some row was compared with the best by items: then those within noise of it are best too."""


def best_of(board: Board, evidence: Evidence) -> Best:
    """Return the best rows of each column.

    A row is best too where the paired 95 % interval of its difference from the best holds 0. Published and imported
    scores have no items: they are best by their value alone.

    Args:
        board: The rows; where `lower`, the lowest score is best.
        evidence: Of the scores' items; without any, only the value counts.
    """
    groups = groups_of(board.rows)
    tested = False

    def chosen(values: Mapping[Row, float], names: Collection[str]) -> list[Row]:
        nonlocal tested
        lead, *others = sorted(values, key=values.__getitem__, reverse=not board.lower)
        found = [lead]
        for row in others:
            delta = _difference(row, lead, names, evidence)
            tested |= delta is not None and delta.low is not None
            if values[row] == values[lead] or (delta is not None and delta.verdict == "same"):
                found.append(row)
        return found

    tasks, means = {}, {}
    for task in board.tasks:
        values = {row: row.tasks[task] for row in board.rows if task in row.tasks}
        if len(values) > 1:
            tasks[task] = chosen(values, [task])
    for mean in board.means:
        names = groups.get(mean, ())
        values = {row: row.means[mean].value for row in _of_the_same(board.rows, mean, names)}
        if len(values) > 1:
            means[mean] = chosen(values, names)
    return Best(tasks, means, tested)


def _of_the_same(rows: Sequence[Row], mean: str, names: Collection[str]) -> list[Row]:
    """Return the rows whose means are of the same tasks: all, or where no row has all, those that any row has."""
    having = [row for row in rows if mean in row.means]
    complete = [row for row in having if row.means[mean].complete]
    most = {name for row in having for name in row.tasks if name in names}
    return complete or [row for row in having if most <= row.tasks.keys()]


def _difference(row: Row, lead: Row, names: Collection[str], evidence: Evidence) -> Difference | None:
    """Return how a row differs from the best over these tasks; None where their items do not say of each."""
    shared = [name for name in names if name in lead.scores or name in row.scores]
    found = [variants.beside(row.scores, lead.scores, name, evidence, instructions=False) for name in shared]
    differences = [one.difference for one in found if one.difference and not one.unread]
    if not differences or len(differences) < len(found) or any(one.low is None for one in differences):
        return None
    return stats.mean(differences)
