"""Vectors on disk, by content: a text embedded once, by one model under one instruction, is never computed again.

    <folder>/vectors.v1.sqlite3     one SQLite database in WAL mode, shared by every task, run and process

A key is a hash of (fingerprint, exact instruction, exact text), or of (fingerprint, a picture's content). Vectors lie
in blocks of neighbours (they were computed together and will be asked for together), each with its keys and a checksum
over both; an index leads from key to block.
A vector is served only out of a block whose checksum holds and whose own list of keys names it, so damage anywhere, in
the index too, can only make a miss.

Crashes: a write is one transaction. A killed process loses the transactions it had not ended, a power cut perhaps the
last ended ones too (`synchronous=NORMAL`), and neither leaves a half of one. Several processes may read and write at
once, on a local disk: WAL needs memory shared between them, which network file systems do not give.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from instructor_eval.cache.blocks import KEY_BYTES, VECTORS, drop_blocks, insert, is_whole, present, shrink
from instructor_eval.cache.database import FILE_NAME, VARIABLE, DamageError, Database
from instructor_eval.core.pictures import Item, Picture, item_bytes
from instructor_eval.core.values import Vectors

DEFAULT_LIMIT = 20 * 1024**3
# Two of SQLite's pages: large enough to read back at memory speed, small enough to be read for one vector.
BLOCK_BYTES = 64 * 1024
_FRESH_SECONDS = 600  # a use is noted again only after so long: reading what was just read writes nothing
_EVICT_TO = 0.9


@dataclass(frozen=True)
class Space:
    """Whose vectors: one model in one numeric form."""

    fingerprint: str
    name: str
    revision: str
    variant: str
    dim: int
    dtype: str = "float32"

    @property
    def row_bytes(self) -> int:
        """Size of one stored vector."""
        return self.dim * np.dtype(self.dtype).itemsize


class Cache(Protocol):
    """A store of vectors: an engine looks them up in it and adds new ones."""

    def read(self, space: Space, keys: Sequence[bytes], out: Vectors) -> npt.NDArray[np.bool_]:
        """Fill `out` [len(keys), dim] where a key is known; the result is True at those."""
        ...

    def write(self, space: Space, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Store `vectors` [len(keys), dim]; a key that is there already stays as it is."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


def keys_of(fingerprint: str, instruction: str, items: Sequence[Item]) -> list[bytes]:
    """Return the key of each item: BLAKE2b-128 of fingerprint, instruction and text, exact to the last space.

    A picture stands under no instruction; its content is in its text's place.
    """
    head = instruction.encode("utf-8", "surrogatepass")
    base = hashlib.blake2b(f"{fingerprint} {len(head)} ".encode() + head, digest_size=KEY_BYTES)
    alone = hashlib.blake2b(f"{fingerprint} 0 ".encode(), digest_size=KEY_BYTES)
    keys = []
    for item in items:
        state = (alone if isinstance(item, Picture) else base).copy()
        state.update(item_bytes(item))
        keys.append(state.digest())
    return keys


def default_folder() -> Path:
    """Return $INSTRUCTOR_EVAL_CACHE, else `instructor-eval` in the user's folder for caches."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "instructor-eval"


class VectorCache:
    """The vectors of one folder on disk; a `Database` says what happens where they cannot be read or written.

    Args:
        folder: Made at the first use if it is not there.
        limit: Bytes that vectors may take; the least recently used blocks go first. None: no limit.
        warn: Called with one line, once for each thing that goes wrong.
    """

    def __init__(self, folder: Path, *, limit: int | None = DEFAULT_LIMIT, warn: Callable[[str], None]) -> None:
        self.path = folder / FILE_NAME
        self.limit = limit
        self._written = limit or 0  # the first write looks whether the limit holds: earlier runs may have passed it
        self._database = Database(folder, VECTORS, warn)

    @property
    def reads(self) -> bool:
        """Return whether vectors are still looked up."""
        return self._database.reads

    @property
    def writes(self) -> bool:
        """Return whether new vectors are still stored."""
        return self._database.writes

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        self._database.close()

    def read(self, space: Space, keys: Sequence[bytes], out: Vectors) -> npt.NDArray[np.bool_]:
        """Fill `out` [len(keys), dim] where a key is known; the result is True at those."""
        hit = np.zeros(len(keys), dtype=np.bool_)
        if not len(keys):
            return hit
        used, wrong = self._database.read(lambda connection: _read(connection, space, keys, out, hit)) or ([], [])
        if used or wrong:
            self._database.write(lambda connection: _note(connection, used, wrong))
        first = _first_places(keys)
        if len(first) < len(keys):
            for i, key in enumerate(keys):
                if hit[first[key]]:
                    out[i], hit[i] = out[first[key]], True
        return hit

    def write(self, space: Space, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Store `vectors` [len(keys), dim] in one transaction; a key that is there already stays as it is."""
        if not len(keys):
            return
        rows = np.ascontiguousarray(vectors, dtype=space.dtype)
        first = _first_places(keys)

        def add(connection: sqlite3.Connection) -> None:
            number = _space_number(connection, space)
            there = present(connection, list(first))
            new = [i for key, i in first.items() if key not in there]
            size = max(1, (BLOCK_BYTES - 512) // (space.row_bytes + KEY_BYTES))
            for start in range(0, len(new), size):
                part = new[start : start + size]
                insert(connection, number, b"".join([keys[i] for i in part]), rows[part].tobytes())
            self._written += len(new) * space.row_bytes

        self._database.write(add)
        self._evict()

    def _evict(self) -> None:
        """Drop the least recently used blocks when the limit is passed; looked at every 16 MiB, or 1 % of the limit."""
        limit = self.limit
        if limit is not None and self._written >= min(16 * 1024**2, limit // 100):
            self._written = 0
            self._database.write(lambda connection: shrink(connection, limit, _EVICT_TO))


def _read(
    connection: sqlite3.Connection, space: Space, keys: Sequence[bytes], out: Vectors, hit: npt.NDArray[np.bool_]
) -> tuple[list[int], list[tuple[int, bytes, bool]]]:
    """Fill `out` and `hit` for each different key.

    Returns:
        Blocks whose use is to be noted; and each key whose entry misleads, with the block that it leads to and whether
        that block is whole.
    """
    used: list[int] = []
    wrong: list[tuple[int, bytes, bool]] = []
    known = "SELECT 1 FROM spaces WHERE fingerprint = ?"
    if connection.execute(known, (space.fingerprint,)).fetchone() is None:
        return used, wrong
    wanted = _first_places(keys)
    old = int(time.time()) - _FRESH_SECONDS
    find = (
        "SELECT e.block, b.keys, b.checksum, b.vectors, u.used FROM entries e LEFT JOIN blocks b ON b.id = e.block "
        "LEFT JOIN uses u ON u.block = e.block WHERE e.key = ?"
    )
    for key in keys:
        row = connection.execute(find, (key,)).fetchone() if key in wanted else None
        if row is not None:
            number, block_keys, checksum, data, last = row
            vectors = _checked(block_keys, checksum, data, space)
            if vectors is not None:
                # The neighbours are most likely wanted too: one look-up serves them all.
                hit[_take(vectors, block_keys, wanted, out)] = True
                if not isinstance(last, int) or last < old:
                    used.append(number)
            if key in wanted:  # a damaged block, or the index led to one that does not hold it
                wrong.append((number, key, is_whole(block_keys, checksum, data)))
        wanted.pop(key, None)
    return used, wrong


def _note(connection: sqlite3.Connection, used: list[int], wrong: list[tuple[int, bytes, bool]]) -> None:
    """Note the use of blocks, and drop damaged ones and entries that mislead: their texts are computed again."""
    now = int(time.time())
    connection.executemany("UPDATE uses SET used = ? WHERE block = ?", ((now, block) for block in used))
    for block, key, whole in wrong:
        connection.execute("DELETE FROM entries WHERE key = ? AND block = ?", (key, block))
        if not whole:
            drop_blocks(connection, [block])


def _space_number(connection: sqlite3.Connection, space: Space) -> int:
    fields = (space.fingerprint, space.name, space.revision, space.variant, space.dim, space.dtype)
    connection.execute(
        "INSERT INTO spaces(fingerprint, name, revision, variant, dim, dtype) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT(fingerprint) DO UPDATE SET name = excluded.name, revision = excluded.revision, "
        "variant = excluded.variant, dim = excluded.dim, dtype = excluded.dtype "
        "WHERE dim IS NOT excluded.dim OR dtype IS NOT excluded.dtype",  # so a damaged row becomes right
        fields,
    )
    found = connection.execute("SELECT id FROM spaces WHERE fingerprint = ?", (space.fingerprint,)).fetchone()
    if found is None:  # its index says that it is there
        raise DamageError("table spaces is malformed")
    return int(found[0])


def _checked(keys: Any, checksum: Any, data: Any, space: Space) -> Vectors | None:
    """Return the vectors of a block, or None if it is damaged or of another shape than this model's."""
    if not is_whole(keys, checksum, data):
        return None
    if len(data) * KEY_BYTES != len(keys) * space.row_bytes:
        return None
    return np.frombuffer(data, dtype=space.dtype).reshape(-1, space.dim)


def _first_places(keys: Sequence[bytes]) -> dict[bytes, int]:
    places: dict[bytes, int] = {}
    for i, key in enumerate(keys):
        places.setdefault(key, i)
    return places


def _take(vectors: Vectors, keys: bytes, wanted: dict[bytes, int], out: Vectors) -> list[int]:
    """Copy what is wanted of a block to its places in `out`, take it off `wanted`, and return the places."""
    source, target = [], []
    for slot in range(len(vectors)):
        place = wanted.pop(keys[slot * KEY_BYTES : (slot + 1) * KEY_BYTES], None)
        if place is not None:
            source.append(slot)
            target.append(place)
    n = len(source)
    if n and source[-1] - source[0] == n - 1 and target == list(range(target[0], target[0] + n)):
        out[target[0] : target[0] + n] = vectors[source[0] : source[0] + n]  # two runs: one plain copy
    else:
        out[target] = vectors[source]
    return target


class MemoryCache:
    """Vectors of this process, for runs without a cache on disk; the oldest go when `limit` bytes are passed."""

    def __init__(self, limit: int = 256 * 1024**2) -> None:
        self.limit = limit
        self._rows: dict[bytes, Vectors] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def read(self, space: Space, keys: Sequence[bytes], out: Vectors) -> npt.NDArray[np.bool_]:
        """Fill `out` [len(keys), dim] where a key is known; the result is True at those."""
        hit = np.zeros(len(keys), dtype=np.bool_)
        with self._lock:
            for i, key in enumerate(keys):
                row = self._rows.get(key)
                if row is not None:
                    out[i], hit[i] = row, True
        return hit

    def write(self, space: Space, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Store `vectors` [len(keys), dim]; a key that is there already stays as it is."""
        with self._lock:
            for key, row in zip(keys, vectors, strict=True):
                if key not in self._rows:
                    self._rows[key] = row.copy()
                    self._bytes += row.nbytes
            while self._bytes > self.limit:
                self._bytes -= self._rows.pop(next(iter(self._rows))).nbytes

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._rows.clear()
            self._bytes = 0
