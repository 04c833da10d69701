"""Training rows on disk: parsed once into an Arrow file, mapped into memory from there on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from instructor_eval.core.errors import UserError, reason
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.training.parse import Part, Row, parse

Numbers = npt.NDArray[np.int64]
_VERSION = 1
_ROWS, _CHARACTERS = 4096, 1 << 24
"""Rows and characters of a piece of the file: what is in memory while it is written."""
_PARTS = ("query", "pos", "neg")
_SCHEMA = pa.schema(
    [("task", pa.int32()), ("characters", pa.int32())]
    + [(f"{part}_{what}", pa.string()) for part in _PARTS for what in ("instruction", "text")]
)
_MOST_INSTRUCTIONS = 1000
_MOST_NAMED = 3


@dataclass(frozen=True)
class About:
    """Facts about the rows that need no reading of them."""

    file: str
    """The name of the file that they came from."""
    sha256: str
    """Of what was read of that file."""
    rows: int
    tasks: tuple[str, ...]
    """Names, in the order of the file."""
    instructions: tuple[str, ...]
    """Different ones, at most a thousand."""
    left_out: int = 0
    """Rows that could not be used."""


class Rows:
    """Training rows in a mapped file."""

    def __init__(self, path: Path, about: About) -> None:
        self.about = about
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        self._pieces = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        self._starts = np.cumsum([0, *(len(piece) for piece in self._pieces)])
        self.task = self._column("task")
        """int32 [rows]: the number of its task in `about.tasks`."""
        self.characters = self._column("characters")
        """int32 [rows]: of all its texts and instructions."""

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _column(self, name: str) -> npt.NDArray[np.int32]:
        found = [piece.column(name).to_numpy() for piece in self._pieces]
        return np.concatenate([np.zeros(0, dtype=np.int32), *found])

    def get(self, number: int) -> Row:
        """Return one row by its number."""
        piece = int(np.searchsorted(self._starts, number, side="right")) - 1
        [raw] = self._pieces[piece].slice(number - int(self._starts[piece]), 1).to_pylist()
        query, pos, neg = ((raw[f"{part}_instruction"], raw[f"{part}_text"]) for part in _PARTS)
        return Row(self.about.tasks[raw["task"]], query, pos, neg if neg[1] is not None else None)

    def texts(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the part (query, pos, neg) and its texts, piece by piece."""
        for piece in self._pieces:
            for part in _PARTS:
                yield part, [text for text in piece.column(f"{part}_text").to_pylist() if text is not None]


def load_rows(
    path: Path,
    folder: Path,
    *,
    most: int | None = None,
    skip_bad: bool = False,
    say: Callable[[str], None] = lambda _line: None,
) -> Rows:
    """Return the rows of a file, parsed into Arrow the first time.

    Args:
        path: MEDI's JSON array, or JSON lines.
        folder: Where the Arrow file is stored.
        most: Only so many rows, from the beginning.
        skip_bad: Leave rows out that cannot be used.
        say: Called with what is done.

    Raises:
        UserError: the file cannot be read or stored, or holds no rows that can be used.
    """
    if not path.exists():
        raise UserError(f"{path}: there is no such file of rows: give another")
    try:
        stat = path.stat()
        key = [_VERSION, str(path.resolve()), stat.st_size, stat.st_mtime_ns, most, skip_bad]
        name = hashlib.sha256(json.dumps(key).encode("utf-8", "surrogatepass")).hexdigest()[:20]
        stored, aside = folder / f"{name}.arrow", folder / f"{name}.json"
        if not (stored.exists() and aside.exists()):
            say(f"reading {path} ({stat.st_size / 1e6:,.1f} MB) into {stored}")
            folder.mkdir(parents=True, exist_ok=True)
            _convert(path, stored, aside, most=most, skip_bad=skip_bad, say=say)
        about = json.loads(aside.read_text(encoding="utf-8"))
        return Rows(
            stored, About(**{**about, "tasks": tuple(about["tasks"]), "instructions": tuple(about["instructions"])})
        )
    except (OSError, ValueError) as e:
        why = reason(e) if isinstance(e, OSError) else str(e)
        raise UserError(
            f"{path}: its rows cannot be read or stored in {folder}: {why}: see that both can be used"
        ) from e


def _convert(
    path: Path, stored: Path, aside: Path, *, most: int | None, skip_bad: bool, say: Callable[[str], None]
) -> None:
    digest, tasks = hashlib.sha256(), dict[str, int]()
    instructions, bad = dict[str, None](), Counter[str]()

    def on_bad(error: str) -> None:
        bad["rows"] += 1
        if bad["rows"] <= _MOST_NAMED:
            say(f"left out: {error}")

    rows = islice(parse(path, on_bad=on_bad if skip_bad else None, read=digest.update), most)
    count = 0

    def write(file: Any) -> None:
        nonlocal count
        with pa.ipc.new_file(file, _SCHEMA) as writer:
            for piece in _pieces(rows):
                count += len(piece)
                for row in piece:
                    for instruction, _ in _parts(row):
                        if len(instructions) < _MOST_INSTRUCTIONS:
                            instructions[instruction] = None
                writer.write_batch(_record_batch(piece, tasks))

    atomic_write(stored, write)
    if not count:
        stored.unlink()
        raise UserError(f"{path}: no row that can be used: give rows {{'query': [instruction, text], 'pos': ...}}")
    about = About(path.name, digest.hexdigest(), count, tuple(tasks), tuple(instructions), bad["rows"])
    if about.left_out:
        say(f"{about.left_out:,} rows that cannot be used are left out")
    atomic_write(aside, lambda file: file.write(json.dumps(vars(about)).encode()))


def _parts(row: Row) -> Sequence[Part]:
    return (row.query, row.pos, row.neg) if row.neg else (row.query, row.pos)


def _pieces(rows: Iterator[Row]) -> Iterator[list[Row]]:
    piece: list[Row] = []
    characters = 0
    for row in rows:
        piece.append(row)
        characters += sum(len(text) for _, text in _parts(row))
        if len(piece) == _ROWS or characters > _CHARACTERS:
            yield piece
            piece, characters = [], 0
    if piece:
        yield piece


def _record_batch(rows: Sequence[Row], tasks: dict[str, int]) -> Any:
    columns: dict[str, list[Any]] = {field.name: [] for field in _SCHEMA}
    for row in rows:
        columns["task"].append(tasks.setdefault(row.task, len(tasks)))
        columns["characters"].append(sum(len(instruction) + len(text) for instruction, text in _parts(row)))
        for name in _PARTS:
            instruction, text = getattr(row, name) or (None, None)
            columns[f"{name}_instruction"].append(instruction)
            columns[f"{name}_text"].append(text)
    return pa.record_batch(columns, schema=_SCHEMA)
