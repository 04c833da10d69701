"""The database under the cache: its tables, blocks and index, and what SQLite says when something is wrong."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from instructor_eval.core.errors import UserError, one_line

VERSION = 1
FILE_NAME = f"vectors.v{VERSION}.sqlite3"
VARIABLE = "INSTRUCTOR_EVAL_CACHE"
KEY_BYTES = 16
DTYPES = ("float32", "float16")
TABLES = ("blocks", "entries", "spaces", "uses")
LARGEST_ID = 2**40  # a larger one can only be damage
_PAGE_BYTES = 32 * 1024
_BUSY_SECONDS = 60.0
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_TOOBIG)
_KEYS_AT_ONCE = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS spaces (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, name TEXT NOT NULL, revision TEXT NOT NULL,
    variant TEXT NOT NULL, dim INTEGER NOT NULL, dtype TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS blocks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, keys BLOB NOT NULL, checksum BLOB NOT NULL, vectors BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS uses (
    block INTEGER PRIMARY KEY, space INTEGER NOT NULL, texts INTEGER NOT NULL, bytes INTEGER NOT NULL,
    used INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, block INTEGER NOT NULL) WITHOUT ROWID;
"""


def insert(connection: sqlite3.Connection, space: int, keys: bytes, data: bytes, used: int | None = None) -> None:
    """Add a block, with the entries that lead to it; `used` is now if it is not given."""
    cursor = connection.execute(
        "INSERT INTO blocks(keys, checksum, vectors) VALUES (?, ?, ?)", (keys, checksum_of(keys, data), data)
    )
    number = int(cursor.lastrowid or 0)
    each = split_keys(keys)
    connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", ((key, number) for key in each))
    connection.execute(
        "INSERT OR REPLACE INTO uses VALUES (?, ?, ?, ?, ?)",
        (number, space, len(each), len(data) + len(keys), int(time.time()) if used is None else used),
    )


def split_keys(keys: bytes) -> list[bytes]:
    """The keys of a block, one by one."""
    return [keys[i : i + KEY_BYTES] for i in range(0, len(keys), KEY_BYTES)]


def checksum_of(keys: bytes, data: bytes) -> bytes:
    """What a block's keys and vectors are checked against."""
    state = xxhash.xxh3_128(keys)
    state.update(data)
    return state.digest()


def is_whole(keys: Any, checksum: Any, data: Any) -> bool:
    """Whether a block's checksum holds; in a damaged row, each of the three may be anything."""
    return isinstance(keys, bytes) and isinstance(data, bytes) and bool(keys) and checksum_of(keys, data) == checksum


def present(connection: sqlite3.Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Those of `keys` that lead to a block; an entry that leads to none does not count and may be written over."""
    found: set[bytes] = set()
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        part = keys[start : start + _KEYS_AT_ONCE]
        marks = ", ".join("?" * len(part))
        query = f"SELECT e.key FROM entries e JOIN blocks b ON b.id = e.block WHERE e.key IN ({marks})"  # noqa: S608 # only marks are put in
        found.update(key for (key,) in connection.execute(query, part))
    return found


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty database; one of this version is left as it is.

    Raises:
        UserError: it is of another version.
    """
    if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    check_version(connection, empty_is_good=True)
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    use_wal(connection)
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def use_wal(connection: sqlite3.Connection) -> None:
    """Put a database into WAL mode: readers and a writer do not wait for each other."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as e:  # another process makes it too, and this statement does not wait
            if "locked" not in str(e) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def check_version(connection: sqlite3.Connection, *, empty_is_good: bool = False) -> None:
    """Raise UserError unless the database is of this version."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION and not (empty_is_good and version == 0):
        raise UserError(f"its version {version} is not {VERSION}")


def shrink(connection: sqlite3.Connection, limit: int, to: float) -> None:
    """Drop least recently used blocks until `to` x `limit` bytes are used, if more than `limit` are."""
    size = used_bytes(connection)
    if size <= limit:
        return
    excess, chosen = size - int(limit * to), []
    # The cast: in a damaged row a number may be anything.
    for number, length in connection.execute("SELECT block, CAST(bytes AS INT) FROM uses ORDER BY used, block"):
        if excess <= 0:
            break
        chosen.append(number)
        excess -= length or 0
    drop_blocks(connection, chosen)


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the database that hold something."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def drop_blocks(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Delete blocks with the entries that lead to them."""
    for number in numbers:
        row = connection.execute("SELECT keys FROM blocks WHERE id = ?", (number,)).fetchone()
        keys = row[0] if row and isinstance(row[0], bytes) else b""
        connection.executemany(
            "DELETE FROM entries WHERE key = ? AND block = ?",
            ((key, number) for key in split_keys(keys)),
        )
        connection.execute("DELETE FROM blocks WHERE id = ?", (number,))
        connection.execute("DELETE FROM uses WHERE block = ?", (number,))


def is_damage(e: BaseException) -> bool:
    """Whether SQLite says that the database itself is not whole, or none."""
    code = getattr(e, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    signs = ("malformed", "no such table", "no such column", "unsupported file format", "not decode")
    return isinstance(e, sqlite3.Error) and (code in _DAMAGE or any(sign in str(e) for sign in signs))


def reason(e: BaseException) -> str:
    """What an error says, within a sentence."""
    text = (e.strerror or str(e)) if isinstance(e, OSError) else str(e)
    return one_line(text).lower()


def connect(uri: str) -> sqlite3.Connection:
    """A connection that waits for other processes, and whose transactions are begun and ended by hand."""
    return sqlite3.connect(
        uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, factory=_Connection
    )


class _Connection(sqlite3.Connection):
    """Whose errors are all SQLite's own: a message that quotes a damaged schema may be no UTF-8."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return super().execute(sql, parameters)
        except UnicodeDecodeError as e:
            raise sqlite3.DatabaseError("malformed database schema") from e

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        try:
            return super().executemany(sql, parameters)
        except UnicodeDecodeError as e:
            raise sqlite3.DatabaseError("malformed database schema") from e


def open_existing(folder: Path, *, mode: str = "rw") -> closing[sqlite3.Connection]:
    """The database of a folder, for the commands that look after it.

    Raises:
        UserError: there is none, or it is of another version or no database at all.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise UserError(f"no cache in {folder}: runs make one (--cache DIR or ${VARIABLE} say where)")
    try:
        connection = connect(f"{path.resolve().as_uri()}?mode={mode}")
        try:
            check_version(connection)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, UserError) as e:
        # The file's name says its version: where the file says another, it is not whole either.
        mends = is_damage(e) or isinstance(e, UserError)
        hint = "`evaluate cache verify` mends it" if mends else "give another folder with --cache"
        raise UserError(f"cache {folder} cannot be opened ({reason(e)}): {hint}") from e
    return closing(connection)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is done within, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def open_file(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """The database in a file, whatever it is."""
    return connect(f"{path.resolve().as_uri()}?mode={mode}")


def texts_of(keys: Any, noted: Any) -> int:
    """How many texts a damaged block may have held."""
    if isinstance(noted, int) and 0 < noted < LARGEST_ID:
        return noted
    return len(keys) // KEY_BYTES if isinstance(keys, bytes) else 0


def row_bytes_of(keys: bytes, data: bytes) -> int:
    """The size of one vector of a block."""
    return len(data) * KEY_BYTES // len(keys)


def row_bytes_by_space(connection: sqlite3.Connection) -> dict[Any, int]:
    """The size of a vector by the number of its space."""
    rows = connection.execute("SELECT id, dim, dtype FROM spaces").fetchall()
    return {n: dim * np.dtype(dtype).itemsize for n, dim, dtype in rows if isinstance(dim, int) and dtype in DTYPES}


def time_of(used: Any) -> int:
    """A noted time of use; in a damaged row it may be anything, and counts as long ago."""
    return min(max(used, 0), int(time.time())) if isinstance(used, int) else 0


def home_of(connection: sqlite3.Connection, row_bytes: int) -> int:
    """The one space with vectors of this size; if there is not just one, a nameless one.

    A good block is worth keeping whosever it is: its keys tell its model's vectors from all others', and the space only
    says for people, and for `prune`, whose they are.
    """
    fitting = [number for number, size in row_bytes_by_space(connection).items() if size == row_bytes]
    if len(fitting) == 1:
        return int(fitting[0])
    dtype = "float16" if row_bytes % 4 else "float32"
    dim = row_bytes // np.dtype(dtype).itemsize
    connection.execute(
        "INSERT OR IGNORE INTO spaces(fingerprint, name, revision, variant, dim, dtype) VALUES (?, ?, ?, ?, ?, ?)",
        (f"unknown-{row_bytes}", "unknown", "", "", dim, dtype),
    )
    found = connection.execute("SELECT id FROM spaces WHERE fingerprint = ?", (f"unknown-{row_bytes}",)).fetchone()
    return int(found[0])
