"""Checks of a loaded task's tables: mteb notices late, or silently scores something else.

Wrong data is a ValueError with file and row; a fact that a reader of the score needs is a warning. The numbers stay
mteb's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from instructor_eval.tasks.mteb.mirror_files import check_texts, files_of, find_value
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.values import LARGEST, count, cut, is_nan, name_of


class Data:
    """The splits of a loaded mteb task, and the folder of its files."""

    def __init__(self, task: Any, card: Card, folder: Path) -> None:
        self._data = task.dataset.get(card.subset, task.dataset)
        self._card, self._folder = card, folder
        self._fast = bool(getattr(task, "fast_loading", False))
        """All subsets share their files."""

    def split(self, name: str) -> Any:
        """Return a split; if languages share a file, it may lack the column that separates them."""
        if name in self._data:
            return self._data[name]
        files, language = files_of(self._folder, None, name), self._card.subset
        if self._fast and files and find_value(files, self._folder, ["lang"], lambda v: v == language) is None:
            place = files[0].relative_to(self._folder)
            raise ValueError(f"no split '{name}': {place} has no row with '{language}' in a column 'lang'")
        raise ValueError(f"no split '{name}'")

    def table(self, split: str) -> Table:
        """Return the rows of a split."""
        config = None if self._card.subset == "default" or self._fast else self._card.subset
        return Table(self.split(split), split, files_of(self._folder, config, split), self._folder)

    def part(self, name: str) -> Table:
        """Return a part of a ranking task, `corpus` or `queries`."""
        prefix, split = "" if self._card.subset == "default" else f"{self._card.subset}-", self._card.split
        return Table(self.split(split)[name], name, files_of(self._folder, f"{prefix}{name}", split), self._folder)


class Table:
    """The rows of a split, or of a part of a ranking task, with their files; its checks raise ValueError."""

    def __init__(self, rows: Any, what: str, files: Sequence[Path], folder: Path) -> None:
        self.rows, self.what, self.files, self.folder = rows, what, files, folder
        if not len(rows):
            raise ValueError(f"no rows in {what}")

    def fail(self, column: str, is_wrong: Callable[[Any], bool], message: str) -> ValueError:
        """Return an error that names the first wrong value, with its file and row if they are known."""
        found = find_value(self.files, self.folder, [column], is_wrong)
        if found is None:
            return ValueError(f"{message} '{column}' of {self.what}")
        value = found.value
        return ValueError(f"{found.place}: {cut(value) if isinstance(value, str) else name_of(value)} in '{column}'")

    def column(self, name: str) -> Any:
        """Return a column without missing values, as an Arrow array.

        Raises:
            ValueError: the column or a value is missing.
        """
        if name not in self.rows.column_names:
            where = self.files[0].relative_to(self.folder) if self.files else self.what
            has = ", ".join(self.rows.column_names)
            raise ValueError(f"no column '{name}' in {self.what}, it has {has}" + (f": {where}" if self.files else ""))
        values = (
            self.rows.with_format("arrow")[:][name] if self.rows._indices is not None else self.rows.data.column(name)
        )
        if values.null_count:
            raise self.fail(name, lambda value: value is None or is_nan(value), "missing values in column")
        return values

    def texts(self, *names: str, optional: str = "", lists: bool = False) -> list[str]:
        """Check columns of texts, or of lists of texts, and count empty texts.

        Args:
            names: The columns.
            optional: The column that may be empty if another is not: a document has a title or a text.
            lists: A row may have a list.

        Raises:
            ValueError: a value is not a text.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        check_texts(self.files, self.folder, names, lists=lists)
        empty, found = None, []
        for name in names:
            values = self.column(name)
            while lists and isinstance(values.type, pa.ListType | pa.LargeListType):
                values = pc.list_flatten(values)
            if values.null_count:
                raise self.fail(name, lambda v: v is None, "null in a list of column")
            if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
                raise self.fail(name, lambda v: not isinstance(v, str), f"{values.type} instead of texts in column")
            no_text = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(values)), 0)
            if optional:  # a document is empty if its title and its text are
                empty = no_text if empty is None else pc.and_(empty, no_text)
            elif n := pc.sum(no_text).as_py():
                found.append(f"{self.what}: {count(n, 'empty text')} in '{name}'")
        n = pc.sum(empty).as_py() if empty is not None else 0
        return [*found, *([f"{self.what}: {count(n, 'empty text')}"] if n else [])]

    def numbers(self, name: str) -> None:
        """Check a column of numbers, or of lists of numbers.

        Raises:
            ValueError: a value is not a finite number.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        values = self.column(name)
        while isinstance(values.type, pa.ListType | pa.LargeListType):
            values = pc.list_flatten(values)
        if values.null_count:
            raise self.fail(name, lambda v: v is None, "null in a list of column")
        if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
            raise self.fail(name, lambda v: isinstance(v, str | bool), f"{values.type} instead of numbers in column")
        if not pc.all(pc.less_equal(pc.abs(values.cast(pa.float64())), LARGEST)).as_py():
            raise self.fail(
                name, lambda v: isinstance(v, float) and not abs(v) <= LARGEST, "no finite number in column"
            )

    def labels(self, name: str, *, lists: bool = False) -> Any:
        """Return a column of labels, or of lists of labels, as one Arrow array.

        Raises:
            ValueError: a label is missing, NaN, infinite, or no text, number or truth value.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        values = self.column(name)
        while lists and isinstance(values.type, pa.ListType | pa.LargeListType):
            values = pc.list_flatten(values)
        if values.null_count:
            raise self.fail(name, lambda v: v is None, "null in a list of column")
        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        if pa.types.is_floating(kind) and not pc.all(pc.is_finite(values)).as_py():
            raise self.fail(name, lambda v: isinstance(v, float) and not math.isfinite(v), "no finite number in column")
        known = (
            pa.types.is_integer,
            pa.types.is_floating,
            pa.types.is_boolean,
            pa.types.is_string,
            pa.types.is_large_string,
        )
        if not any(is_kind(kind) for is_kind in known):
            raise self.fail(name, lambda v: not isinstance(v, str | int | float), f"{kind} instead of labels in column")
        return values

    def pictures(self, name: str) -> None:
        """Check a column of pictures.

        Raises:
            ValueError: it is none of pictures, or one is missing.
        """
        from datasets import Image

        self.column(name)
        found = self.rows.features[name]
        if type(found) is not Image:
            raise ValueError(f"{found!r:.60} instead of pictures in column '{name}' of {self.what}")

    def filled(self, *names: str) -> None:
        """Check that no list of some columns is empty.

        Raises:
            ValueError: one is.
        """
        for name in names:
            for number, values in enumerate(self.rows[name], 1):
                if not values:
                    raise ValueError(f"{self.what}, row {number}: '{name}' is empty")

    def same_lengths(self, a: str, b: str) -> None:
        """Check that two columns of lists have equally many values in every row.

        Raises:
            ValueError: a row has not.
        """
        lengths = ([len(v) if isinstance(v, list) else 1 for v in self.rows[name]] for name in (a, b))
        for number, (n, m) in enumerate(zip(*lengths, strict=True), 1):
            if n != m:
                raise ValueError(f"{self.what}, row {number}: {n} values in '{a}' but {m} in '{b}'")
