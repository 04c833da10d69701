"""Tables for people and programs: aligned text, Markdown, LaTeX, CSV, JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from instructor_eval.core.errors import fitted, printable
from instructor_eval.core.escapes import csv_cell, json_text, markdown

LISTING_FORMATS = ("table", "json", "csv")
BOARD_FORMATS = ("table", "md", "csv", "json", "latex")
_LONGEST, _LONGEST_NAME = 1000, 100
"""Characters of a cell, and of one beside others that a terminal's width is shared with."""
_TABULATE = {"table": "simple", "md": "github", "latex": "latex_booktabs"}


def render(headers: Sequence[str], rows: Sequence[Sequence[Any]], form: str, *, left: int = 1) -> str:
    """The table in one of `BOARD_FORMATS`; the first `left` columns are flush left, the others right.

    JSON is a list of objects, CSV has a header line; neither is rounded, padded or cut. In CSV a text that a
    spreadsheet would take for a formula has a `'` before it (`escapes.csv_cell`).
    """
    if form == "json":
        return json_text([dict(zip(headers, row, strict=True)) for row in rows])
    if form == "csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows([[csv_cell(v) for v in row] for row in (headers, *rows)])
        return out.getvalue().rstrip("\n")
    from tabulate import tabulate  # not needed for JSON and CSV

    shown = [["" if v is None else plain(str(v), form) for v in row] for row in rows]
    align = ["left"] * left + ["right"] * (len(headers) - left)
    return str(
        tabulate(shown, [plain(h, form) for h in headers], tablefmt=_TABULATE[form], colalign=align[: len(headers)],
                 disable_numparse=True)
    )  # fmt: skip


def plain(text: str, form: str) -> str:
    """`text` without what would break a table's layout, drive a terminal, or be markup; cut where it is endless."""
    return markdown(fitted(text, _LONGEST)) if form == "md" else fitted(printable(text), _LONGEST)


def blocks(headers: Sequence[str], rows: Sequence[Sequence[Any]], *, left: int, width: int) -> str:
    """A text table, its right-hand columns broken into blocks that fit `width`, each with the left columns again."""
    headers = [fitted(header, _LONGEST_NAME) for header in headers]
    rows = [[fitted(str(cell), _LONGEST_NAME) if isinstance(cell, str) else cell for cell in row] for row in rows]
    lefts = [_width(headers, rows, i) for i in range(left)]
    out: list[str] = []
    start = left
    while start < len(headers) or not out:
        room, end = width - sum(lefts) - 2 * left, start
        while end < len(headers) and (end == start or room >= _width(headers, rows, end)):
            room -= _width(headers, rows, end) + 2
            end += 1
        columns = [*range(left), *range(start, end)]
        out.append(render([headers[i] for i in columns], [[r[i] for i in columns] for r in rows], "table", left=left))
        start = end
    return "\n\n".join(out)


def _width(headers: Sequence[str], rows: Sequence[Sequence[Any]], column: int) -> int:
    """Return how wide tabulate makes a column: it pads headers by two."""
    return max([len(headers[column]) + 2, *(len(str(r[column] if r[column] is not None else "")) for r in rows)])
