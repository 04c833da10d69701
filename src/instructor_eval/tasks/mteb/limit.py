"""`--limit N`: a loaded task reduced to its first items. Its score is filed as limited, apart from whole ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.task import Card

_OTHERS_PER_QUERY = 10


def limit_task(task: Any, card: Card, n: int) -> None:
    """Reduce a task to its first `n` items.

    Retrieval: n queries, every document judged for them, and the first 10 n others. Classification: n test rows, all
    training rows. Clustering: n splits of n texts. If n items have one gold value only, and so no score, the first item
    with another value replaces the last; of a single item there are two then.

    Raises:
        UserError: the data has one gold value only.
    """
    data = task.dataset.get(card.subset, task.dataset)
    rows = data[card.split]
    if card.type in ("Retrieval", "Reranking"):
        _limit_queries(rows, n)
    elif card.type == "Clustering":
        data[card.split] = _limit_lists(rows.select(range(min(n, len(rows)))), task.label_column_name, card, n)
    elif card.type == "PairClassification":
        column = task.label_column_name
        if len(rows) == 1 and isinstance(rows[0][column], list):
            data[card.split] = _limit_lists(rows, column, card, n)
        else:
            data[card.split] = rows.select(_varied(list(rows[column]), card, n))
    elif card.type == "STS":
        data[card.split] = rows.select(_varied(list(rows["score"]), card, n))
    elif card.type == "Summarization":  # mteb leaves out an article whose grades are all equal
        has_score = [len(set(grades)) > 1 for grades in rows[task.relevancy_column_name]]
        data[card.split] = rows.select(first_with(has_score, n))
    else:
        data[card.split] = rows.select(range(min(n, len(rows))))


def _limit_lists(rows: Any, column: str, card: Card, n: int) -> Any:
    """Cut every list of every row to the same places."""

    def cut(row: dict[str, Any]) -> dict[str, Any]:
        places = _varied(row[column], card, n)
        return {k: [v[i] for i in places] if isinstance(v, list) else v for k, v in row.items()}

    return rows.map(cut)


def _varied(golds: Sequence[Any], card: Card, n: int) -> list[int]:
    """Return the places of the first n values, two different ones among them.

    Raises:
        UserError: all values are equal.
    """
    if len(set(golds[:n])) > 1:
        return list(range(min(n, len(golds))))
    other = next((i for i, gold in enumerate(golds) if gold != golds[0]), None)
    if other is None:
        raise UserError(f"task {card.name}: there is a single gold value, which gives no score")
    return [*range(max(n, 2) - 1), other]


def first_with(wanted: Sequence[bool], n: int) -> list[int]:
    """Return the first n places; if none of them is wanted, the first wanted one replaces the last."""
    places = list(range(min(n, len(wanted))))
    if any(wanted[:n]) or not any(wanted):
        return places
    return [*places[:-1], wanted.index(True)]


def _limit_queries(split: Any, n: int) -> None:
    qrels = split["relevant_docs"]
    queries = split["queries"]
    chosen = [i for i, q in enumerate(queries["id"]) if any(g > 0 for g in qrels.get(q, {}).values())][:n]
    split["queries"] = queries.select(chosen)
    ids = set(split["queries"]["id"])
    split["relevant_docs"] = {q: docs for q, docs in qrels.items() if q in ids}
    wanted = {d for docs in split["relevant_docs"].values() for d in docs}
    others = _OTHERS_PER_QUERY * n
    if split["top_ranked"]:
        split["top_ranked"] = {q: docs for q, docs in split["top_ranked"].items() if q in ids}
        wanted |= {d for docs in split["top_ranked"].values() for d in docs}
        others = 0
    documents = []
    for i, doc in enumerate(split["corpus"]["id"]):
        if doc in wanted:
            documents.append(i)
        elif others > 0:
            documents.append(i)
            others -= 1
    split["corpus"] = split["corpus"].select(documents)
