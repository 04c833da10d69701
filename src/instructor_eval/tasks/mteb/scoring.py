"""Scoring through mteb's task classes, with the values per item that mteb throws away.

mteb is the reference: it computes every number. Per-query values, similarities and predictions are caught in addition,
so that the number can be computed again from stored items; `score_task` checks that it can.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from instructor_eval import metrics as scorers
from instructor_eval.core.errors import UserError
from instructor_eval.core.mteb import (
    catch_predictions,
    choose_summarization_evaluator,
    retrieval_scores,
    score_any_two_labels,
)
from instructor_eval.core.values import Items
from instructor_eval.metrics.correlation import article_correlation
from instructor_eval.metrics.ranking import depth, ranked
from instructor_eval.tasks.mteb.corpus import calibrate, split_of
from instructor_eval.tasks.mteb.encoder import MtebEncoder, exact_cosines
from instructor_eval.tasks.mteb.search import MtebSearch
from instructor_eval.tasks.protocol import effective_metric
from instructor_eval.tasks.task import Card, Outcome, RunSettings, TaskEncoder
from instructor_eval.tasks.types import TYPES
from instructor_eval.tasks.values import gold_hash

_TOP = 10
_STORED_AT_K = ("ndcg_at_1", "ndcg_at_10", "ndcg_at_100", "map_at_10", "map_at_1000", "recall_at_10", "recall_at_100",
                "precision_at_1", "precision_at_10")  # fmt: skip
_TREC_NAMES = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P"}


def score_task(task: Any, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Outcome:
    """Score a loaded mteb task.

    Raises:
        UserError: there is no score, since all similarities are equal.
        RuntimeError: the items do not give mteb's own number: an error in this package, which is never filed.
    """
    metric = effective_metric(card, settings.protocol)
    if card.type == "Summarization":
        choose_summarization_evaluator(task, settings.protocol["summeval"])
    machine_bare = card.type == "Summarization" and settings.protocol["summeval_machine_instruction"] == "off"
    bridge: Any = MtebEncoder(encoder, bare_from_call=1 if machine_bare else None)
    dropped = bool(getattr(task, "ignore_identical_ids", False))
    if card.type == "Retrieval":
        bridge = MtebSearch(encoder, card.name, settings.search, depth=depth_of(metric) + dropped)
    caught: dict[str, Any] = {}

    _catch(task, card, caught)
    calibrate(task, card, encoder)
    if settings.texts_only:
        from instructor_eval.tasks.mteb.texts import see_texts

        see_texts(task, card, encoder, bare_from_call=1 if machine_bare else None)
        return Outcome(metric=metric, score=0.0, items={"id": []})
    with exact_cosines(encoder.variant):
        results = task.evaluate(
            bridge,
            split=card.split,
            subsets_to_run=[card.subset],
            encode_kwargs={"show_progress_bar": False},
            prediction_folder=Path("unused"),
        )
    scores = results[card.subset]
    items, gold = _ITEMS[card.type](task, card, caught, scores)
    metrics = {k: float(v) for k, v in scores.items() if isinstance(v, int | float) and np.isfinite(v)}
    metrics = {k: v for k, v in metrics.items() if not k.startswith("nauc") and k != "main_score"}
    if card.type == "Summarization":
        metrics |= {name: scorers.compute(name, items) for name in ("summeval_v1", "summeval_v2")}
    # mteb has no number for a package's metric: the items must give the number of the type's own metric instead.
    known = metric if card.metric in TYPES[card.type].metrics else TYPES[card.type].metrics[0]
    reference = float(scores[scorers.get(known).mteb or known])
    value = scorers.compute(known, items)
    if not np.isfinite(value):
        raise UserError(f"task {card.name}: there is no {known}: all similarities, or all gold values, are equal")
    if value != reference:
        raise RuntimeError(f"{card.name}: {known} over the items is {value!r}, mteb computes {reference!r}")
    score = value if known == metric else scorers.compute(metric, items)
    outcome = Outcome(metric=metric, score=score, items=items, metrics=metrics, gold_hash=gold_hash(gold))
    if card.type == "Retrieval" and bridge.found is not None:
        return _through_store(outcome, task, card, bridge, caught)
    return outcome


def depth_of(metric: str) -> int:
    """Return how many documents a retrieval metric reads, at least 10."""
    return max(_TOP, depth(metric) or 0)


def _through_store(outcome: Outcome, task: Any, card: Card, bridge: MtebSearch, caught: Mapping[str, Any]) -> Outcome:
    """Return the outcome with the store's figures beside exact search, and without figures beyond its depth."""
    dropped = bool(getattr(task, "ignore_identical_ids", False))
    results = bridge.exact_results()
    if dropped:
        results = {query: {d: s for d, s in found.items() if d != query} for query, found in results.items()}
    per_query = retrieval_scores(results, caught["qrels"], caught["k_values"])
    exact, _ = _query_items(task, card, {**caught, "scores": per_query, "results": results}, {})
    exact_score = scorers.compute(outcome.metric, exact)
    figures = {**bridge.figures(dropped=dropped), "exact_score": exact_score, "loss": exact_score - outcome.score}
    searched = depth_of(outcome.metric)
    return dataclasses.replace(
        outcome,
        items={name: column for name, column in outcome.items.items() if (depth(name) or 0) <= searched},
        metrics={name: value for name, value in outcome.metrics.items() if (depth(name) or 0) <= searched},
        search=figures,
    )


def _catch(task: Any, card: Card, caught: dict[str, Any]) -> None:
    """Let mteb leave in `caught` what it scores."""
    catch_predictions(task, caught)
    if card.type == "Classification":
        score_any_two_labels(task)
    if card.type in ("Retrieval", "Reranking"):
        _catch_queries(task, caught)


def _catch_queries(task: Any, caught: dict[str, Any]) -> None:
    original: Callable[..., dict[str, float]] = task.task_specific_scores

    def hook(scores: Any, qrels: Any, results: Any, hf_split: str, hf_subset: str) -> dict[str, float]:
        caught.update(scores=scores, qrels=qrels, results=results, k_values=task.k_values)
        return original(scores, qrels, results, hf_split=hf_split, hf_subset=hf_subset)

    task.task_specific_scores = hook


def _query_items(task: Any, card: Card, caught: dict[str, Any], scores: Any) -> tuple[Items, Any]:
    per_query, qrels, results = caught["scores"], caught["qrels"], caught["results"]
    metric = scorers.get(card.metric if card.metric in TYPES[card.type].metrics else TYPES[card.type].metrics[0])
    if metric.over_subqueries:
        per_query, qrels, results = _merge_subqueries(qrels, results, caught["k_values"])
    ids = list(per_query)
    items: Items = {"id": [str(i) for i in ids]}
    for name in dict.fromkeys((metric.column, *_STORED_AT_K)):
        kind, _, k = name.partition("_at_")
        items[name] = [float(per_query[i][f"{_TREC_NAMES[kind]}_{k}"]) for i in ids]
    items["relevant"] = [sum(1 for grade in qrels[i].values() if grade > 0) for i in ids]
    first = [ranked(results.get(i, {}), _TOP) for i in ids]
    items["top"] = [[str(doc) for doc, _ in found] for found in first]
    items["top_scores"] = [[float(value) for _, value in found] for found in first]
    # From these and the list `evaluate validate --results` computes the figures at 10 again.
    items["top_grades"] = [[int(qrels[i].get(doc, 0)) for doc, _ in found] for i, found in zip(ids, first, strict=True)]
    items["best_grades"] = [sorted((int(g) for g in qrels[i].values() if g > 0), reverse=True)[:_TOP] for i in ids]
    return items, ((q, d, g) for q, docs in qrels.items() for d, g in docs.items())


def _merge_subqueries(qrels: Any, results: Any, k_values: Any) -> tuple[Any, Any, Any]:
    """Merge MindSmallReranking's queries by user: a candidate gets its best score among the user's clicked articles.

    In the data every clicked article is a query, `<user>_<n>`, with the user's judgements.
    """
    merged: dict[str, dict[str, float]] = defaultdict(dict)
    merged_qrels: dict[str, dict[str, int]] = {}
    for query, found in results.items():  # in the data's order; the judgements' order changes between runs
        base = query.rpartition("_")[0]
        merged_qrels[base] = qrels[query]
        for doc, value in found.items():
            merged[base][doc] = max(value, merged[base].get(doc, value))
    return retrieval_scores(merged, merged_qrels, k_values), merged_qrels, merged


def _sts_items(task: Any, card: Card, caught: dict[str, Any], scores: Any) -> tuple[Items, Any]:
    gold = [(float(x) - task.min_score) / (task.max_score - task.min_score) for x in split_of(task, card)["score"]]
    ids = [str(i) for i in range(len(gold))]
    cosine = [float(x) for x in caught["predictions"]["cosine_scores"]]
    return {"id": ids, "gold": gold, "cosine": cosine}, zip(ids, gold, strict=True)


def _pair_items(task: Any, card: Card, caught: dict[str, Any], scores: Any) -> tuple[Items, Any]:
    data = split_of(task, card)
    labels = data[0][task.label_column_name] if len(data) == 1 else data[task.label_column_name]
    gold = [int(x) for x in labels]
    ids = [str(i) for i in range(len(gold))]
    predictions = caught["predictions"]
    columns = {
        "similarity": "similarity_scores",
        "cosine": "cosine_scores",
        "manhattan": "manhattan_distances",
        "euclidean": "euclidean_distances",
        "dot": "dot_scores",
    }
    values = {name: [float(x) for x in predictions[key]] for name, key in columns.items()}
    return {"id": ids, "gold": gold, **values}, zip(ids, gold, strict=True)


def _classification_items(task: Any, card: Card, caught: dict[str, Any], scores: Any) -> tuple[Items, Any]:
    names: list[str] | None = getattr(task, "label_names", None)

    def label(value: Any) -> str:
        return names[int(value)] if names else str(value)

    gold = [label(x) for x in split_of(task, card)[task.label_column_name]]
    draws = caught["predictions"]
    ids = [str(i) for i in range(len(gold))]
    predictions = [[label(draw[i]) for draw in draws] for i in range(len(gold))]
    correct = [float(np.mean([p == g for p in row])) for row, g in zip(predictions, gold, strict=True)]
    items: Items = {"id": ids, "gold": gold, "value": correct, "predictions": predictions}
    return items, zip(ids, gold, strict=True)


def _clustering_items(task: Any, card: Card, caught: dict[str, Any], scores: Any) -> tuple[Items, Any]:
    values = [float(v) for v in scores["v_measures"]]
    ids = [str(i) for i in range(len(values))]
    labels = [row[task.label_column_name] for row in split_of(task, card)]
    items: Items = {"id": ids, "v_measure": values, "size": [len(x) for x in labels]}
    return items, ((i, list(map(str, x))) for i, x in zip(ids, labels, strict=True))


def _summarization_items(task: Any, card: Card, caught: dict[str, Any], scores: Any) -> tuple[Items, Any]:
    predictions = caught["predictions"]
    cosines = [[float(x) for x in row] for row in predictions["cosine_scores"]]
    gold = [[float(x) for x in row] for row in predictions["human_scores"]]
    ids = _scored_articles(task, split_of(task, card), gold)
    pairs = [article_correlation(c, g) for c, g in zip(cosines, gold, strict=True)]
    items: Items = {
        "id": ids,
        "gold": gold,
        "cosine": cosines,
        "rho": [rho for rho, _ in pairs],
        "p": [p for _, p in pairs],
    }
    return items, zip(ids, gold, strict=True)


def _scored_articles(task: Any, rows: Any, gold: list[list[float]]) -> list[str]:
    """Return the places of the articles that mteb scored: those whose grades, and similarities, are not all equal."""
    ids: list[str] = []
    for i, grades in enumerate(rows[task.relevancy_column_name]):
        scaled = ((np.array(grades) - task.min_score) / (task.max_score - task.min_score)).tolist()
        if len(ids) < len(gold) and scaled == gold[len(ids)]:
            ids.append(str(i))
    return ids


_ITEMS: dict[str, Callable[..., tuple[Items, Any]]] = {
    "Retrieval": _query_items,
    "Reranking": _query_items,
    "STS": _sts_items,
    "PairClassification": _pair_items,
    "Classification": _classification_items,
    "Clustering": _clustering_items,
    "Summarization": _summarization_items,
}
