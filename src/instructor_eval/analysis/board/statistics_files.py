"""Statistics that the board has computed, stored in the results folder: intervals, replicates, differences.

    DIR/statistics/board.v1      a checksum, a line of JSON, and the replicates as they are in memory (float64)

An entry's key is made of the identities and times of its scores, what their files of items look like from outside, and
the code that computes it. Nothing depends on this file: where it is missing, damaged or cannot be written, everything
is computed again. It takes at most `MOST` bytes of replicates, those of the newest calls.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructor_eval.core.outside import read_bytes
from instructor_eval.core.paths import file_sha256
from instructor_eval.core.stored_files import parse_json
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

if TYPE_CHECKING:
    from instructor_eval.metrics.metric import Numbers

MOST = 32 * 2**20
_ENTRIES = 50_000
_CODE = ("analysis/statistics/*.py", "analysis/board/evidence.py", "metrics/*.py")


class KeptStatistics:
    """The statistics of one results folder; read at the first look-up."""

    def __init__(self, path: Path, stamp: Callable[[Score], str]) -> None:
        """Name the file, whether it is there or not.

        Args:
            path: The file; its folder is made when it is first written.
            stamp: What a score's file of items looks like from outside.
        """
        self.path = path
        self._stamp = stamp
        self._entries: dict[str, dict[str, Any]] | None = None
        self._rows: dict[str, Numbers] = {}
        self._used: dict[str, None] = {}
        self._changed = False

    @classmethod
    def of(cls, store: Store) -> KeptStatistics:
        """Return those of a results folder."""
        return cls(store.root / "statistics" / "board.v1", store.items_stamp)

    def key(self, what: str, *scores: Score) -> str:
        """Return what names a statistic of these scores."""
        parts = [[s.identity, s.created, s.task, s.metric, s.score, s.data.hash, self._stamp(s)] for s in scores]
        return hashlib.sha256(json.dumps([_code(), what, parts], default=str).encode()).hexdigest()[:32]

    def get(self, key: str) -> tuple[dict[str, Any], Numbers | None] | None:
        """Return an entry and its replicates, or None."""
        entries = self._load()
        if key not in entries:
            return None
        self._used[key] = None
        return entries[key], self._rows.get(key)

    def put(self, key: str, entry: dict[str, Any], replicates: Numbers | None = None) -> None:
        """Keep an entry, until `save` in memory only; NaN and infinity are no part of it."""
        self._load()[key] = entry
        if replicates is not None:
            self._rows[key] = replicates
        self._used[key] = None
        self._changed = True

    def save(self) -> None:
        """Write what is new; a folder that cannot be written costs only the time to compute it again."""
        if not self._changed:
            return
        import numpy as np

        entries = self._load()
        newest_first = [*reversed(self._used), *(key for key in entries if key not in self._used)][:_ENTRIES]
        index: dict[str, Any] = {}
        rows: list[Numbers] = []
        taken = 0
        for key in newest_first:
            row = self._rows.get(key)
            if row is None:
                index[key] = [entries[key], None, 0]
            elif taken + len(row) <= MOST // 8:
                index[key] = [entries[key], taken, len(row)]
                rows.append(row)
                taken += len(row)
        flat = np.concatenate([np.zeros(0), *rows]).astype("<f8").tobytes()
        body = json.dumps(index, allow_nan=False).encode() + b"\n" + flat
        head = hashlib.sha256(body).hexdigest().encode() + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(self.path, lambda f: f.write(head + body))
        except OSError:
            return
        self._changed = False

    def _load(self) -> dict[str, dict[str, Any]]:
        if self._entries is None:
            self._entries = {}
            # Missing or damaged: all is computed again.
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
                self._entries, self._rows = _read(self.path)
        return self._entries


def _read(path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Numbers]]:
    """Return the file's entries and replicates.

    Raises:
        OSError: it is not there, or cannot be read.
        ValueError, LookupError, TypeError, AttributeError: it is not whole.
    """
    import numpy as np

    head, _, body = read_bytes(path, 4 * MOST).partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != head:
        raise ValueError("damaged")
    text, _, flat = body.partition(b"\n")
    values = np.frombuffer(flat, dtype="<f8")
    entries, rows = {}, {}
    for key, (entry, start, length) in parse_json(text).items():
        entries[key] = dict(entry)
        if start is not None:
            rows[key] = values[start : start + length]
            if len(rows[key]) != length:
                raise ValueError("replicates are missing")
    return entries, rows


@cache
def _code() -> str:
    """Return a hash of the code that the statistics come from: another version computes them again."""
    package = Path(__file__).parents[2]
    files = sorted(file for pattern in _CODE for file in package.glob(pattern))
    return hashlib.sha256("".join(map(file_sha256, files)).encode()).hexdigest()
