"""One search of one corpus: queries against documents that stream by, exactly and through a vector store.

The exact answers come along with every store's, since recall and loss are told against them; they cost one product of
matrices while the vectors are in memory anyway.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import xxhash

from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Vectors
from instructor_eval.search.exact import ExactTop
from instructor_eval.search.found import Found
from instructor_eval.search.spec import SearchSpec, known_kinds, open_store
from instructor_eval.search.store import Guard, Label, VectorStore


def through_store(
    spec: SearchSpec,
    name: str,
    queries: Vectors,
    documents: Iterable[Vectors],
    *,
    count: int,
    k: int,
    instruction: str = "",
) -> tuple[Found, Found]:
    """Search a corpus through a vector store, and exactly.

    Args:
        spec: The store.
        name: What is indexed, model and task.
        queries: float32 [n, dim].
        documents: The corpus in pieces [m, dim], `count` rows together.
        count: How many documents there are.
        k: How many documents a query asks the store for; the exact search keeps twice as many.
        instruction: What the documents were embedded under; indexes that last are told apart by it.

    Returns:
        What the store found, and what exact search finds.

    Raises:
        UserError: there is nothing to search, or the store cannot be used, is full, or holds an index of other vectors.
    """
    if not len(queries) or not count:
        raise UserError(f"search '{spec}': {name} has no {'documents' if len(queries) else 'queries'}: mend its data")
    store, dim = open_store(spec), queries.shape[1]
    try:
        there = store.start(" ".join(filter(None, (name, store.build, instruction))), dim, count)
        if there is not None:
            _check(spec, store, there, dim, count)
        exact, seen, seconds, prints = ExactTop(queries, 2 * k), xxhash.xxh3_128(), 0.0, []
        for block in documents:
            exact.add(block)
            rows = _unit(block)
            seen.update(rows.tobytes())
            prints.append(_prints(rows))
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
        places, scores, rate = _asked(spec, store, _unit(queries), k, count)
        figures = {
            "documents": count,
            "build_seconds": round(seconds, 3) if there is None else None,
            "queries_per_second": round(rate, 1),
            "index_bytes": store.index_bytes(),
            **store.describe(),
        }
    finally:
        store.close()
    of_exact, contents = exact.result(), np.concatenate(prints)
    return (
        Found(places, scores, figures, contents=contents),
        Found(list(of_exact[0]), list(of_exact[1]), contents=contents),
    )


def _check(spec: SearchSpec, store: VectorStore, there: Label, dim: int, count: int) -> None:
    """What shows before anything is embedded."""
    if there.dim != dim:
        raise _other(spec, store, f"vectors of {there.dim} dimensions, and these have {dim}")
    if there.count != count:
        raise _other(spec, store, f"{there.count:,} vectors, and this corpus has {count:,}")
    if there.build != store.build:
        raise _other(spec, store, f"an index built as {there.build[:100]}")


def _other(spec: SearchSpec, store: VectorStore, what: str) -> UserError:
    place, another = getattr(store, "place", "its place"), known_kinds()[spec.kind].another
    return UserError(f"search '{spec}': {place} holds {what}: delete it, or give another {another}")


def _asked(
    spec: SearchSpec, store: VectorStore, queries: Vectors, k: int, count: int
) -> tuple[list[npt.NDArray[np.int64]], list[Vectors], float]:
    """Every query by itself, as a service asks; the first once before the clock runs."""
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
    """Rows of length 1; a row of zeros stays one, as in the exact search."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    rows: Vectors = np.ascontiguousarray(vectors / lengths, dtype=np.float32)
    return rows


def _prints(rows: Vectors) -> npt.NDArray[np.uint64]:
    """A hash of each row [n]: the same for the same vector."""
    return np.fromiter((xxhash.xxh3_64_intdigest(row) for row in rows), dtype=np.uint64, count=len(rows))
