"""Show, check and shrink a folder of cached vectors, while others use it."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from instructor_eval.cache.blocks import TABLES, VECTORS, drop_blocks, is_whole, split_keys, used_bytes
from instructor_eval.cache.database import (
    FILE_NAME,
    DamageError,
    Database,
    Schema,
    check_exists,
    disk_bytes,
    give_back,
    open_existing,
    reason,
    set_aside_files,
    transaction,
)
from instructor_eval.core.errors import UserError, did_you_mean

_BLOCKS_AT_ONCE = 32


@dataclass(frozen=True)
class SpaceInfo:
    """The vectors of one model in one numeric form."""

    name: str
    variant: str
    revision: str
    dim: int
    dtype: str
    fingerprint: str
    texts: int
    bytes: int
    used: int | None
    """Seconds since 1970; None where there are none. Exact to ten minutes."""


@dataclass(frozen=True)
class Info:
    """The content of a cache."""

    path: Path
    version: int
    models: list[SpaceInfo]
    texts: int
    bytes: int
    """Of vectors and keys."""
    disk: int
    """Of the files, with those that were set aside."""


@dataclass(frozen=True)
class Dropped:
    """Rows and bytes that `prune` or `clear` removed."""

    rows: int
    """Texts with a vector, or answers."""
    bytes: int
    freed: int
    """Bytes given back to the disk."""


@dataclass
class Verdict:
    """Findings and repairs of `verify`."""

    rows: int = 0
    """Blocks of vectors, or answers, that were checked."""
    texts: int = 0
    """In these blocks."""
    wrong: int = 0
    """Rows that were dropped."""
    entries: int = 0
    """Entries of the index, and notes of use, that led to no block and were dropped."""
    set_aside: str = ""
    """One line, if the database itself was damaged."""

    @property
    def sound(self) -> bool:
        """Return whether nothing was wrong."""
        return not (self.wrong or self.entries or self.set_aside)


def info(folder: Path) -> Info:
    """Return what the cache in `folder` holds.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    with open_existing(folder, VECTORS) as connection:
        rows = connection.execute(
            # The casts: in a damaged row a name or a number may be anything.
            "SELECT CAST(s.name AS TEXT), CAST(s.variant AS TEXT), CAST(s.revision AS TEXT), CAST(s.dim AS INT), "
            "CAST(s.dtype AS TEXT), CAST(s.fingerprint AS TEXT), "
            "CAST(COALESCE(SUM(u.texts), 0) AS INT), CAST(COALESCE(SUM(u.bytes), 0) AS INT), "
            "MAX(MIN(MAX(CAST(u.used AS INT), 0), ?)) "
            "FROM spaces s LEFT JOIN uses u ON u.space = s.id GROUP BY s.id ORDER BY s.name, s.variant, s.id",
            (int(time.time()),),
        ).fetchall()
        models = [SpaceInfo(*row) for row in rows]
        texts, size = connection.execute(
            "SELECT CAST(COALESCE(SUM(texts), 0) AS INT), CAST(COALESCE(SUM(bytes), 0) AS INT) FROM uses"
        ).fetchone()
    return Info(folder / FILE_NAME, VECTORS.version, models, texts, size, disk_bytes(folder / FILE_NAME))


def verify(folder: Path) -> Verdict:
    """Check every block, and that index and notes of use lead to blocks; drop what is wrong.

    Raises:
        UserError: there is no cache, or it cannot be checked.
    """
    return check(folder, VECTORS, _check_blocks)


def check(folder: Path, schema: Schema, check_rows: Callable[[sqlite3.Connection], Verdict]) -> Verdict:
    """Check a database and its rows; set it aside if it is damaged.

    Raises:
        UserError: there is none, or it cannot be checked.
    """

    def check_all(connection: sqlite3.Connection) -> Verdict:
        found = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
        if found != "ok":
            raise DamageError(found)
        return check_rows(connection)

    lines: list[str] = []
    try:
        check_exists(folder, schema)
        with closing(Database(folder, schema, lines.append)) as database:
            verdict = database.attempt(check_all)
    except sqlite3.Error as e:
        raise UserError(f"{schema.thing} {folder} cannot be checked ({reason(e)}): try again later") from e
    verdict.set_aside = "".join(lines)
    return verdict


def _check_blocks(connection: sqlite3.Connection) -> Verdict:
    verdict, last = Verdict(), 0
    batch = (
        "SELECT b.id, b.keys, b.checksum, b.vectors, u.texts, u.bytes FROM blocks b LEFT JOIN uses u ON u.block = b.id "
        "AND u.space IN (SELECT id FROM spaces) WHERE b.id > ? ORDER BY b.id LIMIT ?"
    )
    while rows := connection.execute(batch, (last, _BLOCKS_AT_ONCE)).fetchall():
        last = rows[-1][0]
        wrong = []
        for number, keys, checksum, data, *noted in rows:
            whole = is_whole(keys, checksum, data)
            texts = len(split_keys(keys)) if whole else 0
            verdict.texts += texts
            if not whole or noted != [texts, len(keys) + len(data)]:
                wrong.append(number)
        verdict.rows += len(rows)
        verdict.wrong += len(wrong)
        if wrong:
            with transaction(connection):
                drop_blocks(connection, wrong)
    with transaction(connection):
        for table in ("entries", "uses"):
            lost = f"DELETE FROM {table} WHERE block NOT IN (SELECT id FROM blocks)"  # noqa: S608 # our own tables
            verdict.entries += connection.execute(lost).rowcount
    return verdict


def prune(
    folder: Path, *, size: int | None = None, model: str | None = None, older_than_days: float | None = None
) -> Dropped:
    """Drop blocks, the least recently used first, and give their space back to the disk.

    Criteria given together narrow each other: only blocks that all of them name go.

    Args:
        folder: Of the cache.
        size: Go on only until the whole cache takes no more than so many bytes.
        model: A name, name@revision, or fingerprint.
        older_than_days: Only what was not used for so long.

    Raises:
        UserError: there is no cache, it cannot be changed, or it has no such model.
    """
    with open_existing(folder, VECTORS) as connection:
        before = disk_bytes(folder / FILE_NAME)
        conditions, values = ["1"], []
        if model is not None:
            spaces = _spaces_named(connection, model)
            conditions.append(f"space IN ({', '.join('?' * len(spaces))})")
            values += spaces
        if older_than_days is not None:
            conditions.append("used < ?")
            values.append(int(time.time() - older_than_days * 86400))
        numbers = "block, COALESCE(CAST(texts AS INT), 0), COALESCE(CAST(bytes AS INT), 0)"  # whatever damage made them
        which = f"SELECT {numbers} FROM uses WHERE {' AND '.join(conditions)} ORDER BY used, block LIMIT 256"  # noqa: S608 # values are bound
        texts = dropped = 0
        while True:
            with transaction(connection):
                excess = None if size is None else used_bytes(connection) - size
                chosen = connection.execute(which, values).fetchall() if excess is None or excess > 0 else []
                if excess is not None:
                    sums = itertools.accumulate(row[2] for row in chosen)
                    chosen = chosen[: 1 + sum(total < excess for total in sums)]
                drop_blocks(connection, [row[0] for row in chosen])
                connection.execute("DELETE FROM spaces WHERE id NOT IN (SELECT space FROM uses)")
            if not chosen:
                break
            texts += sum(row[1] for row in chosen)
            dropped += sum(row[2] for row in chosen)
        give_back(connection)
    return Dropped(texts, dropped, max(0, before - disk_bytes(folder / FILE_NAME)))


def clear(folder: Path) -> Dropped:
    """Drop everything, and give the space back to the disk.

    Raises:
        UserError: there is no cache, or it cannot be changed.
    """
    return empty(folder, VECTORS, "SELECT COALESCE(SUM(texts), 0), COALESCE(SUM(bytes), 0) FROM uses", TABLES)


def empty(folder: Path, schema: Schema, sums: str, tables: Sequence[str]) -> Dropped:
    """Drop all rows of a database, which `sums` has counted, and what was set aside."""
    path = folder / schema.file
    with open_existing(folder, schema) as connection:
        before = disk_bytes(path)
        with transaction(connection):
            texts, size = connection.execute(sums).fetchone()
            for table in tables:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 # our own tables
        give_back(connection)
        for file in set_aside_files(path):
            file.unlink(missing_ok=True)
    return Dropped(texts, size, max(0, before - disk_bytes(path)))


def _spaces_named(connection: sqlite3.Connection, model: str) -> list[int]:
    rows = connection.execute("SELECT id, name, revision, fingerprint FROM spaces").fetchall()
    found = [number for number, name, revision, print_ in rows if model in (name, f"{name}@{revision}", print_)]
    if not found:
        names = sorted({row[1] for row in rows})
        hint = did_you_mean(model, names) or f": it has {', '.join(names) or 'none'}"
        raise UserError(f"the cache has no vectors of '{model}'{hint}")
    return found
