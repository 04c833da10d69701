"""A dry run of a loaded mteb task: it asks for every text, in the calls of a real run, and scores nothing.

mteb itself is run, so that the texts are those of a real run: which training texts a classifier draws, which queries
are judged, what is joined to a document. It is stopped as soon as it has asked for the last one.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from instructor_eval.core.values import Vectors
from instructor_eval.search.found import Found
from instructor_eval.tasks.mteb.corpus import split_of
from instructor_eval.tasks.mteb.encoder import MtebEncoder
from instructor_eval.tasks.mteb.search import MtebSearch
from instructor_eval.tasks.task import Card, TaskEncoder

_CALLS = 2
"""Of `encode`, in tasks that search nothing: first and second sentences, training and test texts, human and machine
summaries."""


def see_texts(task: Any, card: Card, encoder: TaskEncoder, *, bare_from_call: int | None = None) -> None:
    """Ask `encoder` for every text of a loaded task; what it returns is not looked at."""
    reranks = card.type == "Reranking"
    documents = len(split_of(task, card)["corpus"]) if reranks else None
    if card.type == "Clustering":
        task.evaluator = _no_clusters()  # it asks once for each set, and would cluster it
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
    """There are no further texts."""


class _TextsOfSearch(MtebSearch):
    """Ends the evaluation when it has seen queries and documents."""

    def _exactly(self, queries: Vectors, k: int) -> Found:
        for _ in self._documents():
            pass
        raise _AllSeen


class _TextsOnly(MtebEncoder):
    """Ends the evaluation after so many documents, or calls of `encode`; None: it ends by itself."""

    def __init__(
        self, encoder: TaskEncoder, *, documents: int | None, calls: int | None, bare_from_call: int | None
    ) -> None:
        super().__init__(encoder, bare_from_call=bare_from_call)
        self._documents_left = documents
        self._calls_left = calls

    def encode(self, inputs: Any, *, prompt_type: Any = None, **kwargs: Any) -> Vectors:
        """Pass the texts on."""
        vectors = super().encode(inputs, prompt_type=prompt_type, **kwargs)
        if self._calls_left is not None:
            self._calls_left -= 1
        if self._documents_left is not None and getattr(prompt_type, "value", None) == "document":
            self._documents_left -= len(vectors)
        if 0 in (self._calls_left, self._documents_left):
            raise _AllSeen
        return vectors

    def similarity(self, a: Any, b: Any) -> Any:
        """No column: between two parts of a corpus there is nothing to rank."""
        return np.empty((len(a), 0), dtype=np.float32)


def _no_clusters() -> Any:
    """The evaluator of clusterings, whose clusters are all one."""
    from mteb._create_dataloaders import create_dataloader
    from mteb._evaluators import ClusteringEvaluator

    class NoClusters(ClusteringEvaluator):  # type: ignore[misc] # mteb is not typed here
        def __call__(self, model: Any, *, encode_kwargs: Any, num_proc: int | None = None) -> list[int]:
            inputs = create_dataloader(
                self.dataset,
                task_metadata=self.task_metadata,
                input_column=self.input_column_name,
                num_proc=num_proc,
                **encode_kwargs,
            )
            model.encode(inputs, hf_split=self.hf_split, hf_subset=self.hf_subset)
            return [0] * len(self.dataset)

    return NoClusters
