"""Rows of a user's files: JSON Lines, CSV and TSV, with errors that name file and line."""

from __future__ import annotations

import csv
import glob
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from instructor_eval.errors import UserError, reason

Row = dict[str, Any]
SUFFIXES = (".jsonl", ".tsv", ".csv")


def find_file(folder: Path, stem: str) -> Path:
    """Return the one file `<stem>.jsonl`, `.tsv` or `.csv` of a folder.

    Raises:
        UserError: no such folder, no such file, or more than one.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder: `data` in the card is taken from the card's own place")
    found = [p for p in (folder / f"{stem}{suffix}" for suffix in SUFFIXES) if p.is_file()]
    if not found:
        others = sorted(p.name for p in folder.glob(f"{glob.escape(stem)}.*") if p.is_file())
        hint = f" ({others[0]} is there, but is of no form that is read: convert it)" if others else ""
        raise UserError(f"{folder}: expected {stem}.jsonl, {stem}.tsv or {stem}.csv in it, found none{hint}")
    if len(found) > 1:
        raise UserError(f"{folder}: {found[0].name} and {found[1].name} are both there: keep one")
    return found[0]


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield (line number, row) of every row that is not empty; tables need a header line.

    TSV is read as it stands, with no quoting; CSV may quote with double quotes. A byte-order mark is skipped.

    Raises:
        UserError: the file is not UTF-8, or a line cannot be read.
    """
    return _opened(path, _json_lines if path.suffix == ".jsonl" else _table)


def read_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of every line of a table that is not empty, the header's among them.

    Raises:
        UserError: the file is not UTF-8, or a line cannot be read.
    """
    return _opened(path, _cells)


def _opened(path: Path, parse: Any) -> Iterator[Any]:
    """Yield what `parse` makes of the file's text."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as f:
            yield from parse(f, path)
    except FileNotFoundError as e:
        raise UserError(f"{path}: no such file") from e
    except UnicodeDecodeError as e:
        raise UserError(f"{path}, line {_undecodable(path)}: not UTF-8 ({e.reason}): save it as UTF-8") from e
    except OSError as e:
        raise UserError(f"{path}: cannot be read ({reason(e)})") from e


def _undecodable(path: Path) -> int:
    """Return the number of the first line that is not UTF-8."""
    with path.open("rb") as f:
        for number, line in enumerate(f, 1):
            try:
                line.decode("utf-8-sig")
            except UnicodeDecodeError:
                return number
    return 1


def _json_lines(lines: Iterator[str] | Any, path: Path) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if "\\u" in line:
                json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is no text
        except (ValueError, RecursionError) as e:
            hint = ": every line should be an object of its own" if line.lstrip().startswith("[") else ""
            raise UserError(f"{path}, line {number}: not JSON ({e}){hint}") from e
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number}: expected an object, found {type(row).__name__}")
        yield number, row


def _table(lines: Any, path: Path) -> Iterator[tuple[int, Row]]:
    rows = _cells(lines, path)
    number, header = next(rows, (1, []))
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise UserError(f"{path}, line {number}: column '{twice[0][:80]}' is there twice")
    for number, cells in rows:
        if len(cells) != len(header):
            quote = ": put a text with commas in double quotes" if path.suffix == ".csv" else ""
            raise UserError(
                f"{path}, line {number}: {len(cells)} column{'s' * (len(cells) != 1)}, the header has {len(header)}"
                f"{quote if len(cells) > len(header) else ''}"
            )
        yield number, dict(zip(header, cells, strict=True))


def _cells(lines: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(sys.maxsize)
    if path.suffix == ".tsv":
        reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(lines, strict=True)
    try:
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield reader.line_num, cells
    except csv.Error as e:
        raise UserError(f"{path}, line {reader.line_num}: {e}") from e
