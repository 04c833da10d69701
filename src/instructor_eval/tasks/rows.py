"""Rows of a user's files: JSON Lines, CSV and TSV, with errors that name file and line."""

from __future__ import annotations

import csv
import glob
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.core.outside import is_folder, parse_json, text_lines

Row = dict[str, Any]
SUFFIXES = (".jsonl", ".tsv", ".csv")
_SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars", " ": "spaces"}
_LONGEST_FIELD = 2**24
_MOST_COLUMNS = 10_000


def find_file(folder: Path, stem: str) -> Path:
    """Return the one file `<stem>.jsonl`, `.tsv` or `.csv` of a folder.

    Raises:
        UserError: no such folder, no such file, or more than one.
    """
    if not is_folder(folder):
        raise UserError(f"{folder}: no such folder: `data` is relative to the card's folder")
    found = [p for p in (folder / f"{stem}{suffix}" for suffix in SUFFIXES) if os.path.lexists(p) and not p.is_dir()]
    if not found:
        others = sorted(p.name for p in folder.glob(f"{glob.escape(stem)}.*") if p.is_file())
        hint = f" ({others[0]} is there, but in an unknown format: convert it)" if others else ""
        raise UserError(f"{folder}: expected {stem}.jsonl, {stem}.tsv or {stem}.csv in it, found none{hint}")
    if len(found) > 1:
        raise UserError(f"{folder}: {found[0].name} and {found[1].name} are both there: remove one")
    return found[0]


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield (line number, row) of every row that is not empty; tables need a header line.

    TSV has no quoting; CSV may quote with double quotes. A byte-order mark is skipped.

    Raises:
        UserError: the file is not UTF-8, or a line cannot be read.
    """
    return (_json_lines if path.suffix == ".jsonl" else _table)(path)


def read_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of every line of a table that is not empty, the header's too.

    Raises:
        UserError: the file is not UTF-8, or a line cannot be read.
    """
    tabs = path.suffix == ".tsv"
    options = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {}
    reader = csv_cells(text_lines(path), **options)
    try:
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield reader.line_num, cells
    except csv.Error as e:
        raise UserError(f"{path}, line {reader.line_num}: {e}") from e


def csv_cells(lines: Iterable[str], **options: Any) -> Any:
    """Return Python's reader of CSV, strict, and with a limit on a field's length."""
    csv.field_size_limit(_LONGEST_FIELD)
    return csv.reader(lines, strict=True, **options)


def _json_lines(path: Path) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(text_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, object_pairs_hook=_unique)
            if "\\u" in line:
                json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is not valid text
        except ValueError as e:
            hint = ": every line should be an object of its own" if line.lstrip().startswith("[") else ""
            raise UserError(f"{path}, line {number}: not JSON ({e}){hint}") from e
        except UserError as e:
            raise UserError(f"{path}, line {number}: {e}") from e
        if not isinstance(row, dict):
            found = f"found {type(row).__name__}: write each row as an object on a line of its own"
            raise UserError(f"{path}, line {number}: expected an object, {found}")
        yield number, row


def _unique(pairs: list[tuple[str, Any]]) -> Row:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)
        raise UserError(f"the key '{twice[:80]}' is there twice in an object: remove one")
    return found


def _table(path: Path) -> Iterator[tuple[int, Row]]:
    rows = read_cells(path)
    number, header = next(rows, (1, []))
    _check_header(path, number, header)
    for number, cells in rows:
        if [cells[0].removeprefix("\ufeff"), *cells[1:]] == header:
            raise UserError(f"{path}, line {number}: the header is there again, as in joined files: take this line out")
        if len(cells) != len(header):
            quote = ": put a text with commas in double quotes" if path.suffix == ".csv" else ""
            raise UserError(
                f"{path}, line {number}: {len(cells)} column{'s' * (len(cells) != 1)}, the header has {len(header)}"
                f"{quote if len(cells) > len(header) else ''}"
            )
        yield number, dict(zip(header, cells, strict=True))


def _check_header(path: Path, number: int, header: list[str]) -> None:
    where = f"{path}, line {number}"
    if len(header) > _MOST_COLUMNS:
        raise UserError(f"{where}: {len(header):,} columns: at most {_MOST_COLUMNS:,} are read")
    twice = [name for name, n in Counter(name.strip() for name in header).items() if n > 1]
    if twice:
        raise UserError(f"{where}: column '{twice[0][:80]}' is there twice: remove one")
    found = next((name for mark, name in _SEPARATORS.items() if mark in header[0]), "") if len(header) == 1 else ""
    if found:
        wanted = "tabs" if path.suffix == ".tsv" else "commas"
        what = f"the header is one column, {header[0][:80]!r}"
        raise UserError(f"{where}: {what}: separate columns by {wanted}, not by {found}")
