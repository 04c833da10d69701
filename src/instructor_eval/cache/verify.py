"""Checking a cache: every block against its checksum, blocks against index; what is wrong is dropped or put right.

It may run while other processes use the cache, in short transactions, unless the database's structure is damaged: then
`cache_salvage` makes it anew.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instructor_eval.cache.database import (
    FILE_NAME,
    KEY_BYTES,
    LARGEST_ID,
    TABLES,
    VERSION,
    drop_blocks,
    home_of,
    is_damage,
    is_whole,
    open_existing,
    open_file,
    reason,
    row_bytes_by_space,
    row_bytes_of,
    split_keys,
    texts_of,
    time_of,
    transaction,
)
from instructor_eval.cache.salvage import salvage
from instructor_eval.core.errors import UserError

_BLOCKS_AT_ONCE = 32
_ENTRIES_AT_ONCE = 10_000


@dataclass
class Verdict:
    """What `verify` saw and did."""

    blocks: int = 0
    """Looked at."""
    texts: int = 0
    """In these blocks."""
    damaged: int = 0
    """Blocks dropped."""
    dropped: int = 0
    """Texts that will be encoded again, as far as they can still be counted."""
    mended: int = 0
    """Entries of the index, and notes of use, that were wrong or missing."""
    problem: str = ""
    """What was wrong with the database's structure; it has been made anew from all blocks that could be read."""

    @property
    def sound(self) -> bool:
        """Whether there was nothing to put right."""
        return not (self.damaged or self.dropped or self.mended or self.problem)


def verify(folder: Path) -> Verdict:
    """Check every block, and that blocks and index agree; drop or put right what is wrong.

    Raises:
        UserError: there is no cache, or what is wrong with it cannot be put right now.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        with open_existing(folder):  # says so
            raise AssertionError
    try:
        problem = _structure(path)
        if not problem:
            with closing(open_file(path)) as connection:
                return _check(connection)
    except (sqlite3.Error, OSError) as e:
        if not is_damage(e):
            raise UserError(f"cache {folder} cannot be checked ({reason(e)}): try again later") from e
        problem = reason(e)
    verdict = Verdict(problem=problem)
    salvage(path, verdict)
    return verdict


def _structure(path: Path) -> str:
    """What is wrong with the database as such, or nothing."""
    with closing(open_file(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:  # while the file's name says this one
            return f"its version {version} is not {VERSION}"
        missing = set(TABLES) - {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        if missing:
            return f"no table {sorted(missing)[0]}"
        if connection.execute("SELECT 1 FROM sqlite_sequence WHERE seq > ?", (LARGEST_ID,)).fetchone():
            return "no new block would get a number"
        found = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    if found != "ok":
        return found
    with path.open("rb") as file:
        header = file.read(20)
    # SQLite takes any other numbers for a file that it must not write, or that it need not log.
    return "" if header[18:20] == b"\x02\x02" else "its header does not say that there is a log"


def _check(connection: sqlite3.Connection) -> Verdict:
    """Every block of a database that is whole as such."""
    verdict = Verdict()
    agreeing, last = 0, 0
    batch = (
        "SELECT b.id, b.keys, b.checksum, b.vectors, u.space, u.texts, u.bytes FROM blocks b "
        "LEFT JOIN uses u ON u.block = b.id WHERE b.id > ? ORDER BY b.id LIMIT ?"
    )
    while rows := connection.execute(batch, (last, _BLOCKS_AT_ONCE)).fetchall():
        last = rows[-1][0]
        good: list[Any] = []
        bad: list[Any] = []
        for row in rows:
            (good if is_whole(*row[1:4]) else bad).append(row)
        lost = sum(texts_of(row[1], row[5]) for row in bad)
        if bad:
            with transaction(connection):
                drop_blocks(connection, [row[0] for row in bad])
        spaces = row_bytes_by_space(connection)
        for number, keys, _, data, *use in good:
            verdict.texts += len(keys) // KEY_BYTES
            agreeing += _check_entries(connection, number, split_keys(keys), verdict)
            home = use[0] if spaces.get(use[0]) == row_bytes_of(keys, data) else None
            if home is None or use[1:] != [len(keys) // KEY_BYTES, len(keys) + len(data)]:
                with transaction(connection):
                    _mend_use(connection, number, home, keys, data)
                verdict.mended += 1
        verdict.blocks += len(rows)
        verdict.texts += lost
        verdict.damaged += len(bad)
        verdict.dropped += lost
    with transaction(connection):
        orphans = "DELETE FROM uses WHERE block NOT IN (SELECT id FROM blocks)"
        verdict.mended += connection.execute(orphans).rowcount
    # Counting is fast, and finding which are too many is not: entries lie in no order of blocks.
    if connection.execute("SELECT COUNT(*) FROM entries").fetchone()[0] != agreeing:
        verdict.mended += _drop_misleading(connection)
    return verdict


def _check_entries(connection: sqlite3.Connection, block: int, keys: list[bytes], verdict: Verdict) -> int:
    """See that the index leads to each key of a good block; how many of its entries lead to this one."""
    agreeing, wrong = 0, []
    for key in keys:
        found = connection.execute("SELECT block FROM entries WHERE key = ?", (key,)).fetchone()
        if found and found[0] == block:
            agreeing += 1
        elif not (found and _holds(connection, found[0], key)):  # two blocks may hold it, written over after damage
            wrong.append(key)
    if wrong:
        with transaction(connection):
            exists = connection.execute("SELECT 1 FROM blocks WHERE id = ?", (block,)).fetchone()
            if exists:  # another process may have dropped it by now
                point = "INSERT OR REPLACE INTO entries VALUES (?, ?)"
                connection.executemany(point, ((key, block) for key in wrong))
                verdict.mended += len(wrong)
                agreeing += len(wrong)
    return agreeing


def _holds(connection: sqlite3.Connection, block: Any, key: bytes) -> bool:
    row = connection.execute("SELECT keys FROM blocks WHERE id = ?", (block,)).fetchone()
    return row is not None and isinstance(row[0], bytes) and key in split_keys(row[0])


def _mend_use(connection: sqlite3.Connection, block: int, space: int | None, keys: bytes, data: bytes) -> None:
    """Write anew whose a block is and how large; it counts as not used for long."""
    if connection.execute("SELECT 1 FROM blocks WHERE id = ?", (block,)).fetchone() is None:
        return
    row = connection.execute("SELECT used FROM uses WHERE block = ?", (block,)).fetchone()
    number = home_of(connection, row_bytes_of(keys, data)) if space is None else space
    size = len(keys) + len(data)
    use = (block, number, len(keys) // KEY_BYTES, size, time_of(row[0] if row else None))
    connection.execute("INSERT OR REPLACE INTO uses VALUES (?, ?, ?, ?, ?)", use)


def _drop_misleading(connection: sqlite3.Connection) -> int:
    """Drop entries that lead to no block, or to one without their key."""
    dropped, last = 0, b""
    batch = (
        "SELECT e.key, e.block, b.keys FROM entries e LEFT JOIN blocks b ON b.id = e.block "
        "WHERE e.key > ? ORDER BY e.key LIMIT ?"
    )
    while rows := connection.execute(batch, (last, _ENTRIES_AT_ONCE)).fetchall():
        last = rows[-1][0]
        wrong = [(key, block) for key, block, keys in rows if keys is None or key not in split_keys(keys)]
        if wrong:
            with transaction(connection):
                delete = "DELETE FROM entries WHERE key = ? AND block = ?"
                dropped += connection.executemany(delete, wrong).rowcount
    return dropped
