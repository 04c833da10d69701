"""The databases of a cache folder, of vectors and of answers: opened, used, and set aside where they are damaged.

What they hold can be computed again, so nothing is repaired: a database in which SQLite finds damage is renamed
(`vectors.v1.damaged-<UTC time>.sqlite3`, only the newest such copy stays), and a new one begins.

Several processes may use a database while one of them sets it aside. A process that has the old file open has its log
open too, and when it closes, SQLite deletes no log of a database that has moved. Names of files count only while a
database is opened or closed: then a lock on the folder is held. At its next use each process opens the new one.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from instructor_eval.core.errors import UserError, one_line

VARIABLE = "INSTRUCTOR_EVAL_CACHE"
FILE_NAME = "vectors.v1.sqlite3"
_BUSY_SECONDS = 60.0
_KEYS_AT_ONCE = 500
_VACUUM_PAGES = 1024
_DAMAGE = {
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS,
}  # fmt: skip
_SIGNS = ("malformed", "no such table", "no such column", "unsupported file format", "not decode")
_T = TypeVar("_T")
_Identity = tuple[int, int] | None


@dataclass(frozen=True)
class Schema:
    """One kind of database: its file and tables, and the words for it in messages."""

    file: str
    version: int
    page_bytes: int
    tables: str
    thing: str
    """The text before the folder's name."""
    content: str
    """Its contents, in the plural."""


class DamageError(sqlite3.DatabaseError):
    """Damage that SQLite itself does not report."""


class Database:
    """A database of one folder, used by one process.

    Whatever goes wrong (disk full, read-only, damaged, locked for a minute) costs time and never a result: a damaged
    file is set aside once; after any other failure nothing more is written, or nothing is read either.

    Args:
        folder: Made at the first use. None: in memory, until `close`.
        schema: What it is.
        warn: Called once each with a line, where it is set aside, not written, or not used. None: it is not set aside.
    """

    def __init__(self, folder: Path | None, schema: Schema, warn: Callable[[str], None] | None = None) -> None:
        self.schema = schema
        self.reads = self.writes = True
        self._opened = False
        self._folder = folder
        self._path = folder / schema.file if folder else None
        self._mode = "rwc" if folder else "memory"
        self._may_set_aside = folder is not None and warn is not None
        self._warn = warn or (lambda line: None)
        self._thing = f"{schema.thing} {folder}"
        self._connection: sqlite3.Connection | None = None
        self._identity: _Identity = None
        self._lock = threading.RLock()  # one thread reads, another writes

    def __del__(self) -> None:
        """Close what its user has not, as Python 3.13 asks; without the lock, which whoever is interrupted may hold."""
        if connection := getattr(self, "_connection", None):
            connection.close()

    def _open(self) -> None:
        """Open it at its first use, so that a command that fails before leaves none; only for reading if need be."""
        if self._opened:
            return
        self._opened = True
        self.reads = self.writes = False
        try:
            if self._folder:
                self._folder.mkdir(parents=True, exist_ok=True)
            self.attempt(lambda connection: None)
            self.reads = self.writes = True
        except (OSError, sqlite3.Error) as e:
            self._open_read_only(e)

    def _open_read_only(self, why: Exception) -> None:
        self._may_set_aside = False
        for mode in _reading_modes(self._path):
            self.close()
            self._mode = mode
            with suppress(sqlite3.Error):
                self.connected()
                self.reads = self.writes = True
                break
        (self._stop_writing if self.reads else self._stop_reading)(why)

    def connected(self) -> sqlite3.Connection:
        """Return the connection, to the file that has the name now.

        Raises:
            sqlite3.Error: it cannot be opened, or is of another version.
        """
        if self._connection is not None and self._identity != _identity(self._path):
            self.close()  # another process has set it aside
        if self._connection is None:
            with _locked(self._folder):
                self._connection = connect(self._path, self._mode)
                self._identity = _identity(self._path)
                (check_version if self._mode.startswith("ro") else prepare)(self._connection, self.schema)
                self._connection.execute("PRAGMA cache_size = -16384")  # KiB
        return self._connection

    def close(self) -> None:
        """Close it; the next use opens it again."""
        with self._lock, _locked(self._folder):
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T | None:
        """Return what `work` finds, or None where the database cannot be read."""
        with self._lock:
            self._open()
            if self.reads:
                try:
                    return self.attempt(work)
                except (OSError, sqlite3.Error) as e:
                    self._stop_reading(e)
        return None

    def write(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Do `work` in one transaction; where it fails, nothing of it stays."""

        def whole(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                work(connection)

        with self._lock:
            self._open()
            if self.writes:
                try:
                    self.attempt(whole)
                except (OSError, sqlite3.Error) as e:
                    self._stop_writing(e)

    def attempt(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what `work` does; where it finds damage, set the database aside and do it again on a new one.

        Raises:
            sqlite3.Error: it cannot be done.
        """
        try:
            return work(self.connected())
        except sqlite3.Error as e:
            if not self._may_set_aside or not is_damage(e, self._path):
                raise
            self._may_set_aside = False
            self._set_aside(e)
            return work(self.connected())

    def _set_aside(self, why: sqlite3.Error) -> None:
        """Rename the damaged file with its log, unless another process was first; delete what was set aside earlier."""
        assert self._path is not None
        self.close()
        try:
            with _locked(self._folder, alone=True):
                if _identity(self._path) != self._identity:
                    return
                earlier, aside = set_aside_files(self._path), _new_name(self._path)
                for old, new in zip(_files(self._path), _files(aside), strict=True):  # no log meets a new file
                    with suppress(FileNotFoundError):
                        old.rename(new)
                for file in earlier:
                    with suppress(OSError):
                        file.unlink()
        except OSError as e:
            raise sqlite3.DatabaseError(f"{reason(why)}, and it cannot be set aside: {reason(e)}") from why
        step = f"set aside as {aside.name}, all {self.schema.content} are computed again"
        self._warn(f"{self._thing} is damaged ({reason(why)}): {step}")

    def _stop_writing(self, why: Exception) -> None:
        if self.writes:
            self.writes = False
            self._warn(f"{self._thing} cannot be written ({reason(why)}): new {self.schema.content} are not stored")

    def _stop_reading(self, why: Exception) -> None:
        self.reads = self.writes = False
        self._warn(f"{self._thing} cannot be used ({reason(why)}): all {self.schema.content} are computed")


def connect(path: Path | None, mode: str) -> sqlite3.Connection:
    """Return a connection that waits for other processes, and whose transactions begin and end by hand.

    Args:
        path: Of the file; None for a database in memory.
        mode: As in SQLite's URIs.
    """
    uri = f"{path.absolute().as_uri() if path else 'file:none'}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def prepare(connection: sqlite3.Connection, schema: Schema) -> None:
    """Make the tables of an empty database; one of this version stays as it is.

    Raises:
        DamageError: it is of another version.
    """
    empty = not _version(connection)
    connection.execute("PRAGMA synchronous = NORMAL")  # a transaction outlives the process, perhaps not a power cut
    if not empty:
        check_version(connection, schema)
        return
    connection.execute(f"PRAGMA page_size = {schema.page_bytes}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    _use_wal(connection)
    with transaction(connection):
        for statement in schema.tables.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {schema.version}")


def _use_wal(connection: sqlite3.Connection) -> None:
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


def check_version(connection: sqlite3.Connection, schema: Schema) -> None:
    """Raise DamageError unless the database is of the version that its file's name says."""
    version = _version(connection)
    if version != schema.version:
        raise DamageError(f"its version {version} is not {schema.version}")


def _version(connection: sqlite3.Connection) -> int:
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()  # reads the definitions of all tables
    except UnicodeDecodeError as e:  # a message that quotes a damaged definition
        raise DamageError("malformed database schema") from e
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all that is done within, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # the first error says more
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise


def look_up(connection: sqlite3.Connection, query: str, keys: Sequence[bytes]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows that `query` finds, some hundreds of `keys` at a time in the place of its `{keys}`."""
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        part = keys[start : start + _KEYS_AT_ONCE]
        yield from connection.execute(query.format(keys=", ".join("?" * len(part))), part)


def is_damage(e: BaseException, path: Path | None = None) -> bool:
    """Return whether an error says that the database itself is damaged, or none.

    Args:
        e: The error.
        path: Of the database. If its files may be written and SQLite says that they may not, its header is damaged.
    """
    code = getattr(e, "sqlite_errorcode", sqlite3.SQLITE_OK)
    if code == sqlite3.SQLITE_READONLY and path is not None:
        return all(os.access(file, os.W_OK) for file in _files(path) if file.exists())
    found = isinstance(e, DamageError) or code in _DAMAGE or code & 0xFF in _DAMAGE
    return found or (isinstance(e, sqlite3.Error) and any(sign in str(e) for sign in _SIGNS))


def reason(e: BaseException) -> str:
    """Return what an error says, within a sentence."""
    text = (e.strerror or str(e)) if isinstance(e, OSError) else str(e)
    return one_line(text).lower()


def set_aside_files(path: Path) -> list[Path]:
    """Return the files that were once a database at `path`, or its log."""
    return list(path.parent.glob(f"{path.stem}.damaged-*"))


def disk_bytes(path: Path) -> int:
    """Return the size of a database's files, of its log, and of what was set aside."""
    size = 0
    for file in (*_files(path)[1:], *set_aside_files(path)):
        with suppress(FileNotFoundError):
            size += file.stat().st_size
    return size


def _new_name(path: Path) -> Path:
    stem = f"{path.stem}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    names = (path.with_name(f"{stem}{number or ''}{path.suffix}") for number in itertools.count(0, -1))
    return next(name for name in names if not name.exists())


def check_exists(folder: Path, schema: Schema) -> None:
    """Raise UserError if there is no such database in a folder."""
    if not (folder / schema.file).is_file():
        raise UserError(f"no cache in {folder}: runs make one (--cache DIR or ${VARIABLE} say where)")


@contextmanager
def open_existing(folder: Path, schema: Schema) -> Iterator[sqlite3.Connection]:
    """Open a database for the commands that look after it.

    Raises:
        UserError: there is none, or SQLite fails, now or within.
    """
    try:
        check_exists(folder, schema)
        with closing(Database(folder, schema)) as database:
            yield database.connected()
    except sqlite3.Error as e:
        damaged = is_damage(e, folder / schema.file)
        step = "`evaluate cache verify` sets it aside" if damaged else "see that it can be written, then try again"
        raise UserError(f"{schema.thing} {folder}: {reason(e)}: {step}") from e


def give_back(connection: sqlite3.Connection) -> None:
    """Shorten the file by its free pages, a few at a time so that others can write in between; then empty the log."""
    free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    while free:
        connection.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()
        before, free = free, connection.execute("PRAGMA freelist_count").fetchone()[0]
        if free >= before:
            break
    connection.execute("PRAGMA busy_timeout = 5000")  # another process that reads for long needs the log for now
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _reading_modes(path: Path | None) -> tuple[str, ...]:
    """Return how to open a database only for reading: without its log if that has nothing."""
    try:
        size = _files(path)[1].stat().st_size if path else 1
    except OSError as e:
        size = int(not isinstance(e, FileNotFoundError))
    return ("ro",) if size else ("ro", "ro&immutable=1")


def _files(path: Path) -> tuple[Path, Path, Path]:
    """Return the paths of a database's shared memory, of its log, and its own."""
    return path.with_name(f"{path.name}-shm"), path.with_name(f"{path.name}-wal"), path


def _identity(path: Path | None) -> _Identity:
    """Return what tells a file from a later one of its name."""
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found else None


@contextmanager
def _locked(folder: Path | None, *, alone: bool = False) -> Iterator[None]:
    """Hold a lock on a folder, if the system has such: `alone`, or together with others that are not."""
    descriptor = None
    with suppress(ImportError, OSError):
        import fcntl

        if folder:
            descriptor = os.open(folder, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
