"""The files of a data set in hub layout: find the row that mteb cannot use.

`datasets` reads files into tables, and mteb's errors are about tables; a user has files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.packed_files import check_parquet
from instructor_eval.tasks.rows import read_rows
from instructor_eval.tasks.values import is_nan, name_of

_READ = (".jsonl", ".csv", ".tsv", ".parquet")
_NAMES = {"id": "_id", "sentence1": "sent1", "sentence2": "sent2"}
"""Columns that mteb renames: its name -> the name in files."""
_QUOTED = re.compile(r"""["']([\w .-]{1,80})["']""")


@contextmanager
def literal_csv() -> Iterator[None]:
    """Let `datasets` read `NaN`, `null` and `None` in a CSV file as texts, for as long as the block runs."""
    from datasets.packaged_modules.csv.csv import CsvConfig

    before = CsvConfig.pd_read_csv_kwargs
    CsvConfig.pd_read_csv_kwargs = property(
        lambda config: {**before.fget(config), "keep_default_na": False, "na_values": []}
    )
    try:
        yield
    finally:
        CsvConfig.pd_read_csv_kwargs = before


def files_of(folder: Path, config: str | None, split: str) -> list[Path]:
    """Return the files of one split of a configuration, or of its only split; none if they are unknown."""
    import datasets

    try:
        files = datasets.load_dataset_builder(str(folder), name=config).config.data_files or {}
        found = files.get(split) or (next(iter(files.values())) if len(files) == 1 else [])
    except Exception:  # noqa: BLE001 # it is for the message of another error, and must not hide it
        return []
    return [Path(str(path)) for path in found]


@dataclass(frozen=True)
class FoundValue:
    """A value in a file."""

    place: str
    """For example `test.jsonl, line 3`."""
    column: str
    value: Any


def find_value(
    files: Sequence[Path], folder: Path, columns: Sequence[str], is_wrong: Callable[[Any], bool]
) -> FoundValue | None:
    """Return the first wrong value of some columns; None: no file has one.

    Args:
        files: The files to search.
        folder: Paths are shown relative to it.
        columns: mteb's names.
        is_wrong: The test of a value, in lists too.
    """
    names = [(column, key) for column in columns for key in (column, _NAMES.get(column, column))]
    for path in files:
        name = path.relative_to(folder) if path.is_relative_to(folder) else path.name
        for place, row in _rows(path):
            for column, key in names:
                if key in row and (wrong := _wrong_in(row[key], is_wrong)):
                    return FoundValue(f"{name}, {place}", column, wrong[0])
    return None


def _wrong_in(value: Any, is_wrong: Callable[[Any], bool]) -> list[Any]:
    """Return the value if it is wrong, or a list's wrong values."""
    if is_wrong(value):
        return [value]
    return [bad for inner in value for bad in _wrong_in(inner, is_wrong)] if isinstance(value, list) else []


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (line or row, values) of a file; nothing if it cannot be read."""
    if path.suffix in (".jsonl", ".csv", ".tsv"):
        for line, row in read_rows(path):
            yield f"line {line}", row
    elif path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            check_parquet(path)
            with pq.ParquetFile(path) as file:
                rows = (row for batch in file.iter_batches() for row in batch.to_pylist())
                for number, row in enumerate(rows, 1):
                    yield f"row {number}", row
        except (pa.ArrowException, OSError, ValueError):
            return


def check_texts(files: Sequence[Path], folder: Path, columns: Sequence[str], *, lists: bool) -> None:
    """Check the JSON Lines among the files: `datasets` converts a number among texts to a text.

    Args:
        files: The files of a table.
        folder: Paths are shown relative to it.
        columns: The columns of texts.
        lists: A value may be a list.

    Raises:
        ValueError: a text is null, NaN, a number, a list or an object.
    """
    kinds = (str, list) if lists else str
    written = [path for path in files if path.suffix == ".jsonl"]
    found = find_value(written, folder, columns, lambda value: not isinstance(value, kinds))
    if found:
        raise ValueError(f"{found.place}: {name_of(found.value)} in '{found.column}': it should be a text")


def diagnose(folder: Path, error: Exception) -> str:
    """Return in a few words why mteb cannot read a folder: the first broken row, or the missing column.

    Args:
        folder: The data set.
        error: The error of `datasets` or mteb.
    """
    said = one_line(str(error.__cause__ or error))[:300] or "a file is empty"
    files = sorted(p for p in folder.rglob("*") if p.suffix in _READ and p.is_file())
    try:
        if type(error).__name__ in ("ColumnNotFoundError", "KeyError") or "olumn" in said:
            return _missing_column(files, folder, _QUOTED.findall(said)) or said
        found = _first_broken(files, folder)
    except UserError as e:
        return str(e).removeprefix(f"{folder}/")[:300]
    return f"{found.place}: {name_of(found.value)} in '{found.column}'" if found else said


def _first_broken(files: Sequence[Path], folder: Path) -> FoundValue | None:
    """Return the first value that `datasets` has no type for: NaN, or a grade that is not a whole number."""
    for path in files:
        for place, row in _rows(path):
            for column, value in row.items():
                is_grade = column == "score" and "query-id" in row
                if is_nan(value) or (is_grade and not _is_whole(value)):
                    return FoundValue(f"{path.relative_to(folder)}, {place}", column, value)
    return None


def _is_whole(value: Any) -> bool:
    try:
        return int(value) == float(value)
    except (TypeError, ValueError, OverflowError):
        return False


def _missing_column(files: Sequence[Path], folder: Path, names: Sequence[str]) -> str:
    """Return a message about the file that lacks the first of these columns and has most of the others."""
    best: tuple[int, str] | None = None
    for path in files:
        columns = next((list(row) for _, row in _rows(path)), [])
        if not names or not columns or names[0] in columns:
            continue
        has = ", ".join(map(str, columns))[:200]
        message = f"{path.relative_to(folder)} has no column '{names[0]}', which mteb reads: it has {has}"
        shared = len(set(columns) & set(names))
        if best is None or shared > best[0]:
            best = (shared, message)
    return best[1] if best else ""
