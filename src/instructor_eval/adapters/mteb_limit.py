"""`--limit N`: a loaded task cut down for a quick look. Its score is filed as limited, never mixed with whole ones."""

from __future__ import annotations

from typing import Any

from instructor_eval.types import Card

_OTHERS_PER_QUERY = 10


def limit_task(task: Any, card: Card, n: int) -> None:  # noqa: ANN401 - mteb's task object
    """Keep the first `n` items.

    Retrieval keeps n queries, every document judged for them, and the first 10 n others; classification cuts the test
    split, not what it trains on; clustering keeps n splits of n texts.
    """
    data = task.dataset.get(card.subset, task.dataset)
    if card.type in ("Retrieval", "Reranking"):
        _limit_queries(data[card.split], n)
    elif card.type == "Clustering":
        data[card.split] = _first(data[card.split], n).map(
            lambda row: {k: v[:n] if isinstance(v, list) else v for k, v in row.items()}
        )
    elif card.type == "PairClassification" and len(data[card.split]) == 1:
        data[card.split] = data[card.split].map(
            lambda row: {k: v[:n] if isinstance(v, list) else v for k, v in row.items()}
        )
    else:
        data[card.split] = _first(data[card.split], n)


def _first(rows: Any, n: int) -> Any:  # noqa: ANN401 - a datasets.Dataset
    return rows.select(range(min(n, len(rows))))


def _limit_queries(split: Any, n: int) -> None:  # noqa: ANN401 - mteb's RetrievalSplitData
    qrels = split["relevant_docs"]
    queries = split["queries"]
    kept = [i for i, q in enumerate(queries["id"]) if any(g > 0 for g in qrels.get(q, {}).values())][:n]
    split["queries"] = queries.select(kept)
    ids = set(split["queries"]["id"])
    split["relevant_docs"] = {q: docs for q, docs in qrels.items() if q in ids}
    wanted = {d for docs in split["relevant_docs"].values() for d in docs}
    others = _OTHERS_PER_QUERY * n
    if split["top_ranked"]:
        split["top_ranked"] = {q: docs for q, docs in split["top_ranked"].items() if q in ids}
        wanted |= {d for docs in split["top_ranked"].values() for d in docs}
        others = 0
    keep = []
    for i, doc in enumerate(split["corpus"]["id"]):
        if doc in wanted:
            keep.append(i)
        elif others > 0:
            keep.append(i)
            others -= 1
    split["corpus"] = split["corpus"].select(keep)
