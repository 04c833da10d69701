"""Figures of rankings: bit for bit those that mteb computes, by its names and in its order."""

import random

import pytest
from mteb._evaluators.retrieval_metrics import calculate_retrieval_scores, make_score_dict

from instructor_eval.metrics import trec

DEPTHS = (1, 3, 5, 10, 20, 100, 1000)


def made(seed, queries, documents, found):
    """Rankings with equal scores, grades of 0 and below, and queries that find nothing relevant."""
    draw = random.Random(seed)
    names = [f"d{i}" for i in range(documents)]
    results, qrels = {}, {}
    for query in (f"q{i}" for i in range(queries)):
        results[query] = {doc: draw.choice([0.5, draw.random()]) for doc in draw.sample(names, found)}
        qrels[query] = {doc: draw.choice([0, 0, 1, 2, -1]) for doc in draw.sample(names, draw.randint(1, 9))}
    return results, qrels


@pytest.mark.parametrize(("queries", "documents", "found"), [(1, 12, 5), (40, 60, 30), (15, 1500, 1200), (30, 9, 9)])
def test_figures_are_mtebs(queries, documents, found):
    results, qrels = made(queries, queries, documents, found)
    theirs = calculate_retrieval_scores(results, qrels, list(DEPTHS))
    parts = theirs._asdict() if hasattr(theirs, "_asdict") else dict(vars(theirs))
    parts["_map"], per_query = parts.pop("map"), parts.pop("all_scores")
    expected = {k: v for k, v in make_score_dict(**parts, task_scores={}).items() if not k.startswith("nauc")}
    ours = trec.figures_of_queries(results, qrels, DEPTHS)
    assert ours == per_query
    given = trec.means(ours, results, qrels, DEPTHS)
    assert given == expected
    assert list(given) == list(expected)
    assert 0 < given["mrr_at_1000"] <= 1
