"""Checks of queries' items: figures in step with each other, and with the lists of nearest documents.

Their identities follow from the definitions in trec_eval (`m_P.c`, `m_recall.c`, `m_map_cut.c`, `m_ndcg_cut.c`), whose
values the columns are.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator

import numpy as np

from instructor_eval import metrics
from instructor_eval.core.values import Items
from instructor_eval.metrics.ranking import ndcg
from instructor_eval.tasks.types.base import ANY_LENGTH, Filed, ItemCheck
from instructor_eval.tasks.types.item_checks import (
    FIVE_PLACES,
    ROUNDING,
    Array,
    beside,
    equal,
    numbers,
    report,
    whole_numbers,
    within,
)  # fmt: skip

_AT_K = re.compile(r"(ndcg|map|recall|precision)_at_([0-9]{1,6})")
_TOP = 10
"""The number of documents in a query's list."""


def _at_k(items: Items) -> dict[tuple[str, int], Array]:
    """(kind, k) -> its column, by growing k."""
    found = {
        (match[1], int(match[2])): numbers(values)
        for name, values in items.items()
        if (match := _AT_K.fullmatch(name)) and int(match[2])
    }
    return dict(sorted(found.items(), key=lambda entry: entry[0][1]))


def _ranking(_filed: Filed, items: Items) -> Iterator[str]:
    """Every column within its bounds, and in step with the others."""
    columns, relevant = _at_k(items), numbers(items["relevant"])
    for kind, k in columns:
        yield from within(items, f"{kind}_at_{k}", (0.0, 1.0))
    yield from within(items, "relevant", ANY_LENGTH)
    hits: dict[int, Array] = {}  # relevant documents among the first k
    for (kind, k), values in columns.items():
        if kind not in ("precision", "recall"):
            continue
        what = f"precision_at_{k} x {k}" if kind == "precision" else f"recall_at_{k} x relevant"
        found = values * (k if kind == "precision" else relevant)
        yield from whole_numbers(items, found, what)
        yield from equal(items, found, hits.setdefault(k, found), what, f"the other count of hits in the first {k}")
    yield from _grows(items, {f"hits in the first {k}": found for k, found in hits.items()})
    yield from _grows(items, {f"map_at_{k}": values for (kind, k), values in columns.items() if kind == "map"})
    for (kind, k), values in columns.items():
        recall = columns.get(("recall", k))
        if kind == "map" and recall is not None:  # precisions, of which it is the mean, are at most 1
            above = values > recall + ROUNDING
            yield from report(items, above, _pair(f"map_at_{k}", values, "exceeds", f"recall_at_{k}", recall))
        if kind in ("map", "ndcg") and k in hits:
            bad = (values > 0) != (np.round(hits[k]) > 0)
            yield from report(items, bad, _pair(f"{kind}_at_{k}", values, "goes not with", "hits", hits[k]))


def _one_relevant(_filed: Filed, items: Items) -> Iterator[str]:
    """With one relevant document every value follows from its rank r: MAP is 1/r, which is MRR; nDCG 1/log2(1 + r).

    So P@1 = MRR@1 = recall@1 = nDCG@1, grades or not: its gain cancels.
    """
    columns, alone = _at_k(items), numbers(items["relevant"]) == 1
    deepest = max((k for kind, k in columns if kind == "map"), default=0)
    if not deepest or not alone.any():
        return
    reciprocal = columns["map", deepest]
    with np.errstate(divide="ignore"):
        rank = np.where(reciprocal > 0, 1 / reciprocal, math.inf)
    known = np.isfinite(rank)
    whole = np.where(known, np.round(np.where(known, rank, 1)), math.inf)
    off = alone & known & ((np.abs(rank - np.where(known, whole, rank)) > 1e-6 * rank) | (whole < 1))
    yield from report(
        items, off, lambda i: f"map_at_{deepest} is {reciprocal[i]:.7g}, with one relevant document it must be 1/rank"
    )
    for (kind, k), values in columns.items():
        if k > deepest:
            continue
        value = {"ndcg": 1 / np.log2(1 + whole), "map": 1 / whole, "recall": np.ones_like(whole)}.get(
            kind, np.full_like(whole, 1 / k)
        )
        expected = np.where(whole <= k, value, 0.0)
        bad = alone & ~off & (np.abs(values - expected) > ROUNDING)
        yield from report(items, bad, _expected(f"{kind}_at_{k}", values, expected, whole, reciprocal, deepest))


def _expected(what: str, values: Array, expected: Array, rank: Array, mrr: Array, deepest: int) -> Callable[[int], str]:
    def text(i: int) -> str:
        place = f"at rank {rank[i]:.0f}" if math.isfinite(rank[i]) else f"not among the first {deepest}"
        return (
            f"{what} is {values[i]:.7g}, its one relevant document {place} (map_at_{deepest} {mrr[i]:.7g}) makes it "
            f"{expected[i]:.7g}"
        )

    return text


def _top(_filed: Filed, items: Items) -> Iterator[str]:
    """The list of the nearest documents: sorted, none twice, long enough for the hits among the first ten."""
    tops, values = items["top"], items["top_scores"]
    lengths = np.array([len(top) for top in tops])
    other = np.array([len(row) for row in values])
    yield from report(items, lengths != other, lambda i: f"{lengths[i]} in top, {other[i]} in top_scores")
    falls = [next((k for k in range(1, len(row)) if np.float32(row[k]) > np.float32(row[k - 1])), 0) for row in values]
    yield from report(
        items, np.array(falls) > 0,
        lambda i: f"top_scores rise from {values[i][falls[i] - 1]:.7g} to {values[i][falls[i]]:.7g}, they must fall",
    )  # fmt: skip
    distinct = np.array([len(set(top)) for top in tops])
    yield from report(items, distinct != lengths, lambda i: f"{lengths[i]} documents in top, {distinct[i]} different")
    if "precision_at_10" in items:
        hits = np.round(numbers(items["precision_at_10"]) * 10)
        yield from report(
            items,
            hits > lengths,
            lambda i: f"{hits[i]:.0f} hits by precision_at_10, {lengths[i]} documents in top",
        )


def _top_figures(_filed: Filed, items: Items) -> Iterator[str]:
    """Every figure at 10 or less follows from the list and its grades; equal scores stand as trec_eval ranks them."""
    if "top_grades" not in items:
        return  # an earlier version filed neither grades nor trec_eval's order
    tops, scores = items["top"], items["top_scores"]
    order = [_disorder(*row) for row in zip(tops, scores, strict=True)]
    yield from report(
        items, np.array(order) > 0,
        lambda i: f"{tops[i][order[i] - 1]} stands before {tops[i][order[i]]} in top, their scores are equal: "
        "trec_eval ranks the greater id first",
    )  # fmt: skip
    found, best, relevant = items["top_grades"], items["best_grades"], items["relevant"]
    bad = np.array([len(a) != len(b) for a, b in zip(found, tops, strict=True)])
    yield from report(items, bad, lambda i: f"{len(found[i])} in top_grades, {len(tops[i])} in top")
    bad = np.array([len(a) != min(n, _TOP) for a, n in zip(best, relevant, strict=True)])
    yield from report(items, bad, lambda i: f"{len(best[i])} in best_grades, {relevant[i]} relevant documents")
    for (kind, k), column in _at_k(items).items():
        if k <= _TOP:
            expected = numbers([_figure(kind, k, *row) for row in zip(found, best, relevant, strict=True)])
            yield from equal(items, column, expected, f"{kind}_at_{k}", "by its top ten and their grades it is")


def _disorder(top: list[str], scores: list[float]) -> int:
    """Return the place of the first document that should stand before the one above it, their scores equal; or 0."""
    rounded = np.asarray(scores, dtype=np.float32)
    return next((k for k in range(1, len(top)) if rounded[k] == rounded[k - 1] and top[k] > top[k - 1]), 0)


def _figure(kind: str, k: int, grades: list[int], best: list[int], relevant: float) -> float:
    """Return one query's figure at `k`, from the grades of the first documents, the best ones, and their number."""
    if kind == "ndcg":
        return ndcg(grades, best, k)
    hits = [at for at, grade in enumerate(grades[:k]) if grade > 0]
    if kind == "precision":
        return len(hits) / k
    found = sum((n + 1) / (at + 1) for n, at in enumerate(hits)) if kind == "map" else len(hits)
    return found / relevant if relevant else 0.0


def _ranking_means(filed: Filed, items: Items) -> Iterator[str]:
    """The figures beside the score are the columns' means; P@1 = MRR@1; with one relevant document, recall@1 too."""
    if metrics.get(filed.metric).over_subqueries:
        return  # mteb's own figures are of the sub-queries there
    means = {name: float(np.mean(items[name])) for name in items if _AT_K.fullmatch(name)}
    for name, mean in means.items():
        yield from beside(filed, name, mean, f"mean {name} of the items")
    # trec_eval keeps scores in float32, mteb's MRR in float64: equal ones at the top may be ordered differently.
    tied = sum(len(row) > 1 and np.float32(row[0]) == np.float32(row[1]) for row in items.get("top_scores", []))
    room = FIVE_PLACES + tied / len(items["id"])
    if "precision_at_1" in means:
        yield from beside(filed, "mrr_at_1", means["precision_at_1"], "mean precision_at_1", room)
        if max(items["relevant"]) <= 1:
            for name in ("recall_at_1", "ndcg_at_1", "map_at_1"):
                yield from beside(filed, name, means["precision_at_1"], "mean precision_at_1")


def _grows(items: Items, columns: dict[str, Array]) -> Iterator[str]:
    """Columns by growing k: none may fall."""
    names = list(columns)
    for before, after in itertools.pairwise(names):
        bad = columns[after] < columns[before] - ROUNDING
        yield from report(items, bad, _pair(after, columns[after], "is less than", before, columns[before]))


def _pair(name: str, values: Array, verb: str, other: str, others: Array) -> Callable[[int], str]:
    return lambda i: f"{name} {values[i]:.7g} {verb} {other} {others[i]:.7g}"


CHECKS: tuple[ItemCheck, ...] = (_ranking, _one_relevant, _top, _top_figures, _ranking_means)
