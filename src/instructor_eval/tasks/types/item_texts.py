"""The texts behind single items of own data, for the page: `report --texts`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from instructor_eval.core.values import Items
from instructor_eval.tasks.own.ranking_data import RankingData
from instructor_eval.tasks.types.base import FindTexts, Texts

_MOST = 3
"""So many gold documents are shown of a query, and so many of those found for it."""


def of_rankings(data: RankingData) -> FindTexts:
    """Return what finds a query's text, its relevant documents, and those found first."""
    queries = {row["id"]: row["text"] for row in data.queries}
    documents = {row["id"]: " ".join(filter(None, (row["title"], row["text"]))) for row in data.corpus}

    def find(items: Items, ids: Collection[str]) -> dict[str, Texts]:
        found: dict[str, Texts] = {}
        for query, top in zip(items["id"], items["top"], strict=True):
            if query not in ids or query not in queries:
                continue
            relevant = [name for name, grade in data.qrels.get(query, {}).items() if grade > 0]
            gold = [("gold", documents[name]) for name in relevant[:_MOST] if name in documents]
            more = [("gold", f"and {len(relevant) - _MOST} more")] if len(relevant) > _MOST else []
            first = [
                (f"found {place}{', gold' if name in relevant else ''}", documents[name])
                for place, name in enumerate(top[:_MOST], 1)
                if name in documents
            ]
            found[query] = [("query", queries[query]), *gold, *more, *first]
        return found

    return find


def of_pairs(columns: Mapping[str, Sequence[Any]], gold: str, similarity: str) -> FindTexts:
    """Return what finds the two texts of a pair, its gold value, and their similarity; ids are the rows' places."""

    def find(items: Items, ids: Collection[str]) -> dict[str, Texts]:
        return {
            name: [
                ("first", columns["sentence1"][int(name)]),
                ("second", columns["sentence2"][int(name)]),
                ("gold", f"{columns[gold][int(name)]:g}"),
                (similarity, f"{value:.3f}"),
            ]
            for name, value in zip(items["id"], items[similarity], strict=True)
            if name in ids
        }

    return find


def of_labels(columns: Mapping[str, Sequence[Any]]) -> FindTexts:
    """Return what finds a text, its label, and the labels that were predicted; ids are the rows' places."""

    def find(items: Items, ids: Collection[str]) -> dict[str, Texts]:
        found: dict[str, Texts] = {}
        for name, predicted in zip(items["id"], items["predictions"], strict=True):
            if name in ids:
                votes = Counter(map(str, predicted)).most_common()
                found[name] = [
                    ("text", columns["text"][int(name)]),
                    ("gold", str(columns["label"][int(name)])),
                    ("predicted", ", ".join(f"{label} ({n} of {len(predicted)})" for label, n in votes)),
                ]
        return found

    return find
