"""Searches through vector stores as a table: what each store finds of what exact search finds, and what it takes."""

from __future__ import annotations

import shutil
from typing import Any

from instructor_eval.analysis.board.rows import Board, Row
from instructor_eval.analysis.board.variants import searched
from instructor_eval.core.errors import printable
from instructor_eval.core.tables import blocks, render
from instructor_eval.results.search_figures import depth, number, of_parts

CSV_COLUMNS = [
    "search_tasks", "search_k", "search_recall", "search_exact_score", "search_loss", "search_build_seconds",
    "search_queries_per_second", "search_index_bytes",
]  # fmt: skip
"""Beside the score table, where a row went through a store; scores are fractions of 1."""
_HEADERS = ["search", "tasks", "recall", "loss points", "build s", "queries/s", "index MB"]
_NOTE = (
    "recall: share of the k exactly nearest documents that the store found, mean over queries. loss: exact search's "
    "score less the store's, in points. queries/s: one after another, by one caller. All on the machine of the run."
)


def of_row(row: Row) -> dict[str, Any]:
    """A row's figures over the tasks that went through its store; empty where all were searched exactly."""
    return of_parts([row.scores[task].search for task in searched(row)])


def tables(board: Board, form: str) -> list[str]:
    """The table and a line to read it by; nothing where no row went through a store."""
    found = [(row, figures) for row in board.rows if (figures := of_row(row))]
    if not found:
        return []
    if form != "table":
        rows = [[row.name, row.instructions, *_line(row, figures)] for row, figures in found]
        return [render(["model", "instructions", *_HEADERS], rows, form, left=3)]
    width = shutil.get_terminal_size((120, 40)).columns
    families: dict[str, list[list[str | None]]] = {}
    for row, figures in found:
        families.setdefault(f"{row.name}, instructions {row.instructions}", []).append(_line(row, figures))
    lines = []
    for family, rows in families.items():
        lines.append(printable(f"Searches through vector stores of {family}"))
        lines.append(blocks(_HEADERS, rows, left=1, width=width))
    return [*lines, _NOTE]


def csv_cells(row: Row) -> list[float | int | None]:
    """A row's `CSV_COLUMNS`; None where all was searched exactly, or a file does not say."""
    figures, names = of_row(row), [name.removeprefix("search_") for name in CSV_COLUMNS[1:]]
    return [len(searched(row)) or None, *(number(figures, name) for name in names)]


def _line(row: Row, figures: dict[str, Any]) -> list[str | None]:
    recall, loss = number(figures, "recall"), number(figures, "loss")
    build, rate, size = (number(figures, name) for name in ("build_seconds", "queries_per_second", "index_bytes"))
    return [
        printable(row.variant),
        str(len(searched(row))),
        None if recall is None else f"{recall:.3f} @{depth(figures)}",
        None if loss is None else f"{100 * loss:.2f}",
        None if build is None else f"{build:,.1f}",
        None if rate is None else f"{rate:,.0f}",
        None if size is None else f"{size / 1e6:,.1f}",
    ]
