"""Tables for people and programs: aligned text, Markdown, LaTeX, CSV, JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from instructor_eval.core.errors import fitted, printable
from instructor_eval.core.escapes import csv_cell, json_text, latex, markdown

LISTING_FORMATS = ("table", "json", "csv")
BOARD_FORMATS = ("table", "md", "csv", "json", "latex")
_LONGEST, _LONGEST_NAME = 1000, 100
"""Characters of a cell, and of one beside others that a terminal's width is shared with."""
_TABULATE = {"table": "simple", "md": "github"}


class Markup(str):
    """A cell that is Markdown or LaTeX already, its texts escaped."""

    __slots__ = ()


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
    shown = [["" if v is None else plain(v, form) for v in row] for row in rows]
    if form == "latex":
        return _tabular([plain(h, form) for h in headers], shown, left)
    from tabulate import tabulate  # not needed for the others

    align = ["left"] * left + ["right"] * (len(headers) - left)
    return str(
        tabulate(shown, [plain(h, form) for h in headers], tablefmt=_TABULATE[form], colalign=align[: len(headers)],
                 disable_numparse=True)
    )  # fmt: skip


def _tabular(headers: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """Return LaTeX's `tabular` with the rules of booktabs, its columns below each other in the source too."""
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    lines = [
        " & ".join(c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in (headers, *rows)
    ]
    head, *body = [rf"{line.rstrip()} \\" for line in lines]
    spec = "".join("l" if i < left else "r" for i in range(len(headers)))
    return "\n".join(
        [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    )


def plain(value: Any, form: str) -> str:
    """A cell without what would break a table's layout, drive a terminal, or be markup; cut where it is endless."""
    if isinstance(value, Markup):
        return str(value)
    text = fitted(str(value), _LONGEST)
    return markdown(text) if form == "md" else latex(text) if form == "latex" else printable(text)


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
