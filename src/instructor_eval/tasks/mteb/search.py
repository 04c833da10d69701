"""The search of retrieval tasks: exact in bounded memory, or through a vector store.

mteb accepts any object with `index` and `search` (its SearchProtocol). Its own search compares 50,000 documents with
all queries at once and merges with a heap for each query; the exact search here gives the same documents and scores (a
test checks it) with a bounded block of similarities and in a fraction of the time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from instructor_eval.core.errors import UserError
from instructor_eval.core.mteb import query_texts
from instructor_eval.core.pictures import Item
from instructor_eval.core.values import Vectors
from instructor_eval.models.precision import rescore
from instructor_eval.search.spec import SearchSpec
from instructor_eval.search.through_store import SearchResult, recall
from instructor_eval.tasks.mteb.encoder import cosines, is_binary
from instructor_eval.tasks.mteb.rows import documents_of
from instructor_eval.tasks.task import TaskEncoder

_WINDOW = 50_000
"""Documents embedded and compared at once; `binary-rescore` chooses its candidates among them."""
_STORED = ("float32", "float16")
"""Precisions of vectors that a store can be given."""


class Piece(NamedTuple):
    """A part of the corpus: what `ExactTop.add` takes."""

    vectors: Vectors
    starts: npt.NDArray[np.int64] | None = None
    """The first chunk of each document, where vectors are of chunks."""
    score: str = "max"


class CorpusSearch:
    """A search of a corpus.

    Args:
        encoder: The model as the task sees it.
        name: The task's name.
        spec: The search; None or `exact` compares every document.
        depth: Documents that a store is asked for; the exact search gives as many as mteb wants.

    Raises:
        UserError: a store cannot have vectors of the variant's precision.
    """

    def __init__(self, encoder: TaskEncoder, name: str, spec: SearchSpec | None = None, depth: int = 10) -> None:
        self._encoder, self._name, self._depth = encoder, name, depth
        self._spec = None if spec is None or spec.is_exact else spec
        embedding = encoder.variant.embedding
        if self._spec and embedding not in _STORED:
            raise UserError(
                f"search '{spec}' stores vectors in its own precision: leave +{embedding} out of the variant, or use "
                "--search exact"
            )
        self._corpus: Any = None
        self.exact: SearchResult | None = None
        """With a store: the result of exact search."""
        self.found: SearchResult | None = None

    def find(self, ids: Sequence[str], texts: Sequence[Item], corpus: Any, k: int) -> dict[str, dict[str, float]]:
        """Return query id -> document id -> score, of the exact search for `k` documents each, the best first.

        Args:
            ids: Of the queries.
            texts: Texts or pictures of the queries.
            corpus: A data set of documents, read once.
            k: Documents for each query at most.
        """
        self._corpus, self._ids = corpus, list(ids)
        vectors = self._encoder.encode(texts, "query")
        if self._spec is None:
            return self._named(self._search_exactly(vectors, k))
        from instructor_eval.search.through_store import search_store  # the import of torch

        self.found, self.exact = search_store(
            self._spec, f"{self._encoder.name}@{self._encoder.variant} {self._name}", vectors, self._documents(),
            count=len(self._corpus), k=self._depth, instruction=self._encoder.instruction("document"),
        )  # fmt: skip
        return self._named(self.found)

    def pass_texts(self, texts: Sequence[Item], corpus: Any) -> None:
        """Pass the texts of queries and documents to the encoder, as a search does, and search nothing."""
        self._corpus = corpus
        self._encoder.encode(texts, "query")
        for _ in self._documents():
            pass

    def figures(self, *, dropped: bool) -> dict[str, Any]:
        """Return a store's figures for the score file.

        Args:
            dropped: The task leaves out a document with its query's id.
        """
        if self.found is None or self.exact is None:
            return {}
        k, found, exact = self._depth - dropped, self.found, self.exact
        if dropped:
            found, exact = self._without_own(found), self._without_own(exact)
        return {"k": k, "recall": recall(found, exact, k), **self.found.figures}

    def exact_results(self) -> dict[str, dict[str, float]]:
        """With a store: return exact search's result, beyond the store's depth, in the form of `search`."""
        assert self.exact is not None
        return self._named(self.exact)

    def _without_own(self, found: SearchResult) -> SearchResult:
        """Return a result without documents that have their query's id."""
        name_of = self._names(found)
        rest = [
            np.array([name_of[place] != query for place in row.tolist()], dtype=bool)
            for query, row in zip(self._ids, found.places, strict=True)
        ]
        places = [row[keep] for row, keep in zip(found.places, rest, strict=True)]
        scores = [row[keep] for row, keep in zip(found.scores, rest, strict=True)]
        return dataclasses.replace(found, places=places, scores=scores)

    def _search_exactly(self, queries: Vectors, k: int) -> SearchResult:
        from instructor_eval.search.exact import ExactTop  # the import of torch

        rescores = self._encoder.variant.embedding == "binary-rescore"
        measure = rescore if rescores else cosines if is_binary(self._encoder.variant) else None
        top = ExactTop(queries, k, measure, whole=rescores)
        for piece in self._pieces():
            top.add(*piece)
        places, scores = top.result()
        return SearchResult(list(places), list(scores))

    def _pieces(self) -> Iterator[Piece]:
        return map(Piece, self._documents())

    def _documents(self) -> Iterator[Vectors]:
        for texts in self._windows():
            yield self._encoder.encode(texts, "document")

    def _windows(self) -> Iterator[list[Item]]:
        for start in range(0, len(self._corpus), _WINDOW):
            part = self._corpus.select(range(start, min(start + _WINDOW, len(self._corpus))))
            yield self.document_items(part)

    def query_items(self, queries: Any, task_metadata: Any) -> list[Item]:
        """Return what is embedded for a data set of queries: its texts."""
        return [*query_texts(queries, task_metadata)]

    def document_items(self, corpus: Any) -> list[Item]:
        """Return what is embedded for a part of the corpus: its texts."""
        return list(documents_of(corpus))

    def _names(self, found: SearchResult) -> dict[int, str]:
        """Return the ids of the found documents only: a corpus may have millions."""
        places = np.unique(np.concatenate(found.places)) if found.places else np.empty(0, dtype=np.int64)
        names = [str(i) for i in self._corpus.select(places.tolist())["id"]] if len(places) else []
        return dict(zip(places.tolist(), names, strict=True))

    def _named(self, found: SearchResult) -> dict[str, dict[str, float]]:
        """Return a result with ids instead of places."""
        name_of = self._names(found)
        return {
            query: {name_of[p]: s for p, s in zip(at.tolist(), scores.tolist(), strict=True)}
            for query, at, scores in zip(self._ids, found.places, found.scores, strict=True)
        }


class MtebSearch(CorpusSearch):
    """A search in mteb's form."""

    def __init__(self, encoder: TaskEncoder, name: str, spec: SearchSpec | None = None, depth: int = 10) -> None:
        from mteb.models.model_meta import ModelMeta

        super().__init__(encoder, name, spec, depth)
        self.mteb_model_meta = ModelMeta.create_empty({"name": "instructor-eval/model", "revision": "1"})

    def index(self, corpus: Any, **_kwargs: Any) -> None:
        """Remember the corpus; it is read once, during the search."""
        self._corpus = corpus

    def search(self, queries: Any, *, top_k: int, task_metadata: Any, **_kwargs: Any) -> dict[str, dict[str, float]]:
        """Return query id -> document id -> score."""
        texts = self.query_items(queries, task_metadata)
        return self.find([str(i) for i in queries["id"]], texts, self._corpus, top_k)
