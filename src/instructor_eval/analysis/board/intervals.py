"""Findings from the items of scores: intervals of cells, means and ranks, and how rows differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from instructor_eval.analysis.board import variants
from instructor_eval.analysis.board.evidence import Evidence, UnreadError
from instructor_eval.analysis.board.rows import ComparedRow, Mean, ScoredRow
from instructor_eval.analysis.board.variants import NOTHING, Beside
from instructor_eval.results.published import CATEGORIES

if TYPE_CHECKING:
    from instructor_eval.analysis.statistics.spreads import Spread


@dataclass(frozen=True)
class _Cell:
    """Findings from the items of one score."""

    spread: Spread | None
    unread: bool
    """True where its items are missing or damaged."""
    beside_parent: Beside
    mark: Beside


def compare(
    families: Sequence[Sequence[ScoredRow]], tasks: Sequence[str], baseline: ScoredRow | None, evidence: Evidence
) -> tuple[list[list[ComparedRow]], dict[str, list[str]]]:
    """Return the families with what their items say, and the board's fields that tell what was not compared.

    Args:
        families: Rows of one checkpoint, the parent first.
        tasks: The board's tasks.
        baseline: The row that all are compared with.
        evidence: Of the scores' items.
    """
    parents = {row: None if row is family[0] else family[0] for family in families for row in family}
    # Task by task and row by row: few items are held at a time, and each is read once.
    cells = {(task, row): _cell(row, parents[row], baseline, task, evidence) for task in tasks for row in parents}

    def compared(row: ScoredRow) -> ComparedRow:
        own = {task: cells[task, row] for task in tasks}
        return ComparedRow(
            **vars(row),
            spreads={task: cell.spread for task, cell in own.items() if cell.spread},
            delta={task: cell.beside_parent.difference for task, cell in own.items() if cell.beside_parent.difference},
            not_comparable={task: cell.beside_parent.why for task, cell in own.items() if cell.beside_parent.why},
            marks={task: cell.mark.difference for task, cell in own.items() if cell.mark.difference},
        )

    return [[compared(row) for row in family] for family in families], {
        "without_items": [f"{task} ({row.model})" for (task, row), cell in cells.items() if cell.unread],
        "without_interval": [f"{task} ({row.variant})" for (task, row), c in cells.items() if c.beside_parent.unread],
        "unmarked": [f"{task} ({row.model}: {c.mark.why})" for (task, row), c in cells.items() if c.mark.why],
    }


def _cell(row: ScoredRow, parent: ScoredRow | None, baseline: ScoredRow | None, task: str, evidence: Evidence) -> _Cell:
    spread, unread = None, False
    if task in row.tasks and evidence.readable:
        try:
            spread = variants.spread(row.scores, task, evidence, replicates=parent is None)
        except UnreadError:
            unread = True
    beside = variants.beside(row.scores, parent.scores, task, evidence) if parent else NOTHING
    mark = Beside(beside.difference) if beside.difference else NOTHING
    if baseline is not None and (parent is not baseline or not mark.difference):
        others = {} if row is baseline else baseline.scores
        mark = variants.beside(row.scores, others, task, evidence, instructions=False)
        mark = Beside(why="items are missing or damaged") if mark.unread else mark
    return _Cell(spread, unread, beside, mark)


def of_ranks(
    heads: Sequence[ComparedRow], tasks: Sequence[str], *, lower: bool = False
) -> list[tuple[int | None, int | None]]:
    """Return the ends of each rank's interval."""
    if len(heads) < 2 or not any(row.spreads for row in heads):
        return [(None, None)] * len(heads)
    from instructor_eval.analysis.board.rank_intervals import rank_intervals

    sign = -1 if lower else 1
    spreads = [[row.spreads.get(task) for row in heads] for task in tasks]
    return [
        *rank_intervals(
            [[sign * row.tasks[task] if task in row.tasks else None for row in heads] for task in tasks],
            [[sign * s.replicates if s and s.replicates is not None else None for s in column] for column in spreads],
            seed_text=" ".join(tasks),
        )
    ]


def of_means(row: ComparedRow, means: Mapping[str, Mean], groups: Mapping[str, Sequence[str]]) -> dict[str, Spread]:
    """Return the intervals of the means whose every task has one."""
    if not row.spreads:
        return {}
    from instructor_eval.analysis.statistics import spreads

    parts = {name: [row.spreads.get(t) for t in tasks if t in row.tasks] for name, tasks in groups.items()}
    found = {name: spread for name, of in parts.items() if (spread := spreads.mean(of))}
    whole = spreads.mean([found.get(c) for c in CATEGORIES if c in means and means[c].complete])
    return found | ({"Nine-category": whole} if whole else {})
