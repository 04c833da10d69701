"""The reader without a model: it repeats the answer of the most similar demonstration.

Deterministic and exact, so a score with it is a measure of the embedder alone: k-nearest-neighbour classification with
k = 1 on label tasks, and how alike the answers of neighbours are on the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from instructor_eval.readers.contract import Answer, Question


class NearestReader:
    """Says what the nearest demonstration in the prompt says; nothing where there is none."""

    name = "nearest"
    fingerprint = "nearest-1"
    is_cheap = True

    def describe(self) -> dict[str, Any]:
        """Name and fingerprint."""
        return {"name": self.name, "fingerprint": self.fingerprint}

    def read(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        """Answer in the order of the questions."""
        for place, question in enumerate(questions):
            yield place, Answer(question.most_similar)

    def close(self) -> None:
        """Nothing is held."""
