"""The part of a call of `encode` that is computed: what the cache does not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from instructor_eval.core.progress import Progress
from instructor_eval.core.values import Vectors


@dataclass(frozen=True)
class Missing:
    """Inputs to compute, and where their vectors go."""

    items: list[Any]
    """Texts, or texts and pictures."""
    keys: list[bytes]
    """Of the inputs in the cache; empty without one."""
    instruction: str
    vectors: Vectors
    """Of the whole call: float32 [inputs without repeats, dim]."""
    places: list[int]
    """The row of `vectors` for each of `items`."""
    progress: Progress
    most: int | None = None
    """Inputs in a batch at most."""

    def place(self, at: Sequence[int], rows: Vectors) -> None:
        """Put the vectors of some of the inputs where they belong."""
        self.vectors[[self.places[i] for i in at]] = rows

    def advance(self, at: Sequence[int], tokens: int) -> None:
        """Say that some of the inputs are computed."""
        self.progress.advance(len(at), tokens, sum(len(self.instruction) + len(self.items[i]) for i in at))
