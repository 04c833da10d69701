"""Answers on disk: what a reader was asked once is never asked again.

    <folder>/answers.v1.sqlite3     one SQLite database in WAL mode, beside that of the vectors

A key is a hash of all that an answer depends on; a row is a key, the reader's name for `evaluate cache`, an answer and
a checksum over all three, so damage anywhere in the file can only make a miss. Each answer is a transaction of its own:
reading one takes far longer than keeping it, and a killed process loses none that it had kept.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import xxhash

from instructor_eval.cache.database import connect, is_damage, reason, use_wal
from instructor_eval.core.errors import UserError
from instructor_eval.readers.contract import Answer, Question

VERSION = 1
FILE_NAME = f"answers.v{VERSION}.sqlite3"
COLUMNS = "key, reader, value, checksum"
_KEYS_AT_ONCE = 500


class AnswerCache:
    """The answers kept in one folder.

    Whatever goes wrong with it (disk full, read-only, damaged, locked for a minute) costs time and never an answer:
    `warn` is called once with a line, and answers are no longer kept, or no longer looked up either.

    Args:
        folder: Made if it is not there. None: answers are kept in memory, until `close`.
        warn: Called with one line, at most once.
    """

    def __init__(self, folder: Path | None, *, warn: Callable[[str], None]) -> None:
        self.folder = folder
        self._warn = warn
        self._warned = self._writes = False
        self._connection: sqlite3.Connection | None = None
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            prepare(self._connect("memory" if folder is None else "rwc"))
            self._writes = True
        except (OSError, sqlite3.Error, UserError) as e:
            self.close()
            self._open_read_only(e)

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = "file:answers" if self.folder is None else (self.folder / FILE_NAME).resolve().as_uri()
        self._connection = connect(f"{uri}?mode={mode}")
        self._connection.text_factory = bytes  # damage may make a text of a blob, and it need not be UTF-8
        return self._connection

    def _open_read_only(self, why: Exception) -> None:
        """Serve what is there without writing; without its log only if there is none to be read."""
        try:
            immutable = self.folder is not None and (self.folder / f"{FILE_NAME}-wal").stat().st_size == 0
        except OSError as e:
            immutable = isinstance(e, FileNotFoundError)
        for mode in ("ro", "ro&immutable=1") if immutable else ("ro",):
            with suppress(sqlite3.Error, UserError):
                if _is_made(self._connect(mode)):
                    break
            self.close()
        self._tell(why)

    def find(self, fingerprint: str, questions: Sequence[Question]) -> dict[int, Answer]:
        """The answers known of the reader with this fingerprint, each by its question's place in `questions`."""
        places: dict[bytes, list[int]] = {}
        for place, question in enumerate(questions):
            places.setdefault(_key(fingerprint, question), []).append(place)
        keys, found = list(places), dict[int, Answer]()
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            if self._connection is None:
                break
            part = keys[start : start + _KEYS_AT_ONCE]
            marks = ", ".join("?" * len(part))
            query = f"SELECT {COLUMNS} FROM answers WHERE key IN ({marks})"  # noqa: S608 # only names and marks are put in
            try:
                for key, reader, value, checksum in self._connection.execute(query, part):
                    if key in places and is_whole(key, reader, value, checksum):
                        found |= dict.fromkeys(places[key], _decode(value))
            except sqlite3.Error as e:
                self.close()
                self._tell(e)
        return found

    def keep(self, fingerprint: str, name: str, question: Question, answer: Answer) -> None:
        """Keep an answer of the reader with this fingerprint and name for good, in place of one that may be there."""
        if self._connection is None or not self._writes:
            return
        key, reader, value = _key(fingerprint, question), name.encode("utf-8", "backslashreplace"), _encode(answer)
        try:
            insert(self._connection, (key, reader, value, _checksum(key, reader, value)))
        except sqlite3.Error as e:
            self._writes = False
            self._tell(e)

    def _tell(self, why: Exception) -> None:
        if not self._warned:
            self._warned = True
            cannot, step = ("written", "new answers are not") if self._connection else ("used", "no answers are")
            if is_damage(why) or isinstance(why, UserError):
                step = f"remove {FILE_NAME} there to begin anew; until then {step}"
            self._warn(f"cache of answers in {self.folder} cannot be {cannot} ({reason(why)}): {step} kept")

    def close(self) -> None:
        """Let go of the database; nothing is found or kept any more."""
        self._writes = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> AnswerCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def prepare(connection: sqlite3.Connection) -> None:
    """Make the table of an empty database; UserError if it is one of another version."""
    connection.execute("PRAGMA synchronous = NORMAL")  # what is kept outlives the process, perhaps not a power cut
    if _is_made(connection):
        return
    use_wal(connection)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, reader TEXT, value BLOB, checksum BLOB)"
    )
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _is_made(connection: sqlite3.Connection) -> bool:
    """Whether the table is there; UserError if it is one of another version."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, VERSION):
        raise UserError(f"its version {version} is not {VERSION}")
    if version == VERSION:
        connection.execute(f"SELECT {COLUMNS} FROM answers LIMIT 0")  # noqa: S608 # fails where that is not so
    return bool(version)


def _key(fingerprint: str, question: Question) -> bytes:
    """Hash of the reader and of what it sees of a question; `most_similar` is a model's no business."""
    q = question
    seen = _json([fingerprint, q.prompt, list(q.options), q.max_tokens, list(q.stop)])
    return hashlib.blake2b(seen, digest_size=16).digest()


def _json(value: Any) -> bytes:
    # Not escaped: two surrogates escaped are the same as the character that they would be together.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _encode(answer: Answer) -> bytes:
    return _json([answer.text, [float(x) for x in answer.losses]])  # in the decimals that give the same bits


def _decode(value: bytes) -> Answer:
    text, losses = json.loads(value.decode("utf-8", "surrogatepass"))
    return Answer(text, tuple(losses))


def insert(connection: sqlite3.Connection, row: tuple[bytes, bytes, bytes, bytes]) -> None:
    """Write a row that `is_whole`, in place of one that may be there."""
    statement = f"INSERT OR REPLACE INTO answers({COLUMNS}) VALUES (?, CAST(? AS TEXT), ?, ?)"  # noqa: S608 # names
    connection.execute(statement, row)


def is_whole(key: Any, reader: Any, value: Any, checksum: Any) -> bool:
    """Whether a row is as it was written; in a damaged one, each of the four may be anything."""
    parts = (key, reader, value)
    return all(isinstance(part, bytes) for part in parts) and _checksum(*parts) == checksum


def _checksum(key: bytes, reader: bytes, value: bytes) -> bytes:
    return xxhash.xxh3_128(b"\0".join((key, reader, value))).digest()
