"""Rows whose model was trained on texts of the tasks it is scored on."""

from __future__ import annotations

from pathlib import Path

from instructor_eval.analysis.board.rows import Board
from instructor_eval.results.overlaps import marks


def overlap_marks(board: Board, results: Path) -> list[str]:
    """Return a sentence for each such row, by what `evaluate overlap --results` has filed in this folder."""
    rows = [row for row in board.rows if row.source == "measured"]
    return marks(results, ((r.model, [n for s in r.scores.values() for n in s.notes], r.tasks) for r in rows))
