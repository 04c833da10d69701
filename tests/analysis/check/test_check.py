"""Checks of stored results: none is false on results of every type, and each names what was done to a result."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from made_up import card as shipped
from mteb._evaluators.retrieval_metrics import calculate_retrieval_scores
from stored_results import ASK, DEMO, Result, of, stored

from instructor_eval import metrics
from instructor_eval.analysis.check.check import check_results, check_score
from instructor_eval.core.values import Items
from instructor_eval.results.reading import names_of
from instructor_eval.results.score import Counts, Score
from instructor_eval.tasks import types


@pytest.mark.slow
def test_no_check_is_false_on_results_of_every_type(real: Mapping[str, Result], tmp_path: Path) -> None:
    assert {score.type for score, _ in real.values()} == {
        "Retrieval", "Reranking", "Clustering", "PairClassification", "Classification", "STS", "Summarization",
        "TextEvaluation", "PromptRetrieval",
    }  # fmt: skip
    stored(tmp_path, *real.values())
    checked = check_results(tmp_path)
    assert len(checked) == len(real)
    assert [c.errors for c in checked] == [[]] * len(real)
    assert {c.task for c in checked if c.counted} == set(DEMO)
    assert sum(c.counted for c in checked) == 2 * len(DEMO) + 1
    assert {c.verdict for c in checked if c.task == "DemoSTS"} == {
        "ok: 193 items, as in the data",
        "ok: 7 items, as in the data",
    }


def test_identities_of_rankings_hold_on_trec_evals_values(real: Mapping[str, Result]) -> None:
    """Graded and negative judgements, no relevant document or several, ties, short lists, misses."""
    rng = np.random.default_rng(5)
    qrels: dict[str, dict[str, int]] = {}
    results: dict[str, dict[str, float]] = {}
    for i in range(600):
        n = int(rng.choice([3, 12, 150]))
        grades = rng.choice([-1, 0, 0, 1, 1, 2, 3], size=int(rng.integers(1, 6)))
        qrels[f"q{i}"] = {f"d{d}": int(g) for d, g in zip(rng.permutation(2 * n), grades, strict=False)}
        qrels[f"q{i}"] |= {f"d{rng.integers(2 * n)}": 2} if i % 3 == 0 else {}
        results[f"q{i}"] = {f"d{d}": float(np.float32(rng.integers(40)) / 40) for d in rng.permutation(2 * n)[:n]}
    computed = calculate_retrieval_scores(results, qrels, [1, 3, 5, 10, 20, 100, 1000])
    task = SimpleNamespace()
    items, _ = types.get("Retrieval").items(task, shipped("SciFact"), {
        "scores": computed.all_scores, "qrels": qrels, "results": results, "k_values": [1, 10]
    }, None)  # fmt: skip
    assert {0, 1, 2, 3} <= set(items["relevant"])
    assert any(0 < value < 1 for value in items["ndcg_at_1"])
    alone = [i for i, n in enumerate(items["relevant"]) if n == 1]
    assert {items["map_at_1000"][i] for i in alone} >= {0.0, 1.0, 0.5, 0.25}
    assert min(len(top) for top in items["top"]) == 3
    means = {
        f"{name}_at_{key.partition('@')[2]}": value
        for name in ("ndcg", "map", "recall", "precision", "mrr")
        for key, value in getattr(computed, name).items()
    }
    score = dataclasses.replace(
        real["SciFact"][0], score=metrics.compute("ndcg_at_10", items), n_items=600, metrics=means
    )
    assert means["ndcg_at_10"] == score.score
    assert check_score(score, items) == []


# One result. Each row: the result, what is done to it, what has to be said about it.

Change = Callable[[Any, Items], Any]


def put(column: str, value: object, at: int = 0) -> Change:
    def change(_score: Score, items: Items) -> None:
        items[column][at] = value

    return change


def field(name: str, value: object) -> Change:
    return lambda score, _items: setattr(score, name, value)


def beside(**figures: float) -> Change:
    return lambda score, _items: score.metrics.update(figures)


def one(items: Items, **column: float) -> int:
    """The place of the first item with one relevant document and these values."""
    return next(
        i for i, n in enumerate(items["relevant"]) if n == 1 and all(items[k][i] == v for k, v in column.items())
    )


def second(name: str, value: float) -> Change:
    """Change an item whose one relevant document is on rank 2."""

    def change(_score: Score, items: Items) -> None:
        items[name][one(items, map_at_10=0.5)] = value

    return change


def missed_but(name: str, value: float) -> Change:
    """Change an item as if its one relevant document had not been found, but for one column."""

    def change(_score: Score, items: Items) -> None:
        at = one(items, map_at_10=0.5)
        for column in items:
            if "_at_" in column:
                items[column][at] = value if column == name else 0.0

    return change


def several(name: str, change: Callable[[float], float], **where: float) -> Change:
    """Change an item with two relevant documents, both among the first ten."""

    def apply(_score: Score, items: Items) -> None:
        ok = [i for i, n in enumerate(items["relevant"]) if n == 2 and items["recall_at_10"][i] == 1]
        at = next(i for i in ok if all(items[k][i] == v for k, v in where.items()))
        items[name][at] = change(items[name][at])

    return apply


def all_of(*changes: Change) -> Change:
    def apply(score: Score, items: Items) -> None:
        for change in changes:
            change(score, items)

    return apply


def top_of(name: str, change: Callable[[list[Any]], object]) -> Change:
    return lambda _score, items: change(items[name][0])


def swap_ends(row: list[Any]) -> None:
    row[0], row[-1] = row[-1], row[0]


def tie(items: Items, wanted: Callable[[str, str], bool]) -> None:
    """Give the first two documents of a query one score, where their ids are as wanted."""
    at = next(i for i, top in enumerate(items["top"]) if wanted(top[0], top[1]))
    items["top_scores"][at][1] = items["top_scores"][at][0]


def regrade(_score: Score, items: Items) -> None:
    at = one(items, map_at_10=0.5)
    items["top_grades"][at][1] = 0


def first_two(_score: Score, items: Items) -> None:
    """As if an unjudged document stood above the relevant one."""
    at = one(items, map_at_10=1.0)
    for name in ("top", "top_grades"):
        items[name][at][:2] = items[name][at][1::-1]


ERRORS: dict[str, tuple[str, Change, str]] = {
    "score": ("DemoSTS", field("score", 0.5), "score 0.5 is not cosine_spearman(items) = 0."),
    "score, barely": (
        "DemoSTS", lambda s, _: setattr(s, "score", s.score + 1e-9), "is not cosine_spearman(items) = 0."),
    "score above 1": ("DemoRetrieval", field("score", 1.5), "score 1.5 is not between 0 and 1, as ndcg_at_10 must be"),
    "score below -1": ("DemoBillboard", field("score", -1.5), "score -1.5 is not between -1 and 1, as pearson must"),
    "negative accuracy": ("MTOPDomainClassification", field("score", -0.1), "score -0.1 is not between 0 and 1"),
    "no score": ("DemoSTS", field("score", None), "status is ok, and the score is None"),
    "NaN score": ("DemoSTS", field("score", math.nan), "status is ok, and the score is nan"),
    "unknown metric": ("DemoSTS", field("metric", "dice"), "unknown metric 'dice'"),
    "main metric": ("DemoSTS", beside(cosine_spearman=0.25), "cosine_spearman among the metrics 0.25"),
    "n_items": ("DemoSTS", field("n_items", 192), "n_items is 192, there are 193 items"),
    "length": ("DemoSTS", lambda _, i: i["gold"].pop(), "column gold has 192 values, id 193"),
    "twice": ("DemoSTS", put("id", "1"), "193 items, 192 different ids: 1 is there twice"),
    "NaN": ("DemoSTS", put("cosine", math.nan, 3), "column cosine: nan at item 3, 1 of 193 values are missing or not"),
    "infinite": ("DemoSTS", put("gold", math.inf), "column gold: inf at item 0"),
    "null": ("DemoBillboard", put("system", None), "column system: None at item s01/careful"),
    "NaN within": (
        "SciFact", lambda _, i: i["top_scores"][0].__setitem__(2, math.nan), "column top_scores: [0."),
    "no items": ("DemoSTS", lambda _, i: [v.clear() for v in i.values()], "no items: the file is empty"),
    "no ids": ("DemoSTS", lambda _, i: i.pop("id"), "counts of items: there is no 'id'"),
    "no items file": ("DemoSTS", field("items_file", None), "items_file is missing"),
    "error and ok": ("DemoSTS", field("error", "disk full"), "status is ok, and there is an error: disk full"),
    "type": ("DemoSTS", field("type", "Retrieval"), "type Retrieval, the task's is STS"),
    "unknown type": ("DemoSTS", field("type", "Dance"), "type Dance is none of Retrieval, Reranking"),
    "hits": ("DemoSTS", field("counts", Counts(9, 5, 6)), "counts: hits 6 exceeds unique 5"),
    "unique": ("DemoSTS", field("counts", Counts(4, 5, 1)), "counts: unique 5 exceeds texts 4"),
    "limit": ("DemoSTS cut", field("limit", 6), "7 items, the limit is 6"),
    "limit of segments": ("DemoBillboard cut", field("limit", 6), "7 segments, the limit is 6"),
    # rankings
    "bounds": ("SciFact", put("ndcg_at_10", 1.25), "ndcg_at_10 is 1.25, it must be between 0 and 1"),
    "negative relevant": ("SciFact", put("relevant", -1), "relevant is -1, it must be at least 0"),
    "whole hits": ("SciFact", put("precision_at_10", 0.25), "precision_at_10 x 10 is 2.5, it must be a whole number"),
    "P@10 and R@10": (
        ASK, several("precision_at_10", lambda _: 0.3), "precision_at_10 x 10 is 3, the other count of hits in "
        "the first 10 2"),
    "recall grows": (
        ASK, several("recall_at_100", lambda _: 0.5), "hits in the first 100 1 is less than hits in the "
        "first 10 2"),
    "P@1 and P@10": (
        "DemoRetrieval", all_of(*(put(name, 0.0) for name in ("precision_at_10", "recall_at_10"))),
        "hits in the first 10 0 is less than hits in the first 1 1"),
    "MAP grows": (
        ASK, several("map_at_1000", lambda v: v / 2), "is less than map_at_10"),
    "MAP and recall": (
        ASK, several("recall_at_10", lambda _: 0.5, map_at_10=1.0), "map_at_10 1 exceeds recall_at_10 0.5"),
    "nDCG without hits": (
        ASK, several("ndcg_at_1", lambda _: 0.0, precision_at_1=1.0), "ndcg_at_1 0 goes not with hits 1"),
    "MRR": ("DemoRetrieval", second("map_at_1000", 0.7), "map_at_1000 is 0.7, with one relevant document it must"),
    "nDCG@10 of a rank": (
        "DemoRetrieval", second("ndcg_at_10", 0.7), "ndcg_at_10 is 0.7, its one relevant document at rank 2 "
        "(map_at_1000 0.5) makes it 0.6309298"),
    "P@1 = MRR@1": (
        "DemoRetrieval", second("precision_at_1", 1.0), "precision_at_1 is 1, its one relevant document at rank 2"),
    "P@1 = nDCG@1": (
        "DemoRetrieval", second("ndcg_at_1", 1.0), "ndcg_at_1 is 1, its one relevant document at rank 2 (map_at_1000 "
        "0.5) makes it 0"),
    "recall of a miss": (
        "DemoRetrieval", missed_but("recall_at_100", 1.0), "recall_at_100 is 1, its one relevant document not among "
        "the first 1000 (map_at_1000 0) makes it 0"),
    "P@10 of one": ("DemoRetrieval", second("precision_at_10", 0.2), "precision_at_10 is 0.2, its one relevant doc"),
    "unsorted": ("SciFact", top_of("top_scores", swap_ends), "top_scores rise from"),
    "top twice": (
        "SciFact", lambda _, i: i["top"][0].__setitem__(1, i["top"][0][0]), "10 documents in top, 9 different"),
    "top and its scores": ("SciFact", top_of("top_scores", list.pop), "10 in top, 9 in top_scores"),
    "equal scores in another order": (
        "DemoRetrieval", lambda _, i: tie(i, lambda one, two: one < two), "in top, their scores are equal: trec_eval "
        "ranks the greater id first"),
    "a grade": ("DemoRetrieval", regrade, "by its top ten and their grades it is 0"),
    "a better grade": (
        "SciFact", lambda _, i: i["best_grades"][0].append(1), "1 in best_grades, 0 relevant documents"),
    "a grade too few": ("SciFact", top_of("top_grades", list.pop), "9 in top_grades, 10 in top"),
    "the first two change places": ("DemoRetrieval", first_two, "ndcg_at_1 is 1, by its top ten and their grades"),
    "top too short": (
        "DemoRetrieval", lambda _, i: (i["top"][0].clear(), i["top_scores"][0].clear()), "1 hits by precision_at_10, "
        "0 documents in top"),
    "no column": ("SciFact", lambda _, i: i.pop("relevant"), "Retrieval items: there is no 'relevant'"),
    "means": ("DemoRetrieval", beside(recall_at_10=0.5), "metrics: recall_at_10 is 0.5, the mean recall_at_10 of the"),
    "MRR@1 beside": ("DemoRetrieval", beside(mrr_at_1=0.7), "metrics: mrr_at_1 is 0.7, the mean precision_at_1 0."),
    "R@1 with one": (
        "one", beside(recall_at_1=0.6), "metrics: recall_at_1 is 0.6, the mean precision_at_1 0."),
    # the other types
    "share": ("MTOPDomainClassification", put("value", 0.55), "value is 0.55, the share of correct predictions "),
    "share above 1": ("MTOPDomainClassification", put("value", 1.5), "value is 1.5, it must be between 0 and 1"),
    "draws": ("MTOPDomainClassification", top_of("predictions", list.pop), "10 predictions, the first item 9"),
    "label": ("TwitterSemEval2015", put("gold", 2), "gold is 2, not 0 or 1"),
    "cosine of pairs": ("TwitterSemEval2015", put("cosine", 1.01), "cosine is 1.01, it must be between -1 and 1"),
    "distance": ("TwitterSemEval2015", put("euclidean", -0.5), "euclidean is -0.5, it must be at least 0"),
    "grade": ("BIOSSES", put("gold", 1.25), "gold is 1.25, it must be between 0 and 1"),
    "cosine": ("BIOSSES", put("cosine", -1.01), "cosine is -1.01, it must be between -1 and 1"),
    "V-measure": ("TwentyNewsgroupsClustering", put("v_measure", 1.1), "v_measure is 1.1, it must be between 0 and 1"),
    "size": ("TwentyNewsgroupsClustering", put("size", 0), "size is 0, a split has at least one text"),
    "rho": ("SummEval", put("rho", 0.125), "rho is 0.125, its grades and cosines give"),
    "p": ("SummEval", put("p", 0.125), "p is 0.125, its grades and cosines give"),
    "rho above 1": ("SummEval", put("rho", 1.5), "rho is 1.5, it must be between -1 and 1"),
    "summaries": ("SummEval", top_of("cosine", list.pop), "6 grades, 5 cosines"),
    "cosine of summaries": (
        "SummEval", lambda _, i: i["cosine"][0].__setitem__(0, 1.5), "cosine is 1.5, it must be between -1 and 1"),
    "segment": ("DemoBillboard", put("segment", "s99"), "item s01/careful: its segment and system are s99/careful"),
    "hypotheses": (
        "DemoBillboard", lambda _, i: [v.pop() for v in i.values()], "3 hypotheses, most segments have 4"),
    "human cosine": ("DemoBillboard", put("value", 1.5), "value is 1.5, it must be between -1 and 1"),
    "correct": ("DemoPrompts", put("prediction", "nothing"), "correct is 1, prediction = gold 0"),
    "half correct": ("DemoPrompts", put("correct", 0.5), "correct is 0.5, not 0 or 1"),
    "label task": ("DemoPrompts", put("value", 0.5), "value is 0.5, on a label task prediction = gold 1"),
    "Rouge": ("DemoPrompts", put("value", 1.5), "value is 1.5, it must be between 0 and 1"),
    "similarities": ("DemoPrompts", top_of("similarities", list.pop), "8 demonstrations, 7 similarities"),
    "demonstrations": (
        "DemoPrompts", lambda _, i: i["demonstrations"][0].__setitem__(1, i["demonstrations"][0][0]),
        "8 demonstrations, 7 different"),
    "accuracy beside": ("DemoPrompts", beside(accuracy=0.125), "metrics: accuracy is 0.125, the mean correct 0."),
    "part": ("whole", put("value", 1.5), "value is 1.5, it must be between -1 and 1"),
    "parts": ("whole", put("id", "Elsewhere"), "12 parts, the task has 12; only one side has"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_named(real: Mapping[str, Result], name: str) -> None:
    label, change, message = ERRORS[name]
    score, items = of(real, label)
    draft = SimpleNamespace(**{name: getattr(score, name) for name in names_of(Score)})
    change(draft, items)
    found = check_score(dataclasses.replace(score, **vars(draft)), items)
    assert any(message in text for text in found), found
    assert all("\n" not in text and len(text) <= 300 for text in found)


def test_equal_scores_at_the_top_leave_mrr_room(real: Mapping[str, Result]) -> None:
    """trec_eval and mteb may order two equal documents differently; only so far as there are such queries."""
    score, items = of(real, "DemoRetrieval")
    mean = sum(items["precision_at_1"]) / len(items["id"])
    score.metrics["mrr_at_1"] = mean - 2 / len(items["id"])
    in_order = [row for row, top in zip(items["top_scores"], items["top"], strict=True) if top[0] > top[1]]
    for row in in_order[:2]:
        row[1] = row[0]
    assert check_score(score, items) == []
    score.metrics["mrr_at_1"] = mean - 3 / len(items["id"])
    assert len(check_score(score, items)) == 1


def test_own_grades_may_have_any_scale(real: Mapping[str, Result]) -> None:
    score, items = of(real, "BIOSSES")
    items["gold"] = [20 * g for g in items["gold"]]
    assert check_score(dataclasses.replace(score, task="Mine"), items) == []
