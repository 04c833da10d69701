"""Show, check and drop the answers of a cache folder, while others use it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from instructor_eval.cache.blocks import VECTORS
from instructor_eval.cache.database import check_exists, disk_bytes, give_back, open_existing, transaction
from instructor_eval.cache.upkeep import Dropped, Verdict, check, empty
from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.readers.answers import ANSWERS, COLUMNS, is_whole

_READER = "COALESCE(CAST(reader AS BLOB), x'')"  # in a damaged row it may be anything
_SUMS = "COUNT(*), COALESCE(SUM(LENGTH(CAST(value AS BLOB))), 0)"


@dataclass(frozen=True)
class ReaderInfo:
    """The answers of one reader."""

    reader: str
    answers: int
    bytes: int
    """Of the answers alone."""


def is_there(folder: Path) -> bool:
    """Return whether answers were ever stored in this folder."""
    return (folder / ANSWERS.file).is_file()


def info(folder: Path) -> list[ReaderInfo]:
    """Return what is stored of each reader, by name.

    Raises:
        UserError: it cannot be read.
    """
    if not is_there(folder):
        return []
    with open_existing(folder, ANSWERS) as connection:
        rows = connection.execute(f"SELECT {_READER} AS r, {_SUMS} FROM answers GROUP BY r ORDER BY r").fetchall()  # noqa: S608 # names
    return [ReaderInfo(reader.decode("utf-8", "replace"), answers, size) for reader, answers, size in rows]


def verify(folder: Path) -> Verdict:
    """Check every answer, and drop what is damaged.

    Raises:
        UserError: there are none, or they cannot be checked.
    """
    return check(folder, ANSWERS, _check_answers)


def _check_answers(connection: sqlite3.Connection) -> Verdict:
    with transaction(connection):
        rows = connection.execute(f"SELECT rowid, {COLUMNS} FROM answers")  # noqa: S608 # names
        whole = {number: is_whole(*row) for number, *row in rows}
        wrong = [(number,) for number, is_right in whole.items() if not is_right]
        connection.executemany("DELETE FROM answers WHERE rowid = ?", wrong)
    return Verdict(rows=len(whole), wrong=len(wrong))


def prune(folder: Path, reader: str) -> Dropped:
    """Drop one reader's answers, and give their space back to the disk.

    Raises:
        UserError: it has none, or they cannot be dropped.
    """
    known = {found.reader: found for found in info(folder)}
    if reader not in known:
        if not known:
            check_exists(folder, VECTORS)
        hint = did_you_mean(reader, known) or f": it has {', '.join(known) or 'none'}"
        raise UserError(f"the cache has no answers of '{reader}'{hint}")
    with open_existing(folder, ANSWERS) as connection:
        before = disk_bytes(folder / ANSWERS.file)
        connection.execute("DELETE FROM answers WHERE reader = ?", (reader,))
        give_back(connection)
    freed = max(0, before - disk_bytes(folder / ANSWERS.file))
    return Dropped(known[reader].answers, known[reader].bytes, freed)


def clear(folder: Path) -> Dropped:
    """Drop everything, and give the space back to the disk.

    Raises:
        UserError: it cannot be changed.
    """
    return empty(folder, ANSWERS, f"SELECT {_SUMS} FROM answers", ["answers"])  # noqa: S608 # names
