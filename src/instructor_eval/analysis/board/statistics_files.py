"""Statistics that the board has computed, stored in the results folder: differences, and of version 1 intervals.

    DIR/statistics/board.v2      a checksum, and JSON

An entry's key is made of the identities and times of its scores, what their files of items look like from outside, and
the code that computes it. Nothing depends on this file: where it is missing, damaged or cannot be written, everything
is computed again. It takes at most `MOST` bytes, those of the newest calls.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from instructor_eval.core.outside import read_bytes
from instructor_eval.core.paths import file_sha256
from instructor_eval.core.stored_files import parse_json
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

MOST = 32 * 2**20
_CODE = ("analysis/statistics/*.py", "analysis/board/evidence.py", "metrics/*.py")


class StoredStatistics:
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
        self._used: dict[str, None] = {}
        self._changed = False

    @classmethod
    def of(cls, store: Store) -> StoredStatistics:
        """Return those of a results folder."""
        return cls(store.root / "statistics" / "board.v2", store.items_stamp)

    def key(self, what: str, *scores: Score) -> str:
        """Return what names a statistic of these scores."""
        parts = [[s.identity, s.created, s.task, s.metric, s.score, s.data.hash, self._stamp(s)] for s in scores]
        return hashlib.sha256(json.dumps([_code(), what, parts], default=str).encode()).hexdigest()[:32]

    def get(self, key: str) -> dict[str, Any] | None:
        """Return an entry, or None."""
        entry = self._load().get(key)
        if entry is not None:
            self._used[key] = None
        return entry

    def put(self, key: str, entry: dict[str, Any]) -> None:
        """Keep an entry, until `save` in memory only; NaN and infinity are no part of it."""
        self._load()[key] = entry
        self._used[key] = None
        self._changed = True

    def save(self) -> None:
        """Write what is new; a folder that cannot be written costs only the time to compute it again."""
        if not self._changed:
            return
        entries, lines, taken = self._load(), [], 0
        for key in [*reversed(self._used), *(key for key in entries if key not in self._used)]:
            line = f"{json.dumps(key)}: {json.dumps(entries[key], allow_nan=False)}"
            taken += len(line)
            if taken > MOST:
                break
            lines.append(line)
        body = ("{" + ",\n".join(lines) + "}\n").encode()
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
                self._entries = _read(self.path)
        return self._entries


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the file's entries.

    Raises:
        OSError: it is not there, or cannot be read.
        ValueError, LookupError, TypeError, AttributeError: it is not whole.
    """
    head, _, body = read_bytes(path, 2 * MOST).partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != head:
        raise ValueError("damaged")
    return {key: dict(entry) for key, entry in parse_json(body).items()}


@cache
def _code() -> str:
    """Return a hash of the code that the statistics come from: another version computes them again."""
    package = Path(__file__).parents[2]
    files = sorted(file for pattern in _CODE for file in package.glob(pattern))
    return hashlib.sha256("".join(map(file_sha256, files)).encode()).hexdigest()
