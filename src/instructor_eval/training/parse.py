"""Parse files of training rows without holding them: MEDI's JSON array, or JSON lines.

A row is `{"query": [instruction, text], "pos": [instruction, text], "neg": [instruction, text], "task_name": ...}`;
`neg` may be missing, and the task may be called `task_id`, as in the released MEDI.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from instructor_eval.core.errors import UserError, reason
from instructor_eval.core.outside import open_outside
from instructor_eval.models.pooling import whole_characters

Part: TypeAlias = tuple[str, str]
"""An instruction and its text."""
_READ = 1 << 20
_LONGEST_ROW = 1 << 24
"""Characters of a row: beyond them a file is no file of rows."""


class BadRowError(Exception):
    """A row that cannot be used; the text says why."""


@dataclass(frozen=True)
class Row:
    """One training row."""

    task: str
    query: Part
    pos: Part
    neg: Part | None


def parse(path: Path, *, on_bad: Callable[[str], None] | None = None, read: Callable[[bytes], None]) -> Iterator[Row]:
    """Yield the rows of a file, in its order.

    Args:
        path: A JSON array or JSON lines, in UTF-8.
        on_bad: Called with the error of a row that cannot be used, which is left out then; None: it is raised.
        read: Called with every piece of the file, as it is.

    Raises:
        UserError: the file cannot be read, is cut, or holds a row that cannot be used; the line says which.
    """
    try:
        with open_outside(path) as raw:
            text = io.TextIOWrapper(io.BufferedReader(_Watched(raw, read), _READ), encoding="utf-8-sig", newline="\n")
            first = _first_sign(text)
            if not first:
                raise UserError(f"{path}: it is empty: give a JSON array of training rows, or JSON lines")
            found = _array(text, first, path) if first.startswith("[") else _lines(text, first, path)
            for place, value in found:
                try:
                    row = _row(value)
                except BadRowError as e:
                    error = f"{path}, {place}: {e}"
                    if on_bad is None:
                        raise UserError(f"{error}: correct it, or leave such rows out with --skip_bad_rows") from e
                    on_bad(error)
                    continue
                yield row
    except UnicodeDecodeError as e:
        raise UserError(f"{path}: it is not UTF-8 ({e.reason}): convert it, or give another file") from e
    except OSError as e:
        raise UserError(f"{path}: {reason(e)}: give a file of training rows") from e


class _Watched(io.RawIOBase):
    """A file whose bytes somebody else sees too."""

    def __init__(self, raw: io.BufferedReader, read: Callable[[bytes], None]) -> None:
        self._raw, self._read = raw, read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._raw.readinto(buffer)
        self._read(bytes(memoryview(buffer)[:count]))
        return count


def _first_sign(text: io.TextIOWrapper) -> str:
    while piece := text.read(1):
        if not piece.isspace():
            return piece
    return ""


def _array(text: io.TextIOWrapper, buffer: str, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the values of an array, one in memory at a time.

    Values end by a bracket: where one does not parse, more of the file is read until it does.
    """
    decode = json.JSONDecoder().raw_decode
    at, number, comma = 1, 0, False
    while True:
        at = _skip_space(buffer, at)
        error: Exception | None = None
        if at < len(buffer):
            sign = buffer[at]
            if sign == "]" and not (comma and number):
                _check_end(text, buffer[at + 1 :], path)
                return
            if sign == "," and number and not comma:
                at, comma = at + 1, True
                continue
            if sign in "]," or not (comma or number == 0):
                raise UserError(
                    f"{path}, row {number + 1}: '{sign}' where a row or a comma is due: it is no JSON array"
                )
            try:
                value, at = decode(buffer, at)
            except (ValueError, RecursionError) as e:
                error = e
            else:
                number, comma = number + 1, False
                yield f"row {number}", value
                continue
        more = text.read(_READ) if len(buffer) - at <= _LONGEST_ROW else ""
        if not more:
            raise _unfinished(path, number + 1, buffer[at:], error)
        buffer, at = buffer[at:] + more, 0


def _skip_space(buffer: str, at: int) -> int:
    while at < len(buffer) and buffer[at] in " \t\r\n":
        at += 1
    return at


def _check_end(text: io.TextIOWrapper, rest: str, path: Path) -> None:
    if rest.strip() or text.read(_READ).strip():
        raise UserError(f"{path}: something stands behind the array: give one JSON array, or JSON lines")


def _unfinished(path: Path, number: int, rest: str, error: Exception | None) -> UserError:
    if len(rest) > _LONGEST_ROW:
        return UserError(f"{path}, row {number}: it is no JSON within {_LONGEST_ROW:,} characters: correct the file")
    if isinstance(error, RecursionError) or (error is not None and rest.rstrip().endswith("]")):
        what = "nested too deep" if isinstance(error, RecursionError) else getattr(error, "msg", None) or str(error)
        return UserError(f"{path}, row {number}: it is no JSON ({what}): correct it")
    return UserError(f"{path}: it ends in the middle, at row {number}: it was cut: copy or download it again")


def _lines(text: io.TextIOWrapper, begun: str, path: Path) -> Iterator[tuple[str, Any]]:
    number = 0
    while line := begun + text.readline(_LONGEST_ROW):
        number, begun = number + 1, ""
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as e:
            if not line.endswith("\n") and len(line) < _LONGEST_ROW:
                cut = UserError(
                    f"{path}: it ends in the middle of line {number}: it was cut: copy or download it again"
                )
                raise cut from e
            what = getattr(e, "msg", None) or "nested too deep, or no number"
            raise UserError(f"{path}, line {number}: it is no JSON ({what}): give a row a line, or an array") from e
        yield f"line {number}", value


def _row(value: Any) -> Row:
    """Return a row.

    Raises:
        BadRowError: it cannot be used.
    """
    if not isinstance(value, dict):
        raise BadRowError(f"a row is {{'query': [instruction, text], ...}}, not {_kind(value)}")
    task = value.get("task_name", value.get("task_id"))
    if isinstance(task, bool) or not isinstance(task, str | int):
        raise BadRowError("it names no task: give task_name or task_id")
    query, pos = (_part(value, name) for name in ("query", "pos"))
    neg = _part(value, "neg") if value.get("neg") is not None else None
    return Row(whole_characters(str(task))[:1000], query, pos, neg)


def _part(row: dict[str, Any], name: str) -> Part:
    part = row.get(name)
    if part is None:
        raise BadRowError(f"it has no '{name}'")
    if not isinstance(part, list) or len(part) != 2:
        raise BadRowError(f"its '{name}' is not [instruction, text]")
    for what, given in zip(("instruction", "text"), part, strict=True):
        if not isinstance(given, str):
            raise BadRowError(f"the {what} of its '{name}' is {_kind(given)}, not a string")
    if not part[1].strip():
        raise BadRowError(f"the text of its '{name}' is empty")
    return whole_characters(part[0]), whole_characters(part[1])


def _kind(value: Any) -> str:
    return {"NoneType": "null", "dict": "an object", "list": "a list"}.get(type(value).__name__, type(value).__name__)
