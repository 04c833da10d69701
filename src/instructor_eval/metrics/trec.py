"""Figures of a ranking by trec_eval, and their means over queries as mteb reports them, without importing mteb.

The order of operations is mteb's (`calculate_retrieval_scores`, `make_score_dict` in 2.26), whose bits they give. Its
figures of abstention (`nauc`) are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MEASURES = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P", "hit_rate": "success"}
Results = Mapping[str, Mapping[str, float]]
Judgements = Mapping[str, Mapping[str, int]]


def figures_of_queries(results: Results, qrels: Judgements, k_values: Sequence[int]) -> dict[str, dict[str, float]]:
    """Return trec_eval's figures of every query with judgements, by its names (`ndcg_cut_10`).

    Args:
        results: Query id -> document id -> score.
        qrels: Query id -> document id -> grade.
        k_values: The depths.
    """
    import pytrec_eval

    depths = ",".join(map(str, k_values))
    evaluator = pytrec_eval.RelevanceEvaluator(dict(qrels), {f"{name}.{depths}" for name in _MEASURES.values()})
    found: dict[str, dict[str, float]] = evaluator.evaluate(dict(results))
    return found


def means(
    per_query: Mapping[str, Mapping[str, float]], results: Results, qrels: Judgements, k_values: Sequence[int]
) -> dict[str, Any]:
    """Return the means over queries by mteb's names (`ndcg_at_10`), rounded as mteb rounds them."""
    found: dict[str, Any] = {}
    for name, measure in _MEASURES.items():
        if name == "hit_rate":
            found |= _reciprocal_ranks(results, qrels, k_values)
        for k in k_values:
            values = [figures[f"{measure}_{k}"] for figures in per_query.values()]
            found[f"{name}_at_{k}"] = round(sum(values) / len(per_query), 5)
        if name == "recall":
            found["accuracy"] = found["recall_at_1"]
    return found


def _reciprocal_ranks(results: Results, qrels: Judgements, k_values: Sequence[int]) -> dict[str, float]:
    deepest, first = max(k_values), []
    for query, found in results.items():
        best = sorted(found.items(), key=lambda item: (item[1], item[0]), reverse=True)[:deepest]
        grades = qrels[query]
        first.append(next((place for place, (doc, _) in enumerate(best, 1) if grades.get(doc, 0) > 0), None))
    return {
        f"mrr_at_{k}": sum(1.0 / place if place and place <= k else 0.0 for place in first) / len(first)
        for k in k_values
    }
