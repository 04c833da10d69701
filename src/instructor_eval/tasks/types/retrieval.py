"""Retrieval: a corpus searched for the documents that answer a query, exactly or in a vector store."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from instructor_eval.tasks.mteb.light import AllSeen, LightTask
from instructor_eval.tasks.own.ranking_data import read_retrieval
from instructor_eval.tasks.task import Card, Outcome, RunSettings, TaskEncoder
from instructor_eval.tasks.types.ranking import AT_K, TOP, RankingType


class Retrieval(RankingType):
    """Queries that search a corpus."""

    name = category = "Retrieval"
    metrics = ("ndcg_at_10", *(m for m in AT_K if m != "ndcg_at_10"))
    is_searched = True

    def read(self, card: Card, folder: Path) -> tuple[Any, list[str]]:
        return read_retrieval(card, folder)

    def bridge(self, task: Any, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Any:
        """Return a search in mteb's form; a dry run ends after queries and documents."""
        from instructor_eval.tasks.mteb.search import CorpusSearch, MtebSearch
        from instructor_eval.tasks.mteb.texts import TextsOfSearch

        light = isinstance(task, LightTask)
        search = CorpusSearch if light else TextsOfSearch if settings.texts_only else MtebSearch
        searched = depth_of(self.metric_of(card, settings.protocol)) + _drops_own(task)
        return self.chunked(card, encoder, settings, searched) or search(
            encoder, card.name, settings.search, depth=searched
        )

    def rank(self, split: Mapping[str, Any], bridge: Any, k: int, settings: RunSettings) -> dict[str, dict[str, float]]:
        """Search the corpus."""
        ids, texts = list(map(str, split["queries"]["id"])), split["queries"]["text"]
        if settings.texts_only:
            bridge.pass_texts(texts, split["corpus"])
            raise AllSeen
        found: dict[str, dict[str, float]] = bridge.find(ids, texts, split["corpus"], k)
        return found

    def finished(self, outcome: Outcome, task: Any, card: Card, bridge: Any, caught: Mapping[str, Any]) -> Outcome:
        """Return the outcome with a store's figures beside exact search, and without figures beyond its depth."""
        if bridge.found is None:
            return super().finished(outcome, task, card, bridge, caught)
        from instructor_eval import metrics as scorers
        from instructor_eval.metrics.trec import figures_of_queries

        dropped = _drops_own(task)
        results = bridge.exact_results()
        if dropped:
            results = {query: {d: s for d, s in found.items() if d != query} for query, found in results.items()}
        per_query = figures_of_queries(results, caught["qrels"], caught["k_values"])
        exact, _ = self.items(task, card, {**caught, "scores": per_query, "results": results, "rankings": False}, {})
        exact_score = scorers.compute(outcome.metric, exact)
        figures = {**bridge.figures(dropped=dropped), "exact_score": exact_score, "loss": exact_score - outcome.score}
        searched = depth_of(outcome.metric)

        def is_searched_deep_enough(figure: str) -> bool:
            return figure in self.further or depth_of(figure) <= searched

        return dataclasses.replace(
            outcome,
            items={name: column for name, column in outcome.items.items() if depth_of(name) <= searched},
            metrics={name: value for name, value in outcome.metrics.items() if is_searched_deep_enough(name)},
            search=figures,
        )


def depth_of(figure: str) -> int:
    """Return how many documents a figure of retrieval reads, at least 10."""
    from instructor_eval.metrics.ranking import depth  # numpy

    return max(TOP, depth(figure) or 0)


def _drops_own(task: Any) -> bool:
    """Return whether a document with its query's id is left out of the query's results."""
    return bool(getattr(task, "ignore_identical_ids", False))
