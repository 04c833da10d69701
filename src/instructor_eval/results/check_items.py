"""Checks of one result's items, type by type, whatever the model: identities and bounds.

Each check is given a score with its items and yields what is wrong, with the numbers that disagree. The identities of
rankings follow from the definitions in trec_eval (`m_P.c`, `m_recall.c`, `m_map_cut.c`, `m_ndcg_cut.c`), whose values
the columns are.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from instructor_eval import metrics
from instructor_eval.core.values import Items
from instructor_eval.metrics.correlation import article_correlation
from instructor_eval.metrics.ranking import ndcg
from instructor_eval.results.score import Score
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.prompts.recipe import recipe_of

Array: TypeAlias = npt.NDArray[np.float64]
Check: TypeAlias = Callable[[Score, Items], Iterator[str]]
ROUNDING = 1e-9
"""The error allowed in sums and quotients of float64, with room to spare."""
_COSINE_ROUNDING = 1e-6
"""A float32 cosine may exceed 1 by as much."""
_FIVE_PLACES = 1.1e-5
"""mteb rounds its means to five places."""
_AT_K = re.compile(r"(ndcg|map|recall|precision)_at_([0-9]{1,6})")
_COSINE = (-1 - _COSINE_ROUNDING, 1 + _COSINE_ROUNDING)
_ANY_LENGTH = (0.0, math.inf)
_TOP = 10
"""The number of documents in a query's list."""


def item_checks(score: Score) -> tuple[Check, ...]:
    """The checks of a result's kind."""
    if metrics.is_of_parts(score.metric):
        return (_parts,)
    return _BY_TYPE.get(score.type, ())


def _report(items: Items, bad: npt.NDArray[np.bool_], text: Callable[[int], str]) -> Iterator[str]:
    """The first bad item in words, and how many more there are."""
    at = np.flatnonzero(bad)
    if len(at):
        more = f" (and {len(at) - 1:,} more items)" if len(at) > 1 else ""
        yield f"item {str(items['id'][at[0]])[:80]}: {text(int(at[0]))}{more}"


def _within(items: Items, name: str, bounds: tuple[float, float]) -> Iterator[str]:
    values, (low, high) = _numbers(items[name]), bounds
    bad = (values < low - ROUNDING) | (values > high + ROUNDING)
    limits = f"at least {low:.0f}" if high == math.inf else f"between {low:.0f} and {high:.0f}"
    yield from _report(items, bad, lambda i: f"{name} is {values[i]:.7g}, it must be {limits}")


def _numbers(values: object) -> Array:
    return np.asarray(values, dtype=np.float64)


def _fixed_bounds(**bounds: tuple[float, float]) -> Check:
    def check(_score: Score, items: Items) -> Iterator[str]:
        for name, limits in bounds.items():
            yield from _within(items, name, limits)

    return check


# Rankings


def _at_k(items: Items) -> dict[tuple[str, int], Array]:
    """(kind, k) -> its column, by growing k."""
    found = {
        (match[1], int(match[2])): _numbers(values)
        for name, values in items.items()
        if (match := _AT_K.fullmatch(name)) and int(match[2])
    }
    return dict(sorted(found.items(), key=lambda entry: entry[0][1]))


def _ranking(_score: Score, items: Items) -> Iterator[str]:
    """Every column within its bounds, and in step with the others."""
    columns, relevant = _at_k(items), _numbers(items["relevant"])
    for kind, k in columns:
        yield from _within(items, f"{kind}_at_{k}", (0.0, 1.0))
    yield from _within(items, "relevant", _ANY_LENGTH)
    hits: dict[int, Array] = {}  # relevant documents among the first k
    for (kind, k), values in columns.items():
        if kind not in ("precision", "recall"):
            continue
        what = f"precision_at_{k} x {k}" if kind == "precision" else f"recall_at_{k} x relevant"
        found = values * (k if kind == "precision" else relevant)
        yield from _whole(items, found, what)
        yield from _equal(items, found, hits.setdefault(k, found), what, f"the other count of hits in the first {k}")
    yield from _grows(items, {f"hits in the first {k}": found for k, found in hits.items()})
    yield from _grows(items, {f"map_at_{k}": values for (kind, k), values in columns.items() if kind == "map"})
    for (kind, k), values in columns.items():
        recall = columns.get(("recall", k))
        if kind == "map" and recall is not None:  # precisions, of which it is the mean, are at most 1
            above = values > recall + ROUNDING
            yield from _report(items, above, _pair(f"map_at_{k}", values, "exceeds", f"recall_at_{k}", recall))
        if kind in ("map", "ndcg") and k in hits:
            bad = (values > 0) != (np.round(hits[k]) > 0)
            yield from _report(items, bad, _pair(f"{kind}_at_{k}", values, "goes not with", "hits", hits[k]))


def _one_relevant(_score: Score, items: Items) -> Iterator[str]:
    """With one relevant document every value follows from its rank r: MAP is 1/r, which is MRR; nDCG 1/log2(1 + r).

    So P@1 = MRR@1 = recall@1 = nDCG@1, grades or not: its gain cancels.
    """
    columns, alone = _at_k(items), _numbers(items["relevant"]) == 1
    deepest = max((k for kind, k in columns if kind == "map"), default=0)
    if not deepest or not alone.any():
        return
    reciprocal = columns["map", deepest]
    with np.errstate(divide="ignore"):
        rank = np.where(reciprocal > 0, 1 / reciprocal, math.inf)
    known = np.isfinite(rank)
    whole = np.where(known, np.round(np.where(known, rank, 1)), math.inf)
    off = alone & known & ((np.abs(rank - np.where(known, whole, rank)) > 1e-6 * rank) | (whole < 1))
    yield from _report(
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
        yield from _report(items, bad, _expected(f"{kind}_at_{k}", values, expected, whole, reciprocal, deepest))


def _expected(what: str, values: Array, expected: Array, rank: Array, mrr: Array, deepest: int) -> Callable[[int], str]:
    def text(i: int) -> str:
        place = f"at rank {rank[i]:.0f}" if math.isfinite(rank[i]) else f"not among the first {deepest}"
        return (
            f"{what} is {values[i]:.7g}, its one relevant document {place} (map_at_{deepest} {mrr[i]:.7g}) makes it "
            f"{expected[i]:.7g}"
        )

    return text


def _top(_score: Score, items: Items) -> Iterator[str]:
    """The list of the nearest documents: sorted, none twice, long enough for the hits among the first ten."""
    tops, values = items["top"], items["top_scores"]
    lengths = np.array([len(top) for top in tops])
    other = np.array([len(row) for row in values])
    yield from _report(items, lengths != other, lambda i: f"{lengths[i]} in top, {other[i]} in top_scores")
    falls = [next((k for k in range(1, len(row)) if np.float32(row[k]) > np.float32(row[k - 1])), 0) for row in values]
    yield from _report(
        items, np.array(falls) > 0,
        lambda i: f"top_scores rise from {values[i][falls[i] - 1]:.7g} to {values[i][falls[i]]:.7g}, they must fall",
    )  # fmt: skip
    distinct = np.array([len(set(top)) for top in tops])
    yield from _report(items, distinct != lengths, lambda i: f"{lengths[i]} documents in top, {distinct[i]} different")
    if "precision_at_10" in items:
        hits = np.round(_numbers(items["precision_at_10"]) * 10)
        yield from _report(
            items,
            hits > lengths,
            lambda i: f"{hits[i]:.0f} hits by precision_at_10, {lengths[i]} documents in top",
        )


def _top_figures(_score: Score, items: Items) -> Iterator[str]:
    """Every figure at 10 or less follows from the list and its grades; equal scores stand as trec_eval ranks them."""
    if "top_grades" not in items:
        return  # an earlier version filed neither grades nor trec_eval's order
    tops, scores = items["top"], items["top_scores"]
    order = [_disorder(*row) for row in zip(tops, scores, strict=True)]
    yield from _report(
        items, np.array(order) > 0,
        lambda i: f"{tops[i][order[i] - 1]} stands before {tops[i][order[i]]} in top, their scores are equal: "
        "trec_eval ranks the greater id first",
    )  # fmt: skip
    found, best, relevant = items["top_grades"], items["best_grades"], items["relevant"]
    bad = np.array([len(a) != len(b) for a, b in zip(found, tops, strict=True)])
    yield from _report(items, bad, lambda i: f"{len(found[i])} in top_grades, {len(tops[i])} in top")
    bad = np.array([len(a) != min(n, _TOP) for a, n in zip(best, relevant, strict=True)])
    yield from _report(items, bad, lambda i: f"{len(best[i])} in best_grades, {relevant[i]} relevant documents")
    for (kind, k), column in _at_k(items).items():
        if k <= _TOP:
            expected = _numbers([_figure(kind, k, *row) for row in zip(found, best, relevant, strict=True)])
            yield from _equal(items, column, expected, f"{kind}_at_{k}", "by its top ten and their grades it is")


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


def _ranking_means(score: Score, items: Items) -> Iterator[str]:
    """The figures beside the score are the columns' means; P@1 = MRR@1; with one relevant document, recall@1 too."""
    if metrics.get(score.metric).over_subqueries:
        return  # mteb's own figures are of the sub-queries there
    means = {name: float(np.mean(items[name])) for name in items if _AT_K.fullmatch(name)}
    for name, mean in means.items():
        yield from _beside(score, name, mean, f"mean {name} of the items")
    # trec_eval keeps scores in float32, mteb's MRR in float64: equal ones at the top may be ordered differently.
    tied = sum(len(row) > 1 and np.float32(row[0]) == np.float32(row[1]) for row in items.get("top_scores", []))
    room = _FIVE_PLACES + tied / len(items["id"])
    if "precision_at_1" in means:
        yield from _beside(score, "mrr_at_1", means["precision_at_1"], "mean precision_at_1", room)
        if max(items["relevant"]) <= 1:
            for name in ("recall_at_1", "ndcg_at_1", "map_at_1"):
                yield from _beside(score, name, means["precision_at_1"], "mean precision_at_1")


def _beside(score: Score, name: str, expected: float, what: str, room: float = _FIVE_PLACES) -> Iterator[str]:
    given = score.metrics.get(name)
    if given is not None and not abs(given - expected) <= room:
        yield f"metrics: {name} is {given:.7g}, the {what} {expected:.7g}"


def _whole(items: Items, values: Array, what: str) -> Iterator[str]:
    off = np.abs(values - np.round(values)) > 1e-6
    yield from _report(items, off, lambda i: f"{what} is {values[i]:.7g}, it must be a whole number")


def _equal(items: Items, values: Array, others: Array, what: str, other: str) -> Iterator[str]:
    off = np.abs(values - others) > 1e-6
    yield from _report(items, off, lambda i: f"{what} is {values[i]:.7g}, {other} {others[i]:.7g}")


def _grows(items: Items, columns: dict[str, Array]) -> Iterator[str]:
    """Columns by growing k: none may fall."""
    names = list(columns)
    for before, after in itertools.pairwise(names):
        bad = columns[after] < columns[before] - ROUNDING
        yield from _report(items, bad, _pair(after, columns[after], "is less than", before, columns[before]))


def _pair(name: str, values: Array, verb: str, other: str, others: Array) -> Callable[[int], str]:
    return lambda i: f"{name} {values[i]:.7g} {verb} {other} {others[i]:.7g}"


# The other types


def _classification(_score: Score, items: Items) -> Iterator[str]:
    draws = np.array([len(row) for row in items["predictions"]])
    yield from _report(
        items, (draws != draws[0]) | (draws == 0), lambda i: f"{draws[i]} predictions, the first item {draws[0]}"
    )
    values = _numbers(items["value"])
    right = _numbers(
        [
            sum(p == g for p in row) / max(len(row), 1)
            for row, g in zip(items["predictions"], items["gold"], strict=True)
        ]
    )
    yield from _equal(items, values, right, "value", "the share of correct predictions")


def _zero_or_one(name: str) -> Check:
    def check(_score: Score, items: Items) -> Iterator[str]:
        values = _numbers(items[name])
        yield from _report(items, (values != 0) & (values != 1), lambda i: f"{name} is {values[i]:.7g}, not 0 or 1")

    return check


def _sts_gold(score: Score, items: Items) -> Iterator[str]:
    """Grades are scaled by the range that mteb's own tasks have; own data may have any."""
    if score.task in shipped_cards():
        yield from _within(items, "gold", (0.0, 1.0))


def _clustering(_score: Score, items: Items) -> Iterator[str]:
    sizes = _numbers(items["size"])
    yield from _report(items, ~(sizes >= 1), lambda i: f"size is {sizes[i]:.7g}, a split has at least one text")


def _summaries(_score: Score, items: Items) -> Iterator[str]:
    n, m = (np.array([len(row) for row in items[name]]) for name in ("gold", "cosine"))
    yield from _report(items, n != m, lambda i: f"{n[i]} grades, {m[i]} cosines")
    if (n != m).any():
        return
    found = [article_correlation(c, g) for c, g in zip(items["cosine"], items["gold"], strict=True)]
    for name, values in zip(("rho", "p"), zip(*found, strict=True), strict=True):
        yield from _equal(items, _numbers(items[name]), _numbers(values), name, "its grades and cosines give")
    for i, row in enumerate(items["cosine"]):
        outside = [c for c in row if not _COSINE[0] <= c <= _COSINE[1]]
        if outside:
            yield f"item {items['id'][i]}: cosine is {outside[0]:.7g}, it must be between -1 and 1"
            return


def _billboard(score: Score, items: Items) -> Iterator[str]:
    segments, systems = items["segment"], items["system"]
    names = [f"{segment}/{system}" for segment, system in zip(segments, systems, strict=True)]
    bad = np.array([a != b for a, b in zip(items["id"], names, strict=True)])
    yield from _report(items, bad, lambda i: f"its segment and system are {names[i][:80]}")
    counts = Counter(segments)
    if score.task in shipped_cards() and len(set(counts.values())) > 1:  # own data may lack a system here and there
        usual = Counter(counts.values()).most_common(1)[0][0]
        odd = next(segment for segment, n in counts.items() if n != usual)
        yield f"segment {str(odd)[:80]}: {counts[odd]} hypotheses, most segments have {usual}"


def _prompts(score: Score, items: Items) -> Iterator[str]:
    right = _numbers([float(p == g) for p, g in zip(items["prediction"], items["gold"], strict=True)])
    yield from _equal(items, _numbers(items["correct"]), right, "correct", "prediction = gold")
    card = shipped_cards().get(score.task)
    if card is not None and recipe_of(card).labels is not None:
        yield from _equal(items, _numbers(items["value"]), right, "value", "on a label task prediction = gold")
    shown, near = items["demonstrations"], items["similarities"]
    lengths, others = (np.array([len(row) for row in rows]) for rows in (shown, near))
    yield from _report(
        items, lengths != others, lambda i: f"{lengths[i]} demonstrations, {others[i]} similarities"
    )  # fmt: skip
    distinct = np.array([len(set(row)) for row in shown])
    yield from _report(items, distinct != lengths, lambda i: f"{lengths[i]} demonstrations, {distinct[i]} different")
    for name in ("accuracy", "exact_match"):
        yield from _beside(score, name, float(np.mean(items["correct"])), "mean correct")


def _parts(score: Score, items: Items) -> Iterator[str]:
    yield from _within(items, "value", (-1.0, 1.0))
    card = shipped_cards().get(score.task)
    if card is not None and sorted(items["id"]) != sorted(card.parts):
        other = ", ".join(sorted(map(str, set(items["id"]) ^ set(card.parts)))[:3])
        yield f"{len(items['id'])} parts, the task has {len(card.parts)}; only one side has {other or 'them once'}"


_RANKING: tuple[Check, ...] = (_ranking, _one_relevant, _top, _top_figures, _ranking_means)
_BY_TYPE: dict[str, tuple[Check, ...]] = {
    "Retrieval": _RANKING,
    "Reranking": _RANKING,
    "Classification": (_fixed_bounds(value=(0.0, 1.0)), _classification),
    "PairClassification": (
        _zero_or_one("gold"),
        _fixed_bounds(cosine=_COSINE, manhattan=_ANY_LENGTH, euclidean=_ANY_LENGTH),
    ),
    "STS": (_sts_gold, _fixed_bounds(cosine=_COSINE)),
    "Clustering": (_fixed_bounds(v_measure=(0.0, 1.0)), _clustering),
    "Summarization": (_fixed_bounds(rho=(-1.0, 1.0), p=(0.0, 1.0)), _summaries),
    "TextEvaluation": (_fixed_bounds(value=_COSINE), _billboard),
    "PromptRetrieval": (_fixed_bounds(value=(0.0, 1.0)), _zero_or_one("correct"), _prompts),
}
