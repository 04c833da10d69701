"""Reading a user's files: JSON Lines, CSV and TSV, with errors that name file and line."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from instructor_eval.errors import UserError

Row = dict[str, Any]
SUFFIXES = (".jsonl", ".tsv", ".csv")


def find_file(folder: Path, stem: str) -> Path:
    """The one file `<stem>.jsonl`, `.tsv` or `.csv` of a folder.

    Raises:
        UserError: no such folder, no such file, or more than one.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder: `data` in the card is taken from the card's own place")
    found = [p for p in (folder / f"{stem}{suffix}" for suffix in SUFFIXES) if p.is_file()]
    if not found:
        raise UserError(f"{folder}: expected {stem}.jsonl, {stem}.tsv or {stem}.csv in it, found none")
    if len(found) > 1:
        raise UserError(f"{folder}: {found[0].name} and {found[1].name} are both there: keep one")
    return found[0]


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """(line number, row) of every row that is not blank; tables need a header line.

    TSV is read as it stands, with no quoting; CSV may quote with double quotes. A byte-order mark is skipped.

    Raises:
        UserError: the file is not UTF-8, or a line cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as f:
            if path.suffix == ".jsonl":
                yield from _json_lines(f, path)
            else:
                yield from _table(f, path)
    except FileNotFoundError as e:
        raise UserError(f"{path}: no such file") from e
    except UnicodeDecodeError as e:
        raise UserError(f"{path}, line {_undecodable(path)}: not UTF-8 ({e.reason}): save it as UTF-8") from e


def _undecodable(path: Path) -> int:
    """The number of the first line that is not UTF-8."""
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
            raise UserError(f"{path}, line {number}: not JSON ({e})") from e
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number}: expected an object, found {type(row).__name__}")
        yield number, row


def _table(lines: Any, path: Path) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(sys.maxsize)
    if path.suffix == ".tsv":
        reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.DictReader(lines, strict=True)
    try:
        header = reader.fieldnames or []
        twice = [name for name in header if header.count(name) > 1]
        if twice:
            raise UserError(f"{path}, line 1: column '{twice[0]}' is there twice")
        for row in reader:
            if None in row or None in row.values():
                raise UserError(
                    f"{path}, line {reader.line_num}: another number of columns than the header's {len(header)}"
                )
            yield reader.line_num, dict(row)
    except csv.Error as e:
        raise UserError(f"{path}, line {reader.reader.line_num}: {e}") from e


class Reader:
    """Takes checked values out of rows, under the names the card gives the columns."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self.path, self.columns = path, columns

    def fail(self, line: int, message: str) -> UserError:
        """An error at a line of this file."""
        return UserError(f"{self.path}, line {line}: {message}")

    def value(self, line: int, row: Row, *names: str) -> Any:
        """The value of the first of `names` that the row has.

        Raises:
            UserError: it has none of them.
        """
        for name in names:
            column = self.columns.get(name, name)
            if row.get(column) is not None:
                return row[column]
        wanted = " or ".join(self.columns.get(n, n) for n in names)
        raise self.fail(line, f"no '{wanted}': it has {', '.join(map(str, row)) or 'no columns'}")

    def text(self, line: int, row: Row, *names: str) -> str:
        """A text; numbers are taken as they are written."""
        value = self.value(line, row, *names)
        if isinstance(value, bool | dict | list):
            raise self.fail(line, f"'{names[0]}' should be a text, found {type(value).__name__}")
        return str(value)

    def number(self, line: int, row: Row, *names: str) -> float:
        """A finite number."""
        value = self.value(line, row, *names)
        try:
            number = float(value)
        except (TypeError, ValueError) as e:
            raise self.fail(line, f"'{names[0]}' should be a number, found {value!r}") from e
        if not math.isfinite(number):
            raise self.fail(line, f"'{names[0]}' is not finite")
        return number

    def texts(self, line: int, row: Row, *names: str) -> list[str]:
        """A list of texts."""
        value = self.value(line, row, *names)
        if not isinstance(value, list) or not all(isinstance(v, str | int | float) for v in value):
            raise self.fail(line, f"'{names[0]}' should be a list of texts")
        return [str(v) for v in value]
