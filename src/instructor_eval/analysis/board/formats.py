"""The board in each of its formats: text for terminals, Markdown and LaTeX for papers, CSV and JSON for programs."""

from __future__ import annotations

from instructor_eval.analysis.board import text
from instructor_eval.analysis.board.best import Best, best_of
from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.analysis.board.paper import Paper, document
from instructor_eval.analysis.board.rows import Board
from instructor_eval.core.escapes import json_text
from instructor_eval.core.tables import render

PAPERS = ("md", "latex")


def format_board(board: Board, form: str, *, paper: Paper | None = None, evidence: Evidence | None = None) -> str:
    """Return the board as text in one of the board formats; scores times 100, means marked `(n/of)` where incomplete.

    Intervals stand in the cells. Where variants stand below their baselines a second table tells what each loses,
    weighs and gains. JSON and CSV have both in further fields.

    Args:
        board: The board.
        form: One of `core.tables.BOARD_FORMATS`.
        paper: How Markdown and LaTeX are to look.
        evidence: Of the scores' items: in Markdown and LaTeX what is within noise of the best is bold too.

    Raises:
        UserError: a column is named that the board does not have.
    """
    if not board.rows and form not in ("csv", "json"):
        return text.NOTHING
    if form == "json":
        return json_text([text.as_json(row, board) for row in board.rows])
    if form == "csv":
        return render(*text.csv_table(board), form)
    if form in PAPERS:
        paper = paper or Paper()
        return document(board, form, paper, best_of(board, evidence or Evidence(None)) if paper.bold else Best())
    return text.table(board)
