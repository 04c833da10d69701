"""An engine that counts instead of computing: the same way through repeats, cache and tokenizer, and no network.

What it has "computed" it knows from then on, as a run's cache would; the cache on disk is only looked at.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from instructor_eval.cache.blocks import VECTORS, present
from instructor_eval.cache.database import FILE_NAME, check_version, connect, reason
from instructor_eval.cache.vectors import Space
from instructor_eval.core.values import Vectors
from instructor_eval.models.batches import WINDOW
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.engine import BaseEngine, Engine
from instructor_eval.models.images.engine import ImageEngine
from instructor_eval.models.images.model import ImageModel
from instructor_eval.models.missing import Missing
from instructor_eval.models.precision import Calibration, Precision
from instructor_eval.models.served.engine import Served, ServedEngine
from instructor_eval.tasks.encoder import BoundEncoder

LENGTHS = (32, 128)
"""Ends of the classes of length, in tokens: the rate of a model changes little within one."""
CLASSES = len(LENGTHS) + 1
SAMPLE = 2048
"""Texts of each class that are timed."""


class KnownKeys:
    """In a cache's place: which vectors a run would find, and none of them. Nothing is written, no use is noted.

    Args:
        folder: Of the cache on disk; it need not be there. None: a run without one.
        limit: Bytes of vectors that are remembered, as `MemoryCache` does; None: all.
        warn: Called with one line if the cache cannot be read, and counts as empty.
    """

    def __init__(self, folder: Path | None, *, limit: int | None = None, warn: Callable[[str], None]) -> None:
        self.on_disk: set[bytes] = set()
        """Those asked for that the cache on disk has."""
        self.found_on_disk = 0
        """The number of times one of them was asked for."""
        self._computed: dict[bytes, int] = {}
        self._bytes = 0
        self._limit = limit
        self._warn = warn
        self._folder = folder
        self._spaces: dict[str, bool] = {}
        self._connection = self._open(folder / FILE_NAME) if folder else None

    @property
    def keeps_all(self) -> bool:
        """Return whether what was computed once is known to the end."""
        return self._limit is None

    def _open(self, path: Path) -> sqlite3.Connection | None:
        try:
            if not path.is_file():
                return None
            # A database in WAL mode that nobody has open is read as it is: opening it would make two files beside it.
            live = all(Path(f"{path}{end}").exists() for end in ("-wal", "-shm"))
            connection = connect(path, "ro" if live else "ro&immutable=1")
            try:
                check_version(connection, VECTORS)
            except BaseException:
                connection.close()
                raise
        except (OSError, sqlite3.Error) as e:
            self._give_up(e)
            return None
        return connection

    def _give_up(self, why: Exception) -> None:
        self._warn(f"cache {self._folder} cannot be read ({reason(why)}): it counts as empty")

    def read(self, space: Space, keys: Sequence[bytes], out: Vectors) -> npt.NDArray[np.bool_]:
        """True where a run would find the vector; `out` stays as it is."""
        there = self._look_up(space, [key for key in keys if key not in self._computed])
        self.on_disk |= there
        self.found_on_disk += len(there)
        return np.array([key in self._computed or key in there for key in keys], dtype=np.bool_)

    def _look_up(self, space: Space, keys: Sequence[bytes]) -> set[bytes]:
        if self._connection is None or not keys:
            return set()
        try:
            if not self._has(self._connection, space):
                return set()
            return present(self._connection, keys)
        except sqlite3.Error as e:
            self._give_up(e)
            self.close()
            return set()

    def _has(self, connection: sqlite3.Connection, space: Space) -> bool:
        if space.fingerprint not in self._spaces:
            find = "SELECT 1 FROM spaces WHERE fingerprint = ? AND dim = ? AND dtype = ?"
            found = connection.execute(find, (space.fingerprint, space.dim, space.dtype)).fetchone()
            self._spaces[space.fingerprint] = found is not None
        return self._spaces[space.fingerprint]

    def write(self, space: Space, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Remember that these were computed; `vectors` are not looked at."""
        size = space.dim * 4
        for key in keys:
            self._bytes += 0 if key in self._computed else size
            self._computed.setdefault(key, size)
        while self._limit is not None and self._bytes > self._limit:
            self._bytes -= self._computed.pop(next(iter(self._computed)))

    def close(self) -> None:
        """Let go of the database."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class Sample:
    """Some of the inputs that are to be computed, by class of length: those of the least keys, in whatever order."""

    def __init__(self, size: int = SAMPLE) -> None:
        self._size = size
        self._held: list[list[tuple[int, str]]] = [[] for _ in range(CLASSES)]

    def add(self, cls: int, key: bytes, text: str) -> None:
        """Keep it, if its key is among the least."""
        held, entry = self._held[cls], (-int.from_bytes(key), text)
        if len(held) < self._size:
            heapq.heappush(held, entry)
        elif entry > held[0]:
            heapq.heapreplace(held, entry)

    def texts(self, cls: int) -> list[str]:
        """The inputs of a class, that of the least key first: a few of them are as random as all."""
        return [text for _, text in sorted(self._held[cls], reverse=True)]


class CountingEngine(Engine):
    """Counts what an `Engine` with this cache would do, up to the tokens: `totals` become what a run's would.

    The arrays that `encode` gives are not filled.
    """

    def __init__(self, checkpoint: Checkpoint, known: KnownKeys) -> None:
        super().__init__(checkpoint, device="cpu", cache=known)
        self.sample = Sample()
        self.tokens = np.zeros(CLASSES, dtype=np.int64)
        """Tokens to compute so far, by class of length."""

    def _compute(self, missing: Missing) -> None:
        texts, instruction = missing.items, missing.instruction
        skip = self.inputs.skip(instruction)
        nothing = np.empty((0, self.dim), dtype=np.float32)
        for start in range(0, len(texts), WINDOW):
            part, part_keys = texts[start : start + WINDOW], missing.keys[start : start + WINDOW]
            lengths = np.array([len(row) for row in self._tokenise(part, instruction, skip)])
            classes = np.searchsorted(LENGTHS, lengths)
            np.add.at(self.tokens, classes, lengths)
            for cls, key, text in zip(classes.tolist(), part_keys, part, strict=True):
                self.sample.add(cls, key, instruction + text)
            self.totals.tokens += int(lengths.sum())
            assert self.cache is not None
            self.cache.write(self.space, part_keys, nothing)
            missing.advance(range(start, start + len(part)), int(lengths.sum()))


class _CountsKeys(BaseEngine):
    """Counts inputs, and no tokens."""

    def _compute(self, missing: Missing) -> None:
        assert self.cache is not None
        self.cache.write(self.space, missing.keys, np.empty((0, self.dim), dtype=np.float32))
        missing.advance(range(len(missing.items)), 0)


class CountingServed(_CountsKeys, ServedEngine):
    """The same of a served model: it is asked for nothing, and its tokens are not known."""

    def __init__(self, served: Served, known: KnownKeys) -> None:
        super().__init__(served, None)
        self.cache = known
        self.tokens = np.zeros(CLASSES, dtype=np.int64)


class CountingImages(_CountsKeys, ImageEngine):
    """The same of a model of texts and pictures: no picture is opened, and tokens are not counted."""

    def __init__(self, model: ImageModel, known: KnownKeys) -> None:
        super().__init__(model, device="cpu", cache=known)
        self.tokens = np.zeros(CLASSES, dtype=np.int64)


class CountingEncoder(BoundEncoder):
    """A `BoundEncoder` of an engine that counts: the vectors, which are none, are neither cut nor rounded."""

    def __init__(self, engine: BaseEngine, *args: Any, **kwargs: Any) -> None:
        super().__init__(engine, *args, **kwargs)
        model = engine.model
        self._precision = _Uncalibrated(self.variant, dim=engine.dim, normalize=model.normalize, model=model.name)


class _Uncalibrated(Precision):
    """It asks for calibration like any other."""

    def calibrate(self, vectors: Vectors, **about: Any) -> None:
        self.calibration = Calibration(vectors[:0], vectors[:0])

    def apply(self, vectors: Vectors, *, as_query: bool = False) -> Vectors:
        return vectors
