"""Ranking metrics: the mean over queries of a per-query value (nDCG, MAP, recall, precision at k).

The per-query values are trec_eval's, as mteb computes them with pytrec_eval; the mean is rounded to five places, as
mteb's published numbers are (mteb 2.26, `parse_metrics_from_scores`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from instructor_eval.core.values import Items


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


def mean_at(metric: str, items: Items) -> float:
    """Return the mean of column `metric` (for example `ndcg_at_10`), rounded to five places."""
    values = items[metric.removeprefix("max_over_subqueries_")]
    return round(sum(values) / len(values), 5)


def mean_of_parts(items: Items) -> float:
    """Return the plain mean over sub-tasks (CQADupstackRetrieval over its 12 forums)."""
    return float(sum(items["value"]) / len(items["value"]))
