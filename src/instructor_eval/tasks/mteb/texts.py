"""A dry run of a loaded mteb task: it passes every text to the encoder in the calls of a real run, and scores nothing.

mteb itself runs, so that the texts are the same as in a real run: the training texts that a classifier draws, the
judged queries, the joined titles. It is stopped after the last text.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from instructor_eval.core.mteb import one_cluster_evaluator
from instructor_eval.core.values import Vectors
from instructor_eval.search.through_store import SearchResult
from instructor_eval.tasks.mteb.corpus import split_of
from instructor_eval.tasks.mteb.encoder import MtebEncoder
from instructor_eval.tasks.mteb.search import MtebSearch
from instructor_eval.tasks.task import Card, TaskEncoder

_CALLS = 2
"""Calls of `encode` in tasks without a search: first and second sentences, training and test texts, human and machine
summaries."""


def see_texts(task: Any, card: Card, encoder: TaskEncoder, *, bare_from_call: int | None = None) -> None:
    """Pass every text of a loaded task to `encoder`, and ignore its vectors."""
    reranks = card.type == "Reranking"
    documents = len(split_of(task, card)["corpus"]) if reranks else None
    if card.type == "Clustering":
        task.evaluator = one_cluster_evaluator()  # the task calls it once for each set
    bridge: Any = _TextsOnly(
        encoder,
        documents=documents,
        calls=None if reranks or card.type == "Clustering" else _CALLS,
        bare_from_call=bare_from_call,
    )
    if card.type == "Retrieval":
        bridge = _TextsOfSearch(encoder, card.name)
    with contextlib.suppress(_AllSeen):
        task.evaluate(
            bridge,
            split=card.split,
            subsets_to_run=[card.subset],
            encode_kwargs={"show_progress_bar": False},
            prediction_folder=Path("unused"),
        )


class _AllSeen(Exception):
    """The last text has been seen."""


class _TextsOfSearch(MtebSearch):
    """A search that ends the evaluation after queries and documents."""

    def _search_exactly(self, queries: Vectors, k: int) -> SearchResult:
        for _ in self._documents():
            pass
        raise _AllSeen


class _TextsOnly(MtebEncoder):
    """An encoder that ends the evaluation after some documents, or calls of `encode`; None: it ends by itself."""

    def __init__(
        self, encoder: TaskEncoder, *, documents: int | None, calls: int | None, bare_from_call: int | None
    ) -> None:
        super().__init__(encoder, bare_from_call=bare_from_call)
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
            raise _AllSeen
        return vectors

    def similarity(self, a: Any, b: Any) -> Any:
        """Return similarities without a column: nothing is ranked."""
        return np.empty((len(a), 0), dtype=np.float32)
