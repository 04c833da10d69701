"""`--limit N`: a loaded task cut down for a quick look. Its score is filed as limited, never mixed with whole ones."""

from __future__ import annotations

from typing import Any

from instructor_eval.errors import UserError
from instructor_eval.types import Card

_OTHERS_PER_QUERY = 10


def limit_task(task: Any, card: Card, n: int) -> None:
    """Keep the first `n` items.

    Retrieval keeps n queries, every document judged for them, and the first 10 n others; classification cuts the test
    split, not what it trains on; clustering keeps n splits of n texts.

    Raises:
        UserError: what is left has one gold value only, and so no score.
    """
    data = task.dataset.get(card.subset, task.dataset)
    if card.type in ("Retrieval", "Reranking"):
        _limit_queries(data[card.split], n)
    elif card.type == "Clustering":
        data[card.split] = _first(data[card.split], n).map(
            lambda row: {k: v[:n] if isinstance(v, list) else v for k, v in row.items()}
        )
    elif card.type == "PairClassification" and len(data[card.split]) == 1:  # one row that holds lists
        data[card.split] = data[card.split].map(
            lambda row: {k: v[:n] if isinstance(v, list) else v for k, v in row.items()}
        )
    else:
        data[card.split] = _first(data[card.split], n)
    if any(len(set(gold)) < 2 for gold in _golds(task, data[card.split], card)):
        raise UserError(
            f"task {card.name}: --limit {n} leaves a single gold value, which gives no score: take a larger one"
        )


def _golds(task: Any, rows: Any, card: Card) -> list[Any]:
    """The lists of gold values in which there have to be two different ones."""
    if card.type == "Clustering":
        return list(rows[task.label_column_name])
    if card.type == "PairClassification":
        labels = rows[task.label_column_name]
        return [labels[0] if isinstance(labels[0], list) else labels]
    return [rows["score"]] if card.type == "STS" else []


def _first(rows: Any, n: int) -> Any:
    return rows.select(range(min(n, len(rows))))


def _limit_queries(split: Any, n: int) -> None:
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
