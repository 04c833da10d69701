"""Reranking: a query's candidates, ranked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from instructor_eval.core.values import Items
from instructor_eval.tasks.mteb.light import AllSeen, LightTask
from instructor_eval.tasks.mteb.rows import documents_of, split_of
from instructor_eval.tasks.mteb.table import Data
from instructor_eval.tasks.own.ranking_data import read_reranking
from instructor_eval.tasks.task import Card, RunSettings, TaskEncoder
from instructor_eval.tasks.types.ranking import AT_K, RankingType

_BY_USER = "max_over_subqueries_"


class Reranking(RankingType):
    """Queries, each with candidates."""

    name = category = "Reranking"
    metrics = ("map_at_1000", *AT_K, f"{_BY_USER}map_at_1000")
    columns = ("query", "positive", "negative")

    def read(self, card: Card, folder: Path) -> tuple[Any, list[str]]:
        return read_reranking(card, folder)

    def check(self, task: Any, card: Card, data: Data) -> list[str]:
        found, split = super().check(task, card, data), data.split(card.split)
        if not split["top_ranked"]:
            raise ValueError("no configuration 'top_ranked' with the candidates to rerank")
        unknown = {d for docs in split["top_ranked"].values() for d in docs} - set(split["corpus"]["id"])
        if unknown:
            raise ValueError(f"candidate '{min(unknown)}' is not in the corpus")
        if lost := set(split["queries"]["id"]) - set(split["top_ranked"]):
            raise ValueError(f"query '{min(lost)}' has no candidates in 'top_ranked'")
        return found

    def bridge(self, task: Any, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Any:
        """Return the model in mteb's form; a dry run ends after all documents."""
        chunked = self.chunked(card, encoder, settings)
        if chunked is not None:
            return chunked
        if isinstance(task, LightTask) or not settings.texts_only:
            return super().bridge(task, card, encoder, settings)
        from instructor_eval.tasks.mteb.texts import TextsOnly

        return TextsOnly(encoder, documents=len(split_of(task, card)["corpus"]))

    def rank(self, split: Mapping[str, Any], bridge: Any, k: int, settings: RunSettings) -> dict[str, dict[str, float]]:
        """Rank each query's candidates by their cosines, as mteb does on a CPU."""
        queries = bridge.encode(split["queries"]["text"], "query")
        documents = bridge.encode(list(documents_of(split["corpus"])), "document")
        if settings.texts_only:
            raise AllSeen
        from instructor_eval.tasks.mteb.encoder import similarities

        place = {doc: i for i, doc in enumerate(split["corpus"]["id"])}
        results: dict[str, dict[str, float]] = {}
        for query, vector in zip(split["queries"]["id"], queries, strict=True):
            candidates = split["top_ranked"].get(query, ())
            found = similarities(bridge.variant, vector[None], documents[[place[doc] for doc in candidates]])[0]
            best = found.topk(min(k, len(candidates)))
            results[query] = {
                candidates[i]: s for i, s in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            }
        return results

    def items(self, task: Any, card: Card, caught: Mapping[str, Any], scores: Any) -> tuple[Items, Iterable[Any]]:
        from instructor_eval import metrics

        if metrics.get(card.metric).over_subqueries:
            caught = _by_user(caught)
        return super().items(task, card, caught, scores)


def _by_user(caught: Mapping[str, Any]) -> dict[str, Any]:
    """Merge MindSmallReranking's queries by user: a candidate gets its best score among the user's clicked articles.

    In the data every clicked article is a query, `<user>_<n>`, with the user's judgements.
    """
    from instructor_eval.metrics.trec import figures_of_queries

    merged: dict[str, dict[str, float]] = defaultdict(dict)
    qrels: dict[str, dict[str, int]] = {}
    for query, found in caught["results"].items():  # in the data's order; the judgements' order changes between runs
        base = query.rpartition("_")[0]
        qrels[base] = caught["qrels"][query]
        for doc, value in found.items():
            merged[base][doc] = max(value, merged[base].get(doc, value))
    scores = figures_of_queries(merged, qrels, caught["k_values"])
    return {**caught, "scores": scores, "qrels": qrels, "results": merged}
