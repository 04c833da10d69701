"""The board as text: the score table, the variants beside their baselines, and what to make of them in plain words."""

from __future__ import annotations

import dataclasses
import json
import shutil
from typing import Any

from instructor_eval import board_variants
from instructor_eval.cards import shipped_cards
from instructor_eval.leaderboard import Board, Row
from instructor_eval.tables import blocks, render


def format_board(board: Board, form: str) -> str:
    """The board as text in one of the board formats; scores times 100, means marked `(n/of)` where incomplete.

    Where variants stand below their baselines a second table tells what each loses, weighs and gains; JSON and CSV
    have the same in further fields.
    """
    if not board.rows and form not in ("csv", "json"):
        return "no results yet: run `evaluate demo`, or `evaluate --model ... --task ...`"
    if form == "json":
        return json.dumps([_as_json(r, board) for r in board.rows], ensure_ascii=False, indent=1)
    means = [m for m in board.means if any(m in r.means for r in board.rows)]
    headers = ["rank", "model", "instructions", *means, *board.tasks]
    rows = [
        [
            r.rank,
            _label(r) if form == "table" else r.model,
            r.instructions,
            *(_mean_cell(r, m, board) for m in means),
            *(_cell(r, t) for t in board.tasks),
        ]
        for r in board.rows
    ]
    if form == "table":
        width = shutil.get_terminal_size((120, 40)).columns
        text = f"{blocks(headers, rows, left=3, width=width)}\n\n{' '.join(_notes(board, means))}"
        return "\n\n".join([text, *board_variants.tables(board, form), *board_variants.reading(board)])
    if board.reader is not None:  # a table says it below; elsewhere two exports must differ
        headers.insert(3, "reader")
        for row, shown in zip(board.rows, rows, strict=True):
            shown.insert(3, board.reader if row.source == "measured" else None)
    if form == "csv" and board.parents:
        headers += board_variants.CSV_COLUMNS
        rows = [[*shown, *board_variants.csv_cells(row)] for row, shown in zip(board.rows, rows, strict=True)]
    table = render(headers, rows, form, left=3 + (board.reader is not None))
    return table if form == "csv" else "\n\n".join([table, *board_variants.tables(board, form)])


def _label(row: Row) -> str:
    """A child is known by its place below its parent."""
    # A drawn corner: tabulate strips blanks.
    return row.model if row.parent is None else f"└ {row.short}"


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.2f}"


def _cell(row: Row, task: str) -> str | None:
    return "failed" if task in row.failed else _percent(row.tasks.get(task))


def _mean_cell(row: Row, name: str, board: Board) -> str | None:
    mean = row.means.get(name)
    if mean is None:
        return None
    mark = "*" if _is_other_reader(row, name, board) else ""
    return f"{100 * mean.value:.2f}{mark}" + ("" if mean.complete else f" ({mean.n}/{mean.of})")


def _is_other_reader(row: Row, mean: str, board: Board) -> bool:
    """Whether a published mean was made with language models that did not answer here."""
    return row.source == "published" and board.reader is not None and mean in ("PromptRetrieval", "Nine-category")


def _notes(board: Board, means: list[str]) -> list[str]:
    notes = ["Scores x 100. rank: Borda count over the task columns, measured rows only."]
    if board.parents:
        notes[0] = "Scores x 100. rank: Borda count over the task columns, measured rows and baseline variants only."
    if any(m in r.means and not r.means[m].complete for r in board.rows for m in means):
        notes.append("(n/of): a mean over n of the tasks that belong to it.")
    if any(r.source == "published" for r in board.rows):
        notes.append("published: others' numbers, not measured here (results/reference).")
    return notes + _prompting_notes(board, means)


def _prompting_notes(board: Board, means: list[str]) -> list[str]:
    if board.reader is None:
        return []
    notes = [f"Prompt retrieval: answers by {board.reader}."]
    if any(m in r.means and _is_other_reader(r, m, board) for r in board.rows for m in means):
        notes.append("*: the paper's readers were GPT-J and, for GeoQuery and MultiWOZ, a model since retired.")
    retired = [t for t in board.tasks if t in shipped_cards() and shipped_cards()[t].options.get("retired_reader")]
    if retired:
        notes.append(f"{' and '.join(retired)}: the paper's reader is retired, its numbers cannot be compared with.")
    return notes


def _as_json(row: Row, board: Board) -> dict[str, Any]:
    return {
        "rank": row.rank,
        "model": row.model,
        "revision": row.revision,
        "variant": row.variant,
        "fingerprint": row.fingerprint,
        "instructions": row.instructions,
        "source": row.source,
        "reader": board.reader if row.source == "measured" else None,
        "borda": row.borda,
        "means": {m: dataclasses.asdict(v) for m, v in row.means.items()},
        "tasks": {t: row.tasks.get(t) for t in board.tasks},
        "failed": sorted(row.failed),
        **board_variants.as_json(row),
    }
