"""Looking after a folder of cached vectors: what it holds, and making it smaller, while others use it."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from instructor_eval.cache.database import (
    FILE_NAME,
    TABLES,
    drop_blocks,
    is_damage,
    open_existing,
    reason,
    time_of,
    transaction,
    used_bytes,
)
from instructor_eval.core.errors import UserError, did_you_mean

_VACUUM_PAGES = 1024


@dataclass(frozen=True)
class SpaceInfo:
    """What is kept of one model in one numeric form."""

    name: str
    variant: str
    revision: str
    dim: int
    dtype: str
    fingerprint: str
    texts: int
    bytes: int
    used: int | None
    """Seconds since 1970; None where nothing is kept. Exact to ten minutes."""


@dataclass(frozen=True)
class Info:
    """What a cache holds."""

    path: Path
    version: int
    models: list[SpaceInfo]
    texts: int
    bytes: int
    """Of vectors and keys."""
    disk: int
    """Of the files."""


@dataclass(frozen=True)
class Dropped:
    """What `prune` or `clear` took away."""

    texts: int
    bytes: int
    freed: int
    """Bytes given back to the disk."""


def info(folder: Path) -> Info:
    """What the cache in `folder` holds.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    with _opened(folder) as connection:
        rows = connection.execute(
            # The casts: in a damaged row a name or a number may be anything.
            "SELECT CAST(s.name AS TEXT), CAST(s.variant AS TEXT), CAST(s.revision AS TEXT), CAST(s.dim AS INT), "
            "CAST(s.dtype AS TEXT), CAST(s.fingerprint AS TEXT), "
            "CAST(COALESCE(SUM(u.texts), 0) AS INT), CAST(COALESCE(SUM(u.bytes), 0) AS INT), MAX(u.used) "
            "FROM spaces s LEFT JOIN uses u ON u.space = s.id GROUP BY s.id ORDER BY s.name, s.variant, s.id"
        ).fetchall()
        models = [
            SpaceInfo(name, variant, revision, dim, dtype, print_, texts, size, None if used is None else time_of(used))
            for name, variant, revision, dim, dtype, print_, texts, size, used in rows
        ]
        texts, size = connection.execute(
            "SELECT CAST(COALESCE(SUM(texts), 0) AS INT), CAST(COALESCE(SUM(bytes), 0) AS INT) FROM uses"
        ).fetchone()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    return Info(folder / FILE_NAME, version, models, texts, size, disk_bytes(folder))


def disk_bytes(folder: Path) -> int:
    """Size of the cache's files, the log included."""
    size = 0
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            size += (folder / f"{FILE_NAME}{suffix}").stat().st_size
    return size


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
    with _opened(folder) as connection:
        before = disk_bytes(folder)
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
        _give_back(connection)
    return Dropped(texts, dropped, max(0, before - disk_bytes(folder)))


def clear(folder: Path) -> Dropped:
    """Drop everything, and give the space back to the disk.

    Raises:
        UserError: there is no cache, or it cannot be changed.
    """
    with _opened(folder) as connection:
        before = disk_bytes(folder)
        with transaction(connection):
            counts = "SELECT COALESCE(SUM(texts), 0), COALESCE(SUM(bytes), 0) FROM uses"
            texts, size = connection.execute(counts).fetchone()
            for table in TABLES:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 # our own tables
        _give_back(connection)
    return Dropped(texts, size, max(0, before - disk_bytes(folder)))


def _spaces_named(connection: sqlite3.Connection, model: str) -> list[int]:
    rows = connection.execute("SELECT id, name, revision, fingerprint FROM spaces").fetchall()
    found = [number for number, name, revision, print_ in rows if model in (name, f"{name}@{revision}", print_)]
    if not found:
        names = sorted({row[1] for row in rows})
        hint = did_you_mean(model, names) or f": it has {', '.join(names) or 'none'}"
        raise UserError(f"the cache has no vectors of '{model}'{hint}")
    return found


def _give_back(connection: sqlite3.Connection) -> None:
    """Shorten the file by its free pages, a few at a time so that others can write in between; then empty the log."""
    free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    while free:
        connection.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()
        before, free = free, connection.execute("PRAGMA freelist_count").fetchone()[0]
        if free >= before:
            break
    connection.execute("PRAGMA busy_timeout = 5000")  # another process that reads for long keeps the log for now
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


@contextmanager
def _opened(folder: Path) -> Iterator[sqlite3.Connection]:
    """The database of a folder, with SQLite's errors made the user's."""
    with open_existing(folder) as connection:
        try:
            yield connection
        except sqlite3.Error as e:
            step = "`evaluate cache verify` mends it" if is_damage(e) else "see that it can be written, then try again"
            raise UserError(f"cache {folder}: {reason(e)}: {step}") from e
