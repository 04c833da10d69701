"""The reader without a model: it repeats the answer of the most similar demonstration.

It is deterministic, so its score measures the embedder alone: k-nearest-neighbour classification with k = 1 on
label tasks, and the likeness of neighbours' answers on the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from instructor_eval.readers.contract import Answer, Question


class NearestReader:
    """A reader that gives the answer of the nearest demonstration in the prompt; empty without demonstrations."""

    name = "nearest"
    fingerprint = "nearest-1"
    is_cheap = True

    def describe(self) -> dict[str, Any]:
        """Return name and fingerprint."""
        return {"name": self.name, "fingerprint": self.fingerprint}

    def read(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        """Answer in the order of the questions."""
        for place, question in enumerate(questions):
            yield place, Answer(question.most_similar)

    def close(self) -> None:
        """Do nothing: it has no resources."""
