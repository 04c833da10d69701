"""Figures of a store's search in scores: put together over tasks, and in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from instructor_eval.results.score import Search

_MEANS = ("recall", "exact_score", "loss")
_SUMS = ("build_seconds", "index_bytes", "documents", "chunks", "chunk_tokens")
_SMALLEST = 1e-18


def of_parts(parts: Sequence[Search | None]) -> Search | None:
    """Return means of recall and scores, sums of time and bytes, and the rate at which all queries went through.

    None where a part was searched exactly; what one part does not say is None.
    """
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    found: dict[str, float | None] = {}
    for name in (*_MEANS, *_SUMS):
        values = [v for part in known if (v := getattr(part, name)) is not None]
        whole = len(values) == len(known)
        found[name] = math.fsum(values) / (len(known) if name in _MEANS else 1) if whole else None
    rates = [rate for part in known if (rate := part.queries_per_second or 0) > _SMALLEST]
    return Search(
        backend=known[0].backend,
        k=known[0].k,
        library=known[0].library,
        recall=found["recall"],
        exact_score=found["exact_score"],
        loss=found["loss"],
        build_seconds=found["build_seconds"],
        index_bytes=_whole(found["index_bytes"]),
        documents=_whole(found["documents"]),
        chunks=_whole(found["chunks"]),
        chunk_tokens=_whole(found["chunk_tokens"]),
        queries_per_second=len(known) / math.fsum(1 / r for r in rates) if len(rates) == len(known) else None,
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def depth(search: Search) -> str:
    """Return the k of recall@k, as text."""
    return "?" if search.k is None else f"{search.k}"


def phrases(search: Search | None) -> list[str]:
    """Return recall, exact score, time, rate and size in a few words each; nothing where the search was exact."""
    if search is None:
        return []
    shown: dict[str, Callable[[float], str]] = {
        "recall": lambda v: f"recall@{depth(search)} {v:.3f}",
        "exact_score": lambda v: f"exact search {100 * v:.2f}",
        "build_seconds": lambda v: f"index built in {v:,.1f} s",
        "queries_per_second": lambda v: f"{v:,.0f} queries/s",
        "index_bytes": lambda v: f"index {v / 1e6:,.1f} MB",
        "chunks": lambda v: f"{v:,} chunks",
    }
    return [say(value) for name, say in shown.items() if (value := getattr(search, name)) is not None]
