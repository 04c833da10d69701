"""Ranking metrics: the mean over queries of a per-query value (nDCG, MAP, recall, precision at k).

The per-query values are trec_eval's, as mteb computes them with pytrec_eval; the mean is rounded to five places, as
mteb's published numbers are (mteb 2.26, `parse_metrics_from_scores`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from instructor_eval.metrics.metric import Metric

_TREC_NAMES = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P"}
_OVER_SUBQUERIES = "max_over_subqueries_"
"""The prefix of metrics of which a user's query is a set of mteb's (MindSmallReranking)."""


def ranked(found: Mapping[str, float], k: int) -> list[tuple[str, float]]:
    """Return the first `k` documents with their scores, in the order in which trec_eval ranks them.

    trec_eval stores a score as float32, and of equal ones the document with the greater id comes first
    (`form_res_rels.c`: `comp_sim_docno`). It compares UTF-8 bytes, which sort like Python's strings.
    """
    with np.errstate(over="ignore"):
        scores = np.fromiter(found.values(), dtype=np.float32, count=len(found)).tolist()
    first = heapq.nlargest(k, zip(scores, found, strict=True))
    return [(doc, found[doc]) for _, doc in first]


def ndcg(grades: Sequence[float], best: Iterable[float], k: int) -> float:
    """Return nDCG at `k` as trec_eval computes it: the gain is the grade; a negative grade counts as 0.

    Args:
        grades: Grades of the found documents in their order; 0 for a document without a judgement.
        best: The query's highest grades, at least `k` if there are as many; higher ones first.
        k: The number of documents that count.
    """
    ideal = _dcg(best, k)
    return _dcg(grades, k) / ideal if ideal else 0.0


def _dcg(grades: Iterable[float], k: int) -> float:
    return sum(float(grade / np.log2(at + 2)) for at, grade in zip(range(k), grades, strict=False) if grade > 0)


def at(name: str) -> Metric | None:
    """Return the metric at k of that name, `ndcg_at_10`; None where it is none of these.

    It is the mean of the queries' column of that name, rounded to five places.
    """
    if "_at_" not in name:
        return None
    column = name.removeprefix(_OVER_SUBQUERIES)
    return Metric(
        name,
        lambda items: round(sum(items[column]) / len(items[column]), 5),
        unit="query",
        bounds=(0.0, 1.0),
        columns=(column, "relevant"),
        column=column,
        over_subqueries=column != name,
    )


def trec_name(figure: str) -> str:
    """Return trec_eval's name of a figure at k: `ndcg_cut_10` of `ndcg_at_10`."""
    kind, _, k = figure.partition("_at_")
    return f"{_TREC_NAMES[kind]}_{k}"


def depth(figure: str) -> int | None:
    """Return k of a figure's name, `recall_at_100`: how many documents it reads; None where it has none."""
    _, _, k = figure.rpartition("_at_")
    return int(k) if k.isdigit() else None
