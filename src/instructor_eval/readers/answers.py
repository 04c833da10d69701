"""Answers on disk: a reader is never asked again what it was asked once.

    <folder>/answers.v1.sqlite3     one SQLite database in WAL mode, beside that of the vectors

A key is a hash of all that an answer depends on; a row is a key, the reader's name for `evaluate cache`, an answer and
a checksum over all three, so a damaged row can only make a miss. Each answer is a transaction of its own: reading one
takes far longer than storing it, and a killed process loses none that it had stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import xxhash

from instructor_eval.cache.database import Database, Schema, look_up
from instructor_eval.readers.contract import Answer, Question

ANSWERS = Schema(
    file="answers.v1.sqlite3",
    version=1,
    page_bytes=4096,
    tables="CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, reader TEXT, value BLOB, checksum BLOB)",
    thing="cache of answers",
    content="answers",
)
COLUMNS = ", ".join(f"CAST({name} AS BLOB)" for name in ("key", "reader", "value", "checksum"))
"""Damage may make a text of a blob, and it need not be UTF-8."""


class AnswerCache:
    """The answers of one folder on disk; a `Database` says what happens where they cannot be read or written.

    Args:
        folder: Made at the first use if it is not there. None: answers are in memory, until `close`.
        warn: Called with one line, once for each thing that goes wrong.
    """

    def __init__(self, folder: Path | None, *, warn: Callable[[str], None]) -> None:
        self.folder = folder
        self._database = Database(folder, ANSWERS, warn)

    def find(self, fingerprint: str, questions: Sequence[Question]) -> dict[int, Answer]:
        """Return the answers known of the reader with this fingerprint, by their questions' places in `questions`."""
        places: dict[bytes, list[int]] = {}
        for place, question in enumerate(questions):
            places.setdefault(_key(fingerprint, question), []).append(place)
        query = f"SELECT {COLUMNS} FROM answers WHERE key IN ({{keys}})"  # noqa: S608 # only names are put in
        rows = self._database.read(lambda connection: list(look_up(connection, query, list(places)))) or []
        found: dict[int, Answer] = {}
        for key, reader, value, checksum in rows:
            if key in places and is_whole(key, reader, value, checksum):
                found |= dict.fromkeys(places[key], _decode(value))
        return found

    def keep(self, fingerprint: str, name: str, question: Question, answer: Answer) -> None:
        """Store an answer of the reader with this fingerprint and name, in place of one that may be there."""
        key, reader, value = _key(fingerprint, question), name.encode("utf-8", "backslashreplace"), _encode(answer)
        row = (key, reader, value, _checksum(key, reader, value))
        insert = "INSERT OR REPLACE INTO answers(key, reader, value, checksum) VALUES (?, CAST(? AS TEXT), ?, ?)"
        self._database.write(lambda connection: connection.execute(insert, row))

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        self._database.close()

    def __enter__(self) -> AnswerCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _key(fingerprint: str, question: Question) -> bytes:
    """Return the hash of the reader and of what it sees of a question, which `most_similar` is not."""
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


def is_whole(key: Any, reader: Any, value: Any, checksum: Any) -> bool:
    """Return whether a row is as it was written; in a damaged one, each of the four may be None."""
    return None not in (key, reader, value, checksum) and _checksum(key, reader, value) == checksum


def _checksum(key: bytes, reader: bytes, value: bytes) -> bytes:
    return xxhash.xxh3_128(b"\0".join((key, reader, value))).digest()
