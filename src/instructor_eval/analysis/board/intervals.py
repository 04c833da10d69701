"""Uncertainty on the board: intervals of cells, means and ranks; marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from instructor_eval.analysis.board import variants
from instructor_eval.analysis.board.evidence import Evidence, UnreadError
from instructor_eval.analysis.statistics.estimates import NotComparableError
from instructor_eval.results.published import CATEGORIES

if TYPE_CHECKING:
    from instructor_eval.analysis.board.rows import Board, Row


def fill(board: Board, heads: Sequence[Row], evidence: Evidence, groups: Mapping[str, Sequence[str]]) -> None:
    """Fill what comes of the scores' items, and what variants lose beside their parents.

    Args:
        board: The board; its measured rows, `without_interval`, `without_items` and `unmarked` are filled.
        heads: Its ranked rows.
        evidence: Of the scores' items.
        groups: The tasks of each mean.
    """
    rows = [row for head in heads for row in (head, *head.children)]
    for task in board.tasks:  # task by task and row by row: few items are held at a time, and each is read once
        for row in rows:
            _spread(board, row, task, evidence)
            if row.parent is not None and not variants.compare(row, row.parent, task, evidence):
                board.without_interval.append(f"{task} ({row.variant})")
            if board.baseline is not None:
                _mark(board, row, board.baseline, task, evidence)
    for head in heads:
        if head.children:
            variants.sum_up(head)
            variants.weigh(head, board.tasks)
    for row in rows:
        _spread_means(row, groups)
        if board.baseline is None:
            row.marks = row.delta
    _spread_ranks(board, heads)


def _spread_ranks(board: Board, heads: Sequence[Row]) -> None:
    if len(heads) < 2 or not any(row.spreads for row in heads):
        return
    from instructor_eval.analysis.board.rank_intervals import rank_intervals

    spreads = [[row.spreads.get(task) for row in heads] for task in board.tasks]
    sign = -1 if board.lower else 1
    found = rank_intervals(
        [[sign * row.tasks[task] if task in row.tasks else None for row in heads] for task in board.tasks],
        [[sign * s.replicates if s and s.replicates is not None else None for s in c] for c in spreads],
        seed_text=" ".join(board.tasks),
    )
    for row, (low, high) in zip(heads, found, strict=True):
        row.rank_low, row.rank_high = low, high


def _spread(board: Board, row: Row, task: str, evidence: Evidence) -> None:
    if task not in row.tasks or not evidence.readable:
        return
    try:
        row.spreads[task] = variants.spread(row, task, evidence, replicates=row.parent is None)
    except UnreadError:
        board.without_items.append(f"{task} ({row.model})")


def _mark(board: Board, row: Row, baseline: Row, task: str, evidence: Evidence) -> None:
    """Compare a row's score of one task with the baseline row's."""
    if row is baseline or task not in row.scores or task not in baseline.scores:
        return
    if row.parent is baseline and task in row.delta:
        row.marks[task] = row.delta[task]
        return
    try:
        row.marks[task] = variants.difference(row, baseline, task, evidence, instructions=False)
    except NotComparableError as e:
        board.unmarked.append(f"{task} ({row.model}: {e})")
    except UnreadError:
        board.unmarked.append(f"{task} ({row.model}: items are missing or damaged)")


def _spread_means(row: Row, groups: Mapping[str, Sequence[str]]) -> None:
    """Intervals of the means whose every task has one."""
    if not row.spreads:
        return
    from instructor_eval.analysis.statistics import spreads

    for name, tasks in groups.items():
        there = [task for task in tasks if task in row.tasks]
        found = spreads.mean([row.spreads[t] for t in there]) if all(t in row.spreads for t in there) else None
        if found is not None:
            row.mean_spreads[name] = found
    categories = [c for c in CATEGORIES if c in row.means and row.means[c].complete]
    if all(c in row.mean_spreads for c in categories):
        found = spreads.mean([row.mean_spreads[c] for c in categories])
        if found is not None:
            row.mean_spreads["Nine-category"] = found
