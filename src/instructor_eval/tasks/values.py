"""Checked values of rows: texts, ids, numbers and labels; each error has file, line, column and the value."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.core.outside import is_folder
from instructor_eval.tasks.rows import Row
from instructor_eval.tasks.task import Card

_SHOWN = 60
_LISTED = 200
NUMBER = re.compile(r"\s*[+-]?(?:nan|inf|infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)\s*", re.IGNORECASE)
MISSING = frozenset({"NaN", "nan", "NAN", "None", "null", "NULL", "Null", "<NA>", "N/A", "#N/A", "NaT"})
"""Words that programs write for a missing value."""
LARGEST = 1e100
"""Sums of squares of larger numbers are infinite."""


def name_of(value: object) -> str:
    """Return words for a value that is not a text, as its file has it: `null`, `NaN`, `a list (['a'])`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int | float):
        return f"the number {cut(value)}"
    kind = "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else type(value).__name__
    return f"{kind} ({cut(value)})"


def is_nan(value: object) -> bool:
    """Return whether a value is NaN."""
    return isinstance(value, float) and math.isnan(value)


def cut(value: object, most: int = _SHOWN) -> str:
    """Return the value in Python's form, shortened."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def count(n: int, one: str, many: str = "") -> str:
    """Return `1 row`, `2 rows`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def similar_name(row: Row, wanted: str) -> str | None:
    """Return a column of a row that differs from the wanted one only in spaces or case."""
    plain = wanted.strip().lower()
    return next((name for name in map(str, row) if name.strip().lower() == plain and name != wanted), None)


def absent(row: Row, *wanted: str) -> str:
    """Return the words for a row that has none of these columns: one that differs only in spaces or case is named."""
    for column in wanted:
        found = similar_name(row, column)
        if found is not None and found.strip() == column.strip():
            return f"no '{column}': the header has spaces: {cut(found)}: take them out"
        if found is not None:
            return f"no '{column}', but {cut(found)}: names differ in case: rename it"
    has = ", ".join(map(str, row))
    return f"no '{' or '.join(wanted)}': it has {has[:_LISTED] or 'no columns'}"


@dataclass
class Empty:
    """The empty texts of one column."""

    n: int = 0
    first: int = 0
    texts: int = 0
    """The number of texts that are not empty."""


@dataclass
class Odd:
    """The values of one column that may mean something else than they say."""

    n: int
    line: int
    """Of the first."""
    value: str


@dataclass
class RowReader:
    """A reader of checked values from the rows of one file, with the card's names of columns."""

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    empty: dict[str, Empty] = field(default_factory=dict)
    odd: dict[tuple[str, str, str], Odd] = field(default_factory=dict)
    """(column, words about one of its values, and about several) -> these values."""

    def fail(self, line: int, message: str) -> UserError:
        """Return an error at a line of this file."""
        return UserError(f"{self.path}, line {line}: {message}")

    def find(self, line: int, row: Row, *names: str) -> tuple[str, Any]:
        """Return the column of the first of `names` that the row has, and its value.

        Raises:
            UserError: it has none of them.
        """
        wanted = [self.columns.get(name, name) for name in names]
        for column in wanted:
            if column in row:
                return column, row[column]
        is_table = self.path.suffix != ".jsonl" and not any(similar_name(row, column) for column in wanted)
        raise self.fail(line, absent(row, *wanted) + (": correct the header, or add it" if is_table else ""))

    def text(self, line: int, row: Row, *names: str) -> str:
        """Return a text; an empty one is noted.

        Raises:
            UserError: it is null, NaN, a number, a list or anything else but a text.
        """
        column, value = self._text(line, row, *names)
        self.note(line, column, value)
        return value

    def optional_text(self, line: int, row: Row, name: str) -> str:
        """Return a text that may be empty; without such a column, an empty one.

        Raises:
            UserError: it is not a text, or the column's name differs only in spaces or case.
        """
        column = self.columns.get(name, name)
        return self._text(line, row, name)[1] if column in row or similar_name(row, column) else ""

    def _text(self, line: int, row: Row, *names: str) -> tuple[str, str]:
        column, value = self.find(line, row, *names)
        if not isinstance(value, str):
            raise self.fail(line, f"{name_of(value)} in '{column}': it should be a text")
        self.note_odd(line, column, value)
        return column, value

    def note_odd(self, line: int, column: str, value: str) -> None:
        """Count a value that is a word for a missing one, or has the quotes of another format."""
        if value in MISSING:
            said = (
                "may stand for a missing value, and is taken as a word",
                "may stand for missing values, and are words",
            )
        elif self.path.suffix == ".tsv" and len(value) > 1 and value[0] == value[-1] == '"':
            said = "has quotes, which are part of it in TSV", "have quotes, which are part of them in TSV"
        else:
            return
        self.odd.setdefault((column, *said), Odd(0, line, value)).n += 1

    def note(self, line: int, column: str, text: str) -> None:
        """Count a text of a column as empty, or not."""
        seen = self.empty.setdefault(column, Empty())
        if text.strip():
            seen.texts += 1
        else:
            seen.n += 1
            seen.first = seen.first or line

    def texts(self, line: int, row: Row, *names: str) -> list[str]:
        """Return a list of texts; empty ones are noted.

        Raises:
            UserError: it is not a list, or something in it is not a text.
        """
        column, values = self._list(line, row, *names)
        for place, value in enumerate(values, 1):
            if not isinstance(value, str):
                raise self.fail(line, f"{name_of(value)} as number {place} of '{column}': it should be a text")
            self.note_odd(line, column, value)
            self.note(line, column, value)
        return values

    def labels(self, line: int, row: Row, *names: str) -> list[str]:
        """Return a list of labels, as they are written.

        Raises:
            UserError: it is not a list, or something in it is not a label.
        """
        column, values = self._list(line, row, *names)
        return [self._label(line, column, value, f" as number {i} of") for i, value in enumerate(values, 1)]

    def _list(self, line: int, row: Row, *names: str) -> tuple[str, list[Any]]:
        column, values = self.find(line, row, *names)
        if not isinstance(values, list):
            found = cut(values) if isinstance(values, str) else name_of(values)
            raise self.fail(line, f"{found} in '{column}': it should be a list of texts")
        return column, values

    def id(self, line: int, row: Row, *names: str) -> str:
        """Return an id: a text, or a whole number as a text.

        Raises:
            UserError: it is empty, null, NaN, a list or anything else.
        """
        column, value = self.find(line, row, *names)
        if isinstance(value, float) and value.is_integer():  # tables have floats in a column with gaps
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self.fail(line, f"{name_of(value)} in '{column}': it should be a text or a whole number")
        if not str(value).strip():
            raise self.fail(line, f"'{column}' is empty: it should be an id")
        return str(value)

    def number(self, line: int, row: Row, *names: str, is_flag: bool = False) -> float:
        """Return a finite number, written as a number or as a text.

        Args:
            line: The row's line.
            row: The row.
            names: Names of its column.
            is_flag: true and false mean 1 and 0, written as texts too.

        Raises:
            UserError: it is something else.
        """
        column, value = self.find(line, row, *names)
        if is_flag and (truth := str(value).strip().lower()) in ("true", "false"):
            return float(truth == "true")
        if isinstance(value, str):
            if not value.strip():
                raise self.fail(line, f"'{column}' is empty: it should be a number")
            if not NUMBER.fullmatch(value):
                raise self.fail(line, f"'{column}' should be a number, found {cut(value)}")
            number = float(value)
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(line, f"{name_of(value)} in '{column}': it should be a number")
        else:
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
        if not math.isfinite(number):
            raise self.fail(line, f"{name_of(number)} in '{column}': it should be a finite number")
        if abs(number) > LARGEST:
            raise self.fail(line, f"{number:g} in '{column}': numbers up to {LARGEST:g} can be computed with")
        return number

    def label(self, line: int, row: Row, *names: str) -> str:
        """Return a label as it is written; true and false are the labels `true` and `false`.

        Raises:
            UserError: it is empty, null, NaN or a list.
        """
        column, value = self.find(line, row, *names)
        return self._label(line, column, value, " in")

    def _label(self, line: int, column: str, value: Any, at: str) -> str:
        if isinstance(value, bool):
            return name_of(value)
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
            raise self.fail(line, f"{name_of(value)}{at} '{column}': it should be a label")
        if not str(value).strip():
            raise self.fail(line, f"an empty label{at} '{column}': write its name, or leave the row out")
        self.note_odd(line, column, str(value))
        return str(value)

    def warnings(self, name: str = "") -> list[str]:
        """Return the number of empty and of odd texts, a line for each column.

        Raises:
            UserError: all texts of a column are empty.
        """
        found = []
        for column, seen in self.empty.items():
            if seen.n and not seen.texts:
                raise UserError(f"{self.path}, line {seen.first}: every '{column}' is empty")
            if seen.n:
                texts = count(seen.n, "empty text")
                found.append(f"{name or self.path.name}: {texts} in '{column}' (the first in line {seen.first})")
        for (column, one, many), odd in self.odd.items():
            values = f"{count(odd.n, 'value')} of '{column}' {one if odd.n == 1 else many}"
            found.append(f"{name or self.path.name}: {values} (the first: {cut(odd.value)}, line {odd.line})")
        return found


def folder_of(card: Card) -> Path:
    """Return the folder of a card's data.

    Raises:
        UserError: there is no such folder.
    """
    if card.folder is None or not is_folder(card.folder):
        raise UserError(f"task {card.name}: {card.folder}: no such folder: correct `data` in the card")
    return card.folder


def gold_hash(gold: Iterable[tuple[Any, ...]]) -> str:
    """Return a hash of the gold values with their item ids, the same in any order."""
    rows = sorted(json.dumps(row, ensure_ascii=False, default=str) for row in gold)
    return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()


def refuse_if_strict(card: Card, warnings: tuple[str, ...], *, strict: bool) -> None:
    """Raise the first warning as an error, if `--strict` asks for it."""
    if strict and warnings:
        more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
        raise UserError(f"task {card.name}: {warnings[0]}{more}: --strict makes a warning an error")
