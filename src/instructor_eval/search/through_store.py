"""One search of one corpus: queries against a stream of documents, exactly and through a vector store.

The exact answers are computed beside every store's, since recall and loss compare with them; they cost one matrix
product while the vectors are in memory anyway.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Vectors
from instructor_eval.search.spec import SearchSpec, known_kinds, open_store
from instructor_eval.search.store import Guard, Label, VectorStore

_SAME = 1e-6
"""Scores that differ by less are equal: a copy of a document may replace it."""


@dataclass(frozen=True)
class SearchResult:
    """The result of a search: places and scores of each query's documents, the best first."""

    places: list[npt.NDArray[np.int64]]
    scores: list[Vectors]
    figures: dict[str, Any] = field(default_factory=dict)
    """A store's figures: build_seconds (None: it existed), queries_per_second, index_bytes, and its description."""
    contents: npt.NDArray[np.uint64] | None = None
    """A hash of every document's vector, the same for copies of a document."""


def search_store(
    spec: SearchSpec,
    name: str,
    queries: Vectors,
    documents: Iterable[Vectors],
    *,
    count: int,
    k: int,
    instruction: str = "",
) -> tuple[SearchResult, SearchResult]:
    """Search a corpus through a vector store, and exactly.

    Args:
        spec: The store.
        name: Model and task.
        queries: float32 [n, dim].
        documents: The corpus in pieces [m, dim], `count` rows together.
        count: Number of documents.
        k: Documents that the store is asked for; exact search gives twice as many.
        instruction: The documents' instruction, part of the name of a lasting index.

    Returns:
        The store's result, and exact search's.

    Raises:
        UserError: there is nothing to search, or the store cannot be used, is full, or has an index of other vectors.
    """
    from instructor_eval.search.exact import ExactTop  # the import of torch

    if not len(queries) or not count:
        lacking = "documents" if len(queries) else "queries"
        raise UserError(f"search '{spec}': {name} has no {lacking}: correct its data")
    store, dim = open_store(spec), queries.shape[1]
    try:
        there = store.start(" ".join(filter(None, (name, store.build, instruction))), dim, count)
        if there is not None:
            _check(spec, store, there, dim, count)
        exact, seen, seconds, hashes = ExactTop(queries, 2 * k), xxhash.xxh3_128(), 0.0, []
        for block in documents:
            exact.add(block)
            rows = _unit(block)
            seen.update(rows.tobytes())
            hashes.append(_row_hashes(rows))
            if there is None:
                started = time.perf_counter()
                store.add(rows)
                seconds += time.perf_counter() - started
        label = Label(seen.hexdigest(), count, dim, store.build)
        if there is None:
            started = time.perf_counter()
            store.finish(label)
            seconds += time.perf_counter() - started
        elif there != label:
            raise _other(spec, store, "other vectors (of another model or corpus, or computed elsewhere)")
        places, scores, rate = _search_queries(spec, store, _unit(queries), k, count)
        figures = {
            "documents": count,
            "build_seconds": round(seconds, 3) if there is None else None,
            "queries_per_second": round(rate, 1),
            "index_bytes": store.index_bytes(),
            **store.describe(),
        }
    finally:
        store.close()
    of_exact, contents = exact.result(), np.concatenate(hashes)
    return (
        SearchResult(places, scores, figures, contents=contents),
        SearchResult(list(of_exact[0]), list(of_exact[1]), contents=contents),
    )


def _check(spec: SearchSpec, store: VectorStore, there: Label, dim: int, count: int) -> None:
    """Refuse an index that cannot be of these vectors, before anything is embedded."""
    if there.dim != dim:
        raise _other(spec, store, f"vectors of {there.dim} dimensions, and these have {dim}")
    if there.count != count:
        raise _other(spec, store, f"{there.count:,} vectors, and this corpus has {count:,}")
    if there.build != store.build:
        raise _other(spec, store, f"an index built as {there.build[:100]}")


def _other(spec: SearchSpec, store: VectorStore, what: str) -> UserError:
    place, option = getattr(store, "place", "its place"), known_kinds()[spec.kind].place_option
    return UserError(f"search '{spec}': {place} holds {what}: delete it, or give another {option}")


def _search_queries(
    spec: SearchSpec, store: VectorStore, queries: Vectors, k: int, count: int
) -> tuple[list[npt.NDArray[np.int64]], list[Vectors], float]:
    """Search one query after another, as a service does; the first also once before time is measured."""
    places, scores = [], []
    with Guard(spec, "searching", "see that the store can still be reached"):
        store.search(queries[0], k)
        started = time.perf_counter()
        for query in queries:
            at, values = store.search(query, k)
            places.append(at)
            scores.append(values)
        seconds = time.perf_counter() - started
    if any(len(at) and not 0 <= at.min() <= at.max() < count for at in places):
        raise _other(spec, store, "documents that this corpus does not have")
    return places, scores, len(queries) / max(seconds, 1e-9)


def _unit(vectors: Vectors) -> Vectors:
    """Scale rows to length 1; a row of zeros stays, as in exact search."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    rows: Vectors = np.ascontiguousarray(vectors / lengths, dtype=np.float32)
    return rows


def _row_hashes(rows: Vectors) -> npt.NDArray[np.uint64]:
    """Return a hash of each row [n]: the same for the same vector."""
    return np.fromiter((xxhash.xxh3_64_intdigest(row) for row in rows), dtype=np.uint64, count=len(rows))


def recall(found: SearchResult, exact: SearchResult, k: int) -> float:
    """Return the mean share of each query's k nearest documents that a store found among its first k.

    A document as near as the k-th counts too, and so does every copy: which of several equally near ones is found is
    chance. A query without documents to find counts as answered.
    """

    def content(places: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        return places if exact.contents is None else exact.contents[places]

    shares = []
    for places, truth, scores in zip(found.places, exact.places, exact.scores, strict=True):
        most = min(k, len(truth))
        near = truth[scores >= scores[most - 1] - _SAME] if most else truth
        hits = int(np.isin(content(places[:k]), content(near)).sum())
        shares.append(min(most, hits) / most if most else 1.0)
    return float(np.mean(shares))
