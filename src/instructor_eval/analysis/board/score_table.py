"""The score table in a terminal's width: short names, no column that says one thing, no row without a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from instructor_eval.analysis.board.rows import Row
from instructor_eval.analysis.format import some
from instructor_eval.core.tables import blocks, fits

_RANK, _MODEL, _INSTRUCTIONS = range(3)
_FIRST = 3
"""The first column of scores."""


def short_names(rows: Sequence[Row]) -> dict[Row, str]:
    """Return what a table calls each row: its model without the organisation, where no other has that name.

    A child is known by its place below its parent. Every command takes these names too.
    """
    bare = {row: row.name or row.model for row in rows}
    ids = {name: name.rpartition("/")[2] for name in bare.values() if name.count("/") == 1}
    taken = Counter(ids.get(name, name) for name in set(bare.values()))
    short = {name: last for name, last in ids.items() if last and taken[last] == 1}
    return {
        # A drawn corner: tabulate strips spaces.
        row: f"└ {row.short}" if row.parent else short.get(bare[row], bare[row]) + row.model.removeprefix(bare[row])
        for row in rows
    }


def lay_out(
    headers: Sequence[str], rows: Sequence[Sequence[Any]], *, families: Sequence[int], width: int
) -> tuple[str, list[str]]:
    """Return the table, and what it leaves out in sentences.

    What does not fit beside each other stands below each other, a line a task, if so few rows fit; else in blocks.

    Args:
        headers: rank, model, instructions, then means and tasks.
        rows: A cell each; None where there is no value.
        families: A number a row, the same for a row and its variants: they are left out of a block that has no value
            of theirs.
        width: Characters of a line.
    """
    said = []
    scores = range(_FIRST, len(headers))
    shown = [i for i in scores if any(row[i] is not None for row in rows)] or list(scores)
    empty = [headers[i] for i in scores if i not in shown]
    if empty:
        said.append(f"Without a score: {some(empty)}.")
    first = [_RANK] * is_ranked(rows) + [_MODEL]
    instructions = {row[_INSTRUCTIONS] for row in rows}
    if len(instructions) > 1:
        first.append(_INSTRUCTIONS)
    else:
        said.append(f"Instructions of every row: {', '.join(map(str, instructions))}.")
    columns = [*first, *shown]
    heads = [headers[i] for i in columns]
    cells = [[row[i] for i in columns] for row in rows]
    if not fits(heads, cells, width):
        held = [row for row in rows if any(row[c] is not None for c in shown)]
        down = ["", *(row[_MODEL] for row in held)]
        lines = [[headers[c], *(row[c] for row in held)] for c in columns if c != _MODEL]
        if fits(down, lines, width):
            return blocks(down, lines, left=1, width=width), said
    return blocks(heads, cells, left=len(first), width=width, groups=families), said


def is_ranked(rows: Sequence[Sequence[Any]]) -> bool:
    """Return whether two rows have a rank: one alone has nothing to be ranked among."""
    return sum(row[_RANK] is not None for row in rows) > 1
