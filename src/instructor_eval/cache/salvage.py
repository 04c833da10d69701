"""Saving what can be saved of a cache whose database SQLite itself finds damaged."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from instructor_eval.cache.database import (
    DTYPES,
    KEY_BYTES,
    LARGEST_ID,
    home_of,
    insert,
    is_whole,
    open_file,
    prepare,
    reason,
    row_bytes_by_space,
    row_bytes_of,
    texts_of,
    time_of,
    transaction,
)
from instructor_eval.core.errors import UserError

if TYPE_CHECKING:
    from instructor_eval.cache.verify import Verdict

_PROBES = 4_000_000
# Where SQLite's processes lock a database file: a connection in WAL mode holds a shared lock here while it is open.
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510


def salvage(path: Path, verdict: Verdict) -> None:
    """Copy every block that still reads into a new database, put that in place of the old one, and count.

    Raises:
        UserError: another process has it open, or the new one cannot be written.
    """
    new = path.with_name(f"{path.name}.mending")
    try:
        with path.open("r+b") as file:
            _use_alone(file, path)
            _unlink(new)
            try:
                _copy_good(path, new, verdict)
                _use_alone(file, path)  # closing the database has let go of the lock
                _unlink(path, "-wal", "-shm")  # first: a log must never meet a database that is not its own
                new.replace(path)
            finally:
                _unlink(new)
    except (OSError, sqlite3.Error) as e:
        step = f"free some space, or delete {path.name} and what lies beside it"
        raise UserError(f"cache {path.parent} is damaged and cannot be mended ({reason(e)}): {step}") from e


def _unlink(path: Path, *suffixes: str) -> None:
    for suffix in suffixes or ("", "-wal", "-shm"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)


def _use_alone(file: IO[bytes], path: Path) -> None:
    """Raise unless no other process has the database open, or mends it."""
    try:
        import fcntl
    except ImportError:  # a system on which an open file cannot be replaced anyway
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # against another like this
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)  # against SQLite
    except (BlockingIOError, PermissionError) as e:
        step = "run `evaluate cache verify` when that is done"
        raise UserError(f"cache {path.parent} is damaged, and another process uses it: {step}") from e


def _copy_good(path: Path, new: Path, verdict: Verdict) -> None:
    with closing(open_file(new, "rwc")) as target, closing(open_file(path)) as source:
        prepare(target)
        source.text_factory = bytes  # what is no text any more is for `_space_rows` to say
        numbers = {row[0]: row[1] for row in _space_rows(source)}
        with transaction(target):
            insert_space = "INSERT OR IGNORE INTO spaces VALUES (?, ?, ?, ?, ?, ?, ?)"
            target.executemany(insert_space, ((n, *fields) for n, fields in numbers.items()))
        for part in _parts(_block_numbers(source, path.stat().st_size)):
            with transaction(target):
                for number in part:
                    _copy_block(source, target, number, verdict)


def _copy_block(source: sqlite3.Connection, target: sqlite3.Connection, number: int, verdict: Verdict) -> None:
    row = _row(source, "SELECT keys, checksum, vectors FROM blocks WHERE id = ?", number)
    use = _row(source, "SELECT space, used, texts FROM uses WHERE block = ?", number)
    if row is None and use is None:
        return  # there is no such block, or nothing is left of it
    verdict.blocks += 1
    if row is None or not is_whole(*row):
        texts = texts_of(row and row[0], use and use[2])
        verdict.damaged += 1
        verdict.dropped += texts
        verdict.texts += texts
        return
    keys, _, data = row
    space = use[0] if use and row_bytes_by_space(target).get(use[0]) == row_bytes_of(keys, data) else None
    insert(
        target,
        home_of(target, row_bytes_of(keys, data)) if space is None else space,
        keys,
        data,
        time_of(use and use[1]),
    )
    verdict.texts += len(keys) // KEY_BYTES


def _row(connection: sqlite3.Connection, query: str, number: int) -> tuple[Any, ...] | None:
    try:
        found: tuple[Any, ...] | None = connection.execute(query, (number,)).fetchone()
    except sqlite3.Error:
        return None
    return found


def _space_rows(connection: sqlite3.Connection) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The spaces that can be read: number, and the rest of the row."""
    for number, *texts, dim, dtype in _scan(connection, "SELECT * FROM spaces", lambda: None, 2**16):
        try:
            strings = [text.decode() for text in (*texts, dtype)]
        except (AttributeError, UnicodeDecodeError):
            continue
        if isinstance(dim, int) and 0 < dim < LARGEST_ID and strings[-1] in DTYPES:
            yield number, (*strings[:-1], dim, strings[-1])


def _block_numbers(connection: sqlite3.Connection, size: int) -> list[int]:
    """All numbers that a block may have, from all tables that name them, read from both ends."""
    found: set[int] = set()
    failures: list[int] = []
    for table, column, order in (("blocks", "id", "id"), ("uses", "block", "block"), ("entries", "block", "key")):
        if table == "entries" and not failures:
            break  # the longest, and not needed
        for direction in ("ASC", "DESC"):
            before = len(failures)
            query = f"SELECT {column} FROM {table} ORDER BY {order} {direction}"  # noqa: S608 # names from the loop above
            rows = _scan(connection, query, lambda: failures.append(1), size // KEY_BYTES)
            found.update(n for (n,) in rows if isinstance(n, int) and 0 < n < LARGEST_ID)
            if len(failures) == before:
                break
    if failures and found and max(found) - min(found) < _PROBES:
        found.update(range(min(found), max(found)))
    return sorted(found)


def _scan(
    connection: sqlite3.Connection, query: str, failed: Callable[[], None], most: int
) -> Iterator[tuple[Any, ...]]:
    """Rows until one cannot be read; `most` because damage can lead in circles."""
    try:
        yield from itertools.islice(connection.execute(query), most)
    except sqlite3.Error:
        failed()


def _parts(numbers: list[int], size: int = 1000) -> Iterator[list[int]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]
