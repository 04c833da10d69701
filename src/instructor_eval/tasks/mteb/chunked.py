"""Retrieval and reranking of documents cut into chunks: a document scores by its chunks (`search/chunks.py`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from instructor_eval.core.errors import UserError
from instructor_eval.core.mteb import query_texts
from instructor_eval.core.values import Vectors
from instructor_eval.search.chunks import SCORES, ChunkSpec, pooled
from instructor_eval.search.spec import SearchSpec
from instructor_eval.search.through_store import SearchResult, search_store
from instructor_eval.tasks.mteb.encoder import MtebEncoder
from instructor_eval.tasks.mteb.search import MtebSearch, Piece
from instructor_eval.tasks.task import ChunkEncoder

Places = npt.NDArray[np.int64]


class ChunkedSearch(MtebSearch):
    """A search in mteb's form, over chunks; the exact one, a store's, or of each query's candidates (reranking).

    Args:
        encoder: The model as the task sees it.
        name: The task's name.
        spec: The search, with its chunks.
        depth: Documents that a store is asked for.

    Raises:
        UserError: a store gives only what it finds, and the score needs every chunk.
    """

    def __init__(self, encoder: ChunkEncoder, name: str, spec: SearchSpec, depth: int = 10) -> None:
        super().__init__(encoder, name, spec if spec.is_store else None, depth)
        self._cutter = encoder
        assert spec.chunk is not None
        self._chunk: ChunkSpec = spec.chunk
        if spec.is_store and self._chunk.score != SCORES[0]:
            raise UserError(
                f"--chunk-score {self._chunk.score} needs every chunk of a document, and a store gives the nearest "
                f"ones: use --chunk-score {SCORES[0]}, or --search exact"
            )
        self._cut: list[list[list[tuple[str, int]]]] = []
        """Window by window, of each document the chunks."""

    def search(
        self, queries: Any, *, top_k: int, task_metadata: Any, top_ranked: Any = None, **_kwargs: Any
    ) -> dict[str, dict[str, float]]:
        """Return query id -> document id -> score."""
        self._ids = [str(i) for i in queries["id"]]
        vectors = self._encoder.encode(query_texts(queries, task_metadata), "query")
        self._bytes = self._encoder.variant.bytes_per_vector(vectors.shape[1])
        self._cut = [self._cutter.chunks(list(map(str, texts)), self._chunk) for texts in self._windows()]
        if top_ranked is not None:
            return self._rerank(vectors, top_ranked, top_k)
        if self._spec is None:
            return self._named(self._search_exactly(vectors, top_k))
        starts, most = self._starts(), max(len(chunks) for window in self._cut for chunks in window)
        count = sum(len(chunks) for window in self._cut for chunks in window)
        found, exact = search_store(
            self._spec, f"{self._encoder.name}@{self._encoder.variant} {self._name} {self._chunk}", vectors,
            (piece.vectors for piece in self._pieces()), count=count, k=min(count, self._depth * most),
            instruction=self._encoder.instruction("document"),
        )  # fmt: skip
        self.found = _of_documents(found, starts, self._depth)
        self.exact = _of_documents(exact, starts, 2 * self._depth)
        return self._named(self.found)

    def figures(self, *, dropped: bool) -> dict[str, Any]:
        """Return what chunks take, and a store's figures."""
        chunks = [one for window in self._cut for document in window for one in document]
        taken = {"index_bytes": len(chunks) * self._bytes} if self.found is None else super().figures(dropped=dropped)
        tokens = sum(tokens for _, tokens in chunks)
        return {**taken, "documents": len(self._corpus), "chunks": len(chunks), "chunk_tokens": tokens}

    def _pieces(self) -> Iterator[Piece]:
        for window in self._cut:
            sizes = np.array([len(chunks) for chunks in window], dtype=np.int64)
            texts = [text for chunks in window for text, _ in chunks]
            yield Piece(self._cutter.encode_chunks(texts), np.cumsum(sizes) - sizes, self._chunk.score)

    def _starts(self) -> Places:
        """Return the first chunk of each document of the corpus."""
        sizes = np.array([len(chunks) for window in self._cut for chunks in window], dtype=np.int64)
        return np.cumsum(sizes) - sizes

    def _rerank(self, queries: Vectors, top_ranked: Mapping[str, Sequence[str]], k: int) -> dict[str, dict[str, float]]:
        """Score every query's candidates, as mteb does: query by query, all candidates at once."""
        import torch

        pieces = list(self._pieces())
        rows = np.concatenate([piece.vectors for piece in pieces])
        edges = [*self._starts().tolist(), len(rows)]
        place = {str(name): i for i, name in enumerate(self._corpus["id"])}
        measure, found = MtebEncoder(self._encoder).similarity, dict[str, dict[str, float]]()
        for query, vector in zip(self._ids, queries, strict=True):
            names = list(top_ranked.get(query, ()))
            if not names:
                found[query] = {}
                continue
            at = [np.arange(edges[place[name]], edges[place[name] + 1]) for name in names]
            sizes = np.array([len(one) for one in at], dtype=np.int64)
            values = measure(torch.from_numpy(vector[None]), torch.from_numpy(rows[np.concatenate(at)]))
            scores = pooled(np.asarray(values, dtype=np.float32), np.cumsum(sizes) - sizes, self._chunk.score)[0]
            best = np.argsort(-scores, kind="stable")[:k]
            found[query] = {names[i]: float(scores[i]) for i in best}
        return found


class TextsOfChunks(ChunkedSearch):
    """A search over chunks that ends the evaluation after queries and chunks (`texts.py`)."""

    def search(self, queries: Any, *, top_k: int, task_metadata: Any, **_kwargs: Any) -> dict[str, dict[str, float]]:
        """Pass the texts on, and end the evaluation after the last one."""
        from instructor_eval.tasks.mteb.light import AllSeen

        self._encoder.encode(query_texts(queries, task_metadata), "query")
        self._cut = [self._cutter.chunks(list(map(str, texts)), self._chunk) for texts in self._windows()]
        for _ in self._pieces():
            pass
        raise AllSeen


def _of_documents(found: SearchResult, starts: Places, k: int) -> SearchResult:
    """Return a result of chunks as one of documents: each query's best chunk of every document found, k at most."""
    places, scores = [], []
    for at, values in zip(found.places, found.scores, strict=True):
        documents, first = np.unique(np.searchsorted(starts, at, "right") - 1, return_index=True)
        order = np.argsort(first)[:k]  # the best chunk comes first
        places.append(documents[order])
        scores.append(values[first[order]])
    return dataclasses.replace(found, places=places, scores=scores, contents=None)
