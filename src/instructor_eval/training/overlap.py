"""Texts of tasks that stand in training data: verbatim, or nearly.

Verbatim: equal in lower case with white space as single spaces. Nearly: the Jaccard similarity of their sets of
five-character pieces is at least a threshold. MinHash (Broder 1997; datasketch) finds candidates, each of which is then
compared exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xxhash

from instructor_eval.training.data import Rows

THRESHOLD = 0.8
_PIECE = 5
_HASHES, _BANDS = 128, (32, 4)
"""32 bands of 4: of pairs with a similarity of 0.7 two in ten thousand are overlooked, at 0.8 one in ten million."""


@dataclass(frozen=True)
class Share:
    """The texts of one role of a task."""

    task: str
    role: str
    texts: int
    """Different ones."""
    verbatim: int
    """Of these, in the training data."""
    near: int
    """Of these, nearly in it; without those that are verbatim."""


@dataclass
class _Known:
    """The tasks' texts, normalised."""

    numbers: dict[str, int] = field(default_factory=dict)
    pieces: list[frozenset[int]] = field(default_factory=list)

    def add(self, text: str) -> int:
        plain = normalised(text)
        if plain not in self.numbers:
            self.numbers[plain] = len(self.pieces)
            self.pieces.append(_pieces(plain))
        return self.numbers[plain]


def normalised(text: str) -> str:
    """Return a text in lower case, with white space as single spaces."""
    return " ".join(text.casefold().split())


def overlap(rows: Rows, tasks: Mapping[str, Mapping[str, Sequence[str]]], threshold: float = THRESHOLD) -> list[Share]:
    """Return how many texts of each task and role stand in training rows.

    Args:
        rows: The training rows; their instructions are not compared.
        tasks: Task -> role -> texts.
        threshold: Least Jaccard similarity of a text that is near.
    """
    known = _Known()
    wanted = {
        (task, role): {known.add(text) for text in texts if text.strip()}
        for task, roles in tasks.items()
        for role, texts in roles.items()
    }
    verbatim, near = _found(rows, known, threshold)
    return [
        Share(task, role, len(numbers), len(numbers & verbatim), len((numbers & near) - verbatim))
        for (task, role), numbers in wanted.items()
    ]


def _found(rows: Rows, known: _Known, threshold: float) -> tuple[set[int], set[int]]:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=_HASHES, params=_BANDS)
    every: set[int] = set()
    for number, pieces in enumerate(known.pieces):
        if pieces:
            index.insert(number, _signature(MinHash, pieces))
            every |= pieces
    verbatim: set[int] = set()
    near: set[int] = set()
    seen: set[int] = set()
    for _, texts in rows.texts():
        for text in texts:
            plain = normalised(text)
            digest = xxhash.xxh3_64_intdigest(_bytes(plain))
            if digest in seen:
                continue
            seen.add(digest)
            if plain in known.numbers:
                verbatim.add(known.numbers[plain])
            pieces = _pieces(plain)
            # A similarity of at least t takes a share t of its own pieces: most texts are done with here.
            if not pieces or len(pieces & every) < threshold * len(pieces):
                continue
            for number in index.query(_signature(MinHash, pieces)):
                other = known.pieces[number]
                if len(pieces & other) >= threshold * len(pieces | other):
                    near.add(number)
    return verbatim, near


def _pieces(plain: str) -> frozenset[int]:
    """Return hashes of all pieces of a text; a shorter text is one."""
    last = max(1, len(plain) - _PIECE + 1)
    return (
        frozenset(xxhash.xxh32_intdigest(_bytes(plain[i : i + _PIECE])) for i in range(last)) if plain else frozenset()
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _signature(kind: Any, pieces: frozenset[int]) -> Any:
    found = kind(num_perm=_HASHES, hashfunc=_as_it_is)
    found.update_batch(np.fromiter(pieces, dtype=np.uint32, count=len(pieces)))
    return found


def _as_it_is(value: Any) -> int:
    return int(value)
