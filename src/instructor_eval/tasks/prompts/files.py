"""Files of all layouts: lines, tables and JSON lists, read with errors that name file and line or row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instructor_eval.core import outside
from instructor_eval.core.errors import UserError
from instructor_eval.tasks.rows import Row

_MOST_VALUES = 40_000_000
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def columns(rows: Iterable[Row], wanted: Iterable[str], where: str) -> None:
    """Check that every row has the wanted fields; a field without a value counts as missing.

    Args:
        rows: Raw examples.
        wanted: Names of fields.
        where: The file or split, for the error.

    Raises:
        UserError: a row lacks one; the line names the first such row, counted from 1.
    """
    names = list(wanted)
    for number, row in enumerate(rows, 1):
        for name in names:
            if row.get(name) is None:
                raise UserError(f"{where}, row {number}: no '{name}': it has {', '.join(map(str, row)) or 'no fields'}")


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield (line number, line with its end) of a UTF-8 file; only "\n" ends a line, a byte-order mark is skipped.

    Raises:
        UserError: no such file, or a line is not UTF-8.
    """
    yield from enumerate(outside.text_lines(path, end="\n"), 1)


def tab_rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Read the header of a tab-separated file, and (line number, row) of its other lines; quotes are plain characters.

    Raises:
        UserError: the file cannot be read, has no header, a column twice, or a row of another length.
    """
    lines = ((number, line.rstrip("\r\n").split("\t")) for number, line in text_lines(path) if line.strip())
    _, header = next(lines, (0, []))
    if not header:
        raise UserError(f"{path}: empty, expected a header line")
    if len(set(header)) < len(header):
        raise UserError(f"{path}, line 1: a column is there twice")
    rows = []
    for number, cells in lines:
        if len(cells) != len(header):
            raise UserError(f"{path}, line {number}: {len(cells)} columns, but the header has {len(header)}")
        rows.append((number, dict(zip(header, cells, strict=True))))
    return header, rows


def read_json(path: Path) -> Any:
    """Read the value of a JSON file.

    Raises:
        UserError: the file cannot be read or is not JSON.
    """
    text = "".join(line for _, line in text_lines(path))
    try:
        value = outside.parse_json(text, most_values=_MOST_VALUES)
    except json.JSONDecodeError as e:
        raise UserError(f"{path}, line {e.lineno}: not JSON ({e.msg})") from e
    except ValueError as e:  # a number of thousands of digits, or endlessly nested brackets
        raise UserError(f"{path}: not JSON ({e})") from e
    if _SURROGATE.search(text):
        _check_text(value, path)
    return value


def _check_text(value: Any, path: Path) -> None:
    """Refuse half of a surrogate pair: it can be neither embedded nor stored."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as e:
        raise UserError(f"{path}: half of a surrogate pair in it ({e.object[e.start]!r}): it is not a text") from e


def objects(value: Any, where: str) -> list[Row]:
    """Check that a value is a list of objects, and return it.

    Raises:
        UserError: it is not a list, or one of its rows is not an object.
    """
    if not isinstance(value, list):
        raise UserError(f"{where}: expected a list of objects, found {type(value).__name__}")
    for number, row in enumerate(value, 1):
        if not isinstance(row, dict):
            raise UserError(f"{where}, row {number}: expected an object, found {type(row).__name__}")
    return value


def texts(rows: Sequence[Row], names: Iterable[str], where: str) -> None:
    """Check that every row has these fields, and that they are texts.

    Raises:
        UserError: a row has not; the line names the first such row, counted from 1.
    """
    wanted = list(names)
    columns(rows, wanted, where)
    for number, row in enumerate(rows, 1):
        for name in wanted:
            if not isinstance(row[name], str):
                raise UserError(f"{where}, row {number}: '{name}' should be a text, found {type(row[name]).__name__}")


def is_list_of(value: Any, kind: type) -> bool:
    """Return whether a value is a list with values of exactly this type: True is not a number here."""
    return isinstance(value, list) and all(type(v) is kind for v in value)


@dataclass(frozen=True)
class Split:
    """The rows of one file or split, in their order."""

    name: str
    rows: list[Row]
