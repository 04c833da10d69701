"""Tables for people and programs: aligned text, Markdown, LaTeX, CSV, JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from instructor_eval.core.errors import fitted, printable
from instructor_eval.core.escapes import csv_cell, json_text, latex, markdown
from instructor_eval.core.output import columns, is_terminal

LISTING_FORMATS = ("table", "json", "csv")
BOARD_FORMATS = ("table", "md", "csv", "json", "latex")
_LONGEST, _LONGEST_NAME = 1000, 100
"""Characters of a cell, and of one beside others that a terminal's width is shared with."""
_TABULATE = {"table": "simple", "md": "github"}


class Markup(str):
    """A cell that is Markdown or LaTeX already, its texts escaped."""

    __slots__ = ()


def render(
    headers: Sequence[str],
    rows: Sequence[Sequence[Any]],
    form: str,
    *,
    left: int = 1,
    most: Sequence[int | None] | None = None,
) -> str:
    """The table in one of `BOARD_FORMATS`; the first `left` columns are flush left, the others right.

    JSON is a list of objects, CSV has a header line; neither is rounded, padded or cut. In CSV a text that a
    spreadsheet would take for a formula has a `'` before it (`escapes.csv_cell`). In text, `most` are the characters of
    a line of each column's cells.
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
                 disable_numparse=True, maxcolwidths=list(most) if most else None)
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


def listing(
    headers: Sequence[str], rows: Sequence[Sequence[Any]], form: str, *, left: int, rare: Sequence[str] = ()
) -> str:
    """The table in one of `LISTING_FORMATS`; where a terminal would break its lines, with fewer columns.

    Columns that say nothing go first, then those of `rare`, in their order; a line below names them. Where that is not
    enough the widest column has several lines a cell.
    """
    said = []
    if form == "table" and is_terminal():
        empty = [header for i, header in enumerate(headers) if rows and all(row[i] in (None, "") for row in rows)]
        for name in (*empty, *rare):
            if fits(headers, rows, columns()):
                break
            if name in headers:
                place = headers.index(name)
                headers = [header for header in headers if header != name]
                rows = [[cell for i, cell in enumerate(row) if i != place] for row in rows]
                said.append(name)
    note = f"\n\nleft out for the terminal's width: {', '.join(said)} (--format json has all)" if said else ""
    most = _widths(headers, rows) if form == "table" and is_terminal() else None
    return render(headers, rows, form, left=min(left, len(headers)), most=most) + note


def _widths(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[int | None] | None:
    """Return how wide each column may be, the widest one bounded; None where all fit."""
    if fits(headers, rows, columns()):
        return None
    found = [_width(headers, rows, i) for i in range(len(headers))]
    widest = found.index(max(found))
    room = columns() - (sum(found) - found[widest]) - 2 * (len(found) - 1)
    return [max(room, 20) if i == widest else None for i in range(len(found))]


def fits(headers: Sequence[str], rows: Sequence[Sequence[Any]], width: int) -> bool:
    """Return whether a text table of all columns is no wider than `width`."""
    return sum(_width(headers, rows, i) + 2 for i in range(len(headers))) - 2 <= width


def blocks(
    headers: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    left: int,
    width: int,
    groups: Sequence[int] = (),
) -> str:
    """A text table, its right-hand columns broken into blocks that fit `width`, each with the left columns again.

    Where `groups` has a number a row, rows are left out of a block in which none of their number has a value.
    """
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
        shown_columns = [*range(left), *range(start, end)]
        held = {g for g, row in zip(groups, rows, strict=False) if any(row[i] is not None for i in range(start, end))}
        shown = [row for i, row in enumerate(rows) if not groups or groups[i] in held]
        out.append(
            render(
                [headers[i] for i in shown_columns], [[r[i] for i in shown_columns] for r in shown], "table", left=left
            )
        )
        start = end
    return "\n\n".join(out)


def _width(headers: Sequence[str], rows: Sequence[Sequence[Any]], column: int) -> int:
    """Return how wide tabulate makes a column: it pads headers by two."""
    return max([len(headers[column]) + 2, *(len(str(r[column] if r[column] is not None else "")) for r in rows)])
