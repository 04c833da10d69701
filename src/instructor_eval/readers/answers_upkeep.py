"""Looking after a folder of kept answers: what it holds, checking it, and dropping answers, while others use it."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from instructor_eval.cache.database import is_damage, open_existing, open_file, reason, transaction
from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.readers.answers import COLUMNS, FILE_NAME, insert, is_whole, prepare

_READER = "COALESCE(CAST(reader AS BLOB), x'')"  # in a damaged row it may be anything
_SUMS = "COUNT(*), COALESCE(SUM(LENGTH(CAST(value AS BLOB))), 0)"


@dataclass(frozen=True)
class Kept:
    """What is kept, or was dropped, of one reader, or of all."""

    reader: str
    answers: int
    bytes: int
    """Of the answers alone."""


@dataclass
class Verdict:
    """What `verify` saw and did."""

    answers: int = 0
    """Looked at."""
    damaged: int = 0
    """Answers dropped."""
    problem: str = ""
    """What was wrong with the database's structure; it has been made anew from all answers that could be read."""


def is_there(folder: Path) -> bool:
    """Whether answers were ever kept in this folder."""
    return (folder / FILE_NAME).is_file()


def info(folder: Path) -> list[Kept]:
    """What is kept of each reader, by name.

    Raises:
        UserError: it cannot be read.
    """
    if not is_there(folder):
        return []
    with _opened(folder) as connection:
        rows = connection.execute(f"SELECT {_READER} AS r, {_SUMS} FROM answers GROUP BY r ORDER BY r").fetchall()  # noqa: S608 # names
    return [Kept(reader.decode("utf-8", "replace"), answers, size) for reader, answers, size in rows]


def verify(folder: Path) -> Verdict:
    """Check every answer, and drop what is damaged.

    Raises:
        UserError: it cannot be checked now, or what is wrong cannot be put right.
    """
    path, verdict = folder / FILE_NAME, Verdict()
    try:
        with closing(_connect(path)) as connection:
            found = bytes(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
            if found == b"ok":
                _drop_damaged(connection, verdict)
                return verdict
        verdict.problem = found.decode("utf-8", "replace")
    except (sqlite3.Error, UserError) as e:
        if not _is_damage(e):
            raise UserError(f"answers in cache {folder} cannot be checked ({reason(e)}): try again later") from e
        verdict = Verdict(problem=reason(e))
    try:
        verdict.answers = _make_anew(path)
    except (sqlite3.Error, OSError) as e:
        step = f"free some space, or delete {path.name} and what lies beside it"
        raise UserError(f"answers in cache {folder} are damaged and cannot be mended ({reason(e)}): {step}") from e
    return verdict


def prune(folder: Path, reader: str) -> Kept:
    """Drop one reader's answers, and give their space back to the disk.

    Raises:
        UserError: it has none, or they cannot be dropped.
    """
    known = {kept.reader: kept for kept in info(folder)}
    if reader not in known:
        if not known:
            with open_existing(folder):  # says so where there is no cache at all
                pass
        hint = did_you_mean(reader, known) or f": it has {', '.join(known) or 'none'}"
        raise UserError(f"the cache has no answers of '{reader}'{hint}")
    with _opened(folder) as connection:
        connection.execute("DELETE FROM answers WHERE reader = ?", (reader,))
        connection.execute("VACUUM")
        connection.execute("PRAGMA busy_timeout = 5000")  # another process that reads for long keeps the log for now
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return known[reader]


def clear(folder: Path) -> Kept:
    """Drop everything; the file too, unless another process has it open.

    Raises:
        UserError: it cannot be changed.
    """
    alone = False
    with _opened(folder) as connection:
        with transaction(connection):
            answers, size = connection.execute(f"SELECT {_SUMS} FROM answers").fetchone()  # noqa: S608 # names
            connection.execute("DELETE FROM answers")
        with suppress(sqlite3.OperationalError):  # another process would go on with a file that nobody finds
            alone = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0] == b"delete"
    if alone:
        _unlink(folder / FILE_NAME, "-wal", "-shm", "")
    return Kept("", answers, size)


def _drop_damaged(connection: sqlite3.Connection, verdict: Verdict) -> None:
    with transaction(connection):
        bad = []
        for number, *row in connection.execute(f"SELECT rowid, {COLUMNS} FROM answers"):  # noqa: S608 # names
            verdict.answers += 1
            if not is_whole(*row):
                bad.append((number,))
        connection.executemany("DELETE FROM answers WHERE rowid = ?", bad)
        verdict.damaged = len(bad)


def _make_anew(path: Path) -> int:
    """Put a database with every answer that still reads in place of a damaged one; how many these are.

    A process that has the old one open goes on with that, and what it keeps from now on is lost.
    """
    new, rows = path.with_name(f"{path.name}.mending"), {}
    with closing(open_file(path)) as source:
        source.text_factory = bytes
        for direction in ("ASC", "DESC"):  # from both ends, until a row cannot be read
            query = f"SELECT {COLUMNS} FROM answers NOT INDEXED ORDER BY rowid {direction}"  # noqa: S608 # names
            with suppress(sqlite3.Error):
                most = path.stat().st_size  # damage can lead in circles
                for row in itertools.islice(source.execute(query), most):
                    if is_whole(*row):
                        rows[row[0]] = row
    _unlink(new, "-wal", "-shm", "")
    try:
        with closing(open_file(new, "rwc")) as target:
            prepare(target)
            with transaction(target):
                for row in rows.values():
                    insert(target, row)
        _unlink(path, "-wal", "-shm")  # first: a log must never meet a database that is not its own
        new.replace(path)
    finally:
        _unlink(new, "-wal", "-shm", "")
    return len(rows)


def _unlink(path: Path, *suffixes: str) -> None:
    for suffix in suffixes:
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)


def _is_damage(e: Exception) -> bool:
    return is_damage(e) or isinstance(e, UserError)  # the file's name says its version: another one is damage


def _connect(path: Path) -> sqlite3.Connection:
    connection = open_file(path)
    try:
        connection.text_factory = bytes
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _opened(folder: Path) -> Iterator[sqlite3.Connection]:
    """The database of a folder, with SQLite's errors made the user's."""
    try:
        with closing(_connect(folder / FILE_NAME)) as connection:
            yield connection
    except (sqlite3.Error, UserError) as e:
        step = "`evaluate cache verify` mends it" if _is_damage(e) else "see that it can be written, then try again"
        raise UserError(f"answers in cache {folder}: {reason(e)}: {step}") from e
