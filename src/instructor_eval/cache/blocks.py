"""The tables of the database of vectors: blocks, the index that leads to them, their models, and their uses."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Any

import xxhash

from instructor_eval.cache.database import FILE_NAME, Schema, look_up

KEY_BYTES = 16
TABLES = ("blocks", "entries", "spaces", "uses")
VECTORS = Schema(
    file=FILE_NAME,
    version=1,
    page_bytes=32 * 1024,
    tables="""
CREATE TABLE IF NOT EXISTS spaces (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, name TEXT NOT NULL, revision TEXT NOT NULL,
    variant TEXT NOT NULL, dim INTEGER NOT NULL, dtype TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS blocks (
    id INTEGER PRIMARY KEY, keys BLOB NOT NULL, checksum BLOB NOT NULL, vectors BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS uses (
    block INTEGER PRIMARY KEY, space INTEGER NOT NULL, texts INTEGER NOT NULL, bytes INTEGER NOT NULL,
    used INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, block INTEGER NOT NULL) WITHOUT ROWID
""",
    thing="cache",
    content="vectors",
)


def insert(connection: sqlite3.Connection, space: int, keys: bytes, data: bytes) -> None:
    """Add a block, with the entries that lead to it."""
    number = connection.execute(
        "INSERT INTO blocks(keys, checksum, vectors) VALUES (?, ?, ?)", (keys, checksum_of(keys, data), data)
    ).lastrowid
    each = split_keys(keys)
    connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", ((key, number) for key in each))
    use = (number, space, len(each), len(data) + len(keys), int(time.time()))
    connection.execute("INSERT OR REPLACE INTO uses VALUES (?, ?, ?, ?, ?)", use)


def split_keys(keys: bytes) -> list[bytes]:
    """Return the keys of a block, one by one."""
    return [keys[i : i + KEY_BYTES] for i in range(0, len(keys), KEY_BYTES)]


def checksum_of(keys: bytes, data: bytes) -> bytes:
    """Return the XXH3-128 of a block's keys and vectors."""
    state = xxhash.xxh3_128(keys)
    state.update(data)
    return state.digest()


def is_whole(keys: Any, checksum: Any, data: Any) -> bool:
    """Return whether a block's checksum holds; in a damaged row, each of the three may be anything."""
    return isinstance(keys, bytes) and isinstance(data, bytes) and bool(keys) and checksum_of(keys, data) == checksum


def present(connection: sqlite3.Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Return those of `keys` that lead to a block; an entry that leads to none does not count."""
    query = "SELECT e.key FROM entries e JOIN blocks b ON b.id = e.block WHERE e.key IN ({keys})"
    return {key for (key,) in look_up(connection, query, keys)}


def drop_blocks(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Delete blocks with the entries that lead to them."""
    for number in numbers:
        row = connection.execute("SELECT keys FROM blocks WHERE id = ?", (number,)).fetchone()
        keys = split_keys(row[0]) if row and isinstance(row[0], bytes) else []
        delete = "DELETE FROM entries WHERE key = ? AND block = ?"
        connection.executemany(delete, ((key, number) for key in keys))
        connection.execute("DELETE FROM blocks WHERE id = ?", (number,))
        connection.execute("DELETE FROM uses WHERE block = ?", (number,))


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
    """Return the bytes of the database that hold something."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
