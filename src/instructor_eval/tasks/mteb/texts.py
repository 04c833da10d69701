"""A dry run of a loaded mteb task: every text goes to the encoder in the calls of a real run, and nothing is scored.

mteb itself runs, so that the texts are the same as in a real run: the training texts that a classifier draws, the
judged queries, the joined titles. It is stopped after the last text.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from instructor_eval.core.values import Vectors
from instructor_eval.tasks.mteb.encoder import MtebEncoder
from instructor_eval.tasks.mteb.light import AllSeen
from instructor_eval.tasks.mteb.search import MtebSearch
from instructor_eval.tasks.task import TaskEncoder


class TextsOfSearch(MtebSearch):
    """A search that ends the evaluation after queries and documents, whether or not there is a store."""

    def search(self, queries: Any, *, top_k: int, task_metadata: Any, **_kwargs: Any) -> dict[str, dict[str, float]]:
        """Pass the texts on, and end the evaluation after the last one."""
        self.pass_texts(self.query_items(queries, task_metadata), self._corpus)
        raise AllSeen


class TextsOnly(MtebEncoder):
    """An encoder that ends the evaluation after some documents, or calls of `encode`; None: it ends by itself."""

    def __init__(self, encoder: TaskEncoder, *, documents: int | None = None, calls: int | None = None) -> None:
        super().__init__(encoder)
        self._documents_left = documents
        self._calls_left = calls

    def encode(self, inputs: Any, *, prompt_type: Any = None, **kwargs: Any) -> Vectors:
        """Pass the texts on, and end the evaluation after the last one."""
        vectors = super().encode(inputs, prompt_type=prompt_type, **kwargs)
        if self._calls_left is not None:
            self._calls_left -= 1
        if self._documents_left is not None and getattr(prompt_type, "value", None) == "document":
            self._documents_left -= len(vectors)
        if 0 in (self._calls_left, self._documents_left):
            raise AllSeen
        return vectors

    def similarity(self, a: Any, b: Any) -> Any:
        """Return similarities without a column: nothing is ranked."""
        return np.empty((len(a), 0), dtype=np.float32)
