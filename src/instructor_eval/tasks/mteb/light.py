"""Tasks without mteb: their rows, and what mteb's task object says of them.

mteb reads every data set first, in whatever format it is (`load.py`). What it read is stored beside the tables of
`datasets`, under the key of the data: from then on a task whose scorer is ours needs neither library. A file that is
damaged, or of another version, is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from instructor_eval.core.environment import VERSION, installed
from instructor_eval.core.hub import tables_folder
from instructor_eval.core.outside import read_bytes
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.tasks.task import Card

_VERSION = 2
"""Raised when a file's layout, or the checks of a loaded task, change."""
_LARGEST = 256 * 2**20
"""Bytes: of a larger data set the import of mteb is a small part of the run."""
_DIGEST, _LENGTH = 32, 8
_COMMIT = re.compile(r"files:.+|hub:.+@[0-9a-f]{40}")
"""Keys that name a content; a branch may move."""


class AllSeen(Exception):
    """A dry run has seen the last text."""


class LightTask(SimpleNamespace):
    """A loaded task: `dataset`, as mteb's task has it, and the attributes that its type's scorer reads."""

    dataset: Any


class Rows:
    """The rows of an Arrow table, with as much of `datasets.Dataset` as the types use."""

    def __init__(self, table: Any) -> None:
        self.table = table

    @classmethod
    def of_columns(cls, columns: Mapping[str, Sequence[Any]]) -> Rows:
        """Return the rows of a table of columns."""
        import pyarrow as pa

        return cls(pa.table(dict(columns)))

    @classmethod
    def of_rows(cls, rows: Sequence[Mapping[str, Any]]) -> Rows:
        """Return the rows of a table of rows, with the columns of the first one."""
        return cls.of_columns({name: [row.get(name) for row in rows] for name in rows[0]} if rows else {})

    @property
    def column_names(self) -> list[str]:
        """The names of its columns."""
        return list(self.table.column_names)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, name: str) -> list[Any]:
        return list(self.table.column(name).to_pylist())

    def select(self, places: Sequence[int]) -> Rows:
        """Return the rows at these places, in this order."""
        if isinstance(places, range) and places.step == 1:
            return Rows(self.table.slice(places.start, len(places)))
        import pyarrow as pa

        return Rows(self.table.take(pa.array(places, type=pa.int64())))


def table_of(rows: Any, columns: Sequence[str]) -> Any:
    """Return columns of a data set of `datasets` as an Arrow table."""
    return rows.select_columns(list(columns)).with_format("arrow")[:]


def read(card: Card, key: str) -> tuple[LightTask, tuple[str, ...]] | None:
    """Return a task as `write` has stored it, and the warnings about its data; None if it is not there.

    Args:
        card: The card of the task.
        key: The key of its data.
    """
    if not _COMMIT.fullmatch(key):
        return None
    try:
        content = read_bytes(_path(card, key), _LARGEST)
        body, digest = content[:-_DIGEST], content[-_DIGEST:]
        if hashlib.sha256(body).digest() != digest:
            return None
        return _unpack(body, card)
    except (OSError, ValueError, LookupError, TypeError):  # none of it is lost: mteb reads the data again
        return None


def write(
    card: Card, key: str, parts: Mapping[str, Any], attributes: Mapping[str, Any], warnings: Sequence[str]
) -> None:
    """Store a task; where the folder cannot be written, it is not stored.

    Args:
        card: The card of the task.
        key: The key of its data.
        parts: What `dataset` holds of the scored split (`corpus`, `queries`, ...), or the splits of a table: Arrow
            tables, and values as JSON has them.
        attributes: The attributes of the task that its scorer reads.
        warnings: About the data.
    """
    import pyarrow as pa

    tables = {name: part for name, part in parts.items() if isinstance(part, pa.Table)}
    if not _COMMIT.fullmatch(key) or sum(table.nbytes for table in tables.values()) > _LARGEST // 2:
        return
    values = {name: part for name, part in parts.items() if name not in tables}
    about = {"attributes": dict(attributes), "warnings": list(warnings), "tables": list(tables), "values": values}
    body = io.BytesIO()
    for block in (json.dumps(about).encode(), *map(_packed, tables.values())):
        body.write(len(block).to_bytes(_LENGTH, "little") + block)
    content = body.getvalue()
    if len(content) + _DIGEST > _LARGEST:
        return
    path = _path(card, key)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, lambda f: f.write(content + hashlib.sha256(content).digest()))


def _packed(table: Any) -> bytes:
    import pyarrow as pa

    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def _unpack(body: bytes, card: Card) -> tuple[LightTask, tuple[str, ...]]:
    import pyarrow as pa

    blocks, rest = [], memoryview(body)
    while rest:
        length = int.from_bytes(rest[:_LENGTH], "little")
        blocks.append(rest[_LENGTH : _LENGTH + length])
        rest = rest[_LENGTH + length :]
    about = json.loads(bytes(blocks[0]))
    parts: dict[str, Any] = dict(about["values"])
    for name, block in zip(about["tables"], blocks[1:], strict=True):
        with pa.ipc.open_stream(pa.BufferReader(block)) as reader:
            parts[name] = Rows(reader.read_all())
    task = LightTask(dataset={card.subset: dataset_of(parts, card)}, **about["attributes"])
    return task, tuple(about["warnings"])


def dataset_of(parts: Mapping[str, Any], card: Card) -> dict[str, Any]:
    """Return splits: the parts themselves, or the scored split if they are parts of it."""
    return dict(parts) if card.split in parts else {card.split: dict(parts)}


def _path(card: Card, key: str) -> Path:
    libraries = installed(("mteb", "datasets"))
    parts = [card.name, card.split, card.subset, key, _VERSION, VERSION, libraries]
    name = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return tables_folder(key) / f"task-{name}.bin"
