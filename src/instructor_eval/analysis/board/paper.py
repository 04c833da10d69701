"""The board as a paper or a README has it: Markdown and LaTeX, with the best in bold, a caption and notes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from instructor_eval.analysis.board import text, variants_text
from instructor_eval.analysis.board.best import Best
from instructor_eval.analysis.board.rows import Board, Row
from instructor_eval.analysis.format import points
from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.tables import Markup, plain, render

_LEFT = ("rank", "model", "instructions", "reader")
_CAPTIONS = ("Variants beside their baselines.", "Searches through vector stores, and chunks.")


@dataclass(frozen=True)
class Paper:
    """How the table is to look."""

    columns: Sequence[str] = ()
    """Its columns in their order, the model's first where it is not named; empty: all, and further tables behind it."""
    precision: int = 2
    """Digits behind the point of a score in points."""
    bold: bool = True
    """False where neither a high nor a low value is good."""


def document(board: Board, form: str, paper: Paper, best: Best) -> str:
    """Return the score table with its caption and notes, and where no columns are named those of variants and searches.

    Args:
        board: The board.
        form: md | latex
        paper: How it is to look.
        best: What is set in bold.

    Raises:
        UserError: a column is named that the board does not have.
    """
    shown, headers = _columns(board, paper)
    cells = [[_cell(row, name, shown, form, paper, best) for name in headers] for row in shown.rows]
    left = next((i for i, name in enumerate(headers) if name not in _LEFT), len(headers))
    notes = [
        *text.notes(shown, shown.means, ranked=board.tasks if "rank" in headers else ()),
        *_bold_notes(best, cells),
    ]
    tables = [_whole(render(headers, cells, form, left=left), form, _caption(shown), notes, "scores")]
    if not paper.columns:
        further = {"variants": variants_text.tables(board, form), "searches": text.search_tables(board, form)}
        for (label, found), caption in zip(further.items(), _CAPTIONS, strict=True):
            tables += [_whole(table, form, caption, [], label) for table in found]
    return "\n\n".join(tables)


def _columns(board: Board, paper: Paper) -> tuple[Board, list[str]]:
    """Return the board with the columns that are shown, and the headers.

    Raises:
        UserError: a column is named twice, or is none of the board's.
    """
    means = text.means_shown(board)
    known = ["rank", "model", "instructions", *(["reader"] if board.reader is not None else []), *means, *board.tasks]
    for name in paper.columns:
        if name not in known:
            hint = did_you_mean(name, known) or f": this board has {', '.join(known)}"
            raise UserError(f"--columns {name}: there is no such column{hint}")
        if list(paper.columns).count(name) > 1:
            raise UserError(f"--columns {name}: it is named twice: name it once")
    asked = list(paper.columns)
    headers = ([] if "model" in asked else ["model"]) + asked if asked else known
    tasks = [name for name in headers if name in board.tasks]
    return dataclasses.replace(board, means=[m for m in means if m in headers], tasks=tasks), headers


def _cell(row: Row, name: str, board: Board, form: str, paper: Paper, best: Best) -> Any:
    """Return a cell; a best score is in bold, its interval and marks are not."""
    fixed: dict[str, Callable[[], Any]] = {
        "rank": lambda: text.rank_cell(row, form),
        "model": lambda: row.model,
        "instructions": lambda: row.instructions,
        "reader": lambda: board.reader if row.source == "measured" else None,
    }
    if name in fixed and name not in board.tasks:
        return fixed[name]()
    if name in board.means:
        value, rows = row.means[name].value if name in row.means else None, best.means.get(name, ())
        shown = text.mean_cell(row, name, board, form, places=paper.precision)
        lead = rows[0].means[name].value if rows else None
    else:
        value, rows = row.tasks.get(name), best.tasks.get(name, ())
        shown = text.cell(row, name, form, places=paper.precision)
        lead = rows[0].tasks[name] if rows else None
    if shown is None or value is None or lead is None:
        return shown
    number = points(value, paper.precision)
    if row not in rows and number != points(lead, paper.precision):
        return shown
    before, _, behind = shown.partition(number)
    bold = f"**{number}**" if form == "md" else rf"\textbf{{{number}}}"
    gap = " " * (len(behind) - len(behind.lstrip()))
    return Markup(f"{plain(before.strip(), form)}{' ' * bool(before)}{bold}{gap}{plain(behind.strip(), form)}")


def _bold_notes(best: Best, cells: Sequence[Sequence[Any]]) -> list[str]:
    if not any(isinstance(cell, Markup) for line in cells for cell in line):
        return []
    within = ", and what the paired 95 % interval does not tell from it" if best.tested else ""
    return [f"Bold: the best of a column{within}."]


def _caption(board: Board) -> str:
    columns = [*board.means, *board.tasks]
    if len(columns) == 1:
        return f"Scores x 100: {columns[0]}."
    n = len(board.tasks)
    return f"Scores x 100 in {n} task{'s' * (n != 1)}." if n else "Mean scores x 100."


def _whole(table: str, form: str, caption: str, notes: Sequence[str], label: str) -> str:
    """Return a table with its caption and notes; in LaTeX as a float that needs the package booktabs alone."""
    said = " ".join(plain(note.replace("▲ ▼:", "better, worse:") if form == "latex" else note, form) for note in notes)
    if form == "md":
        return "\n\n".join(filter(None, [table, f"Table: {plain(caption, form)}", said]))
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{plain(caption, form)}}}",
        rf"\label{{tab:{label}}}",
        table,
        *([rf"\par\smallskip\begin{{minipage}}{{\linewidth}}\footnotesize {said}\end{{minipage}}"] if said else []),
        r"\end{table}",
    ]
    return "\n".join(lines)
