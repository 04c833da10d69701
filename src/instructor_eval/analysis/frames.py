"""Scores and comparisons as pandas data frames. pandas comes with the extra `run`, and is imported here alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from instructor_eval.analysis.board import variants
from instructor_eval.analysis.board.board import build
from instructor_eval.analysis.board.evidence import Evidence, UnreadError
from instructor_eval.analysis.board.formats import format_board
from instructor_eval.analysis.board.rows import Scores
from instructor_eval.analysis.board.statistics_files import StoredStatistics
from instructor_eval.results.score import Key, Score, key_of
from instructor_eval.results.store import Store
from instructor_eval.tasks import types

if TYPE_CHECKING:
    import pandas as pd

    from instructor_eval.analysis.compare.compare import Comparison
    from instructor_eval.analysis.statistics.estimates import Chance, Difference


def of_scores(scores: Sequence[Score], store: Store) -> pd.DataFrame:
    """Return a row a score, in their order; scores and interval ends are fractions of 1.

    Columns: model, revision, variant, instructions, task, benchmark, type, metric, score, low, high (the 95 % interval;
    missing where there are no items), n (items), seconds, texts, status, error, reader, selection, search, limit,
    fingerprint, created.

    Args:
        scores: The scores.
        store: The folder that has their items.
    """
    import pandas as pd

    stored = StoredStatistics.of(store)
    evidence = Evidence(store.items, stored)
    rows: dict[Key, dict[str, Score]] = {}
    for score in scores:
        rows.setdefault(key_of(score), {})[score.task] = score
    found = [_record(score, rows[key_of(score)], evidence) for score in scores]
    stored.save()
    return pd.DataFrame(found, columns=_COLUMNS)


_COLUMNS = [
    *("model", "revision", "variant", "instructions", "task", "benchmark", "type", "metric", "score", "low", "high"),
    *("n", "seconds", "texts", "status", "error", "reader", "selection", "search", "limit", "fingerprint", "created"),
]


def _record(score: Score, row: Scores, evidence: Evidence) -> dict[str, Any]:
    low = high = None
    if score.status == "ok" and row[score.task] is score:
        try:
            spread = variants.spread(row, score.task, evidence, replicates=False)
            low, high = spread.low, spread.high
        except UnreadError:
            pass
    return {
        "model": score.model.name,
        "revision": score.model.revision,
        "variant": score.model.variant,
        "instructions": score.instructions.set,
        "task": score.task,
        "benchmark": score.benchmark,
        "type": score.type,
        "metric": score.metric,
        "score": score.score,
        "low": low,
        "high": high,
        "n": score.n_items,
        "seconds": score.timings.total,
        "texts": score.counts.texts,
        "status": score.status,
        "error": score.error,
        "reader": score.reader.name if score.reader else None,
        "selection": score.reader.selection if score.reader else None,
        "search": (score.store or "exact") if types.get(score.type).is_searched else None,
        "limit": score.limit,
        "fingerprint": score.model.fingerprint,
        "created": score.created,
    }


def of_comparison(comparison: Comparison) -> pd.DataFrame:
    """Return a row a task, and one for the mean of all comparable tasks; all in fractions of 1.

    Columns: task, type, metric, baseline, candidate, delta, low, high (the 95 % interval), p (one-sided, that nothing
    is lost), verdict (better, worse, same, unknown), n, why (where nothing can be compared).
    """
    import pandas as pd

    rows = [
        {
            "task": task.task,
            "type": task.type,
            "metric": task.metric,
            "baseline": task.baseline,
            "candidate": task.candidate,
            **_differs(task.difference, task.chance),
            "n": task.n,
            "why": task.not_comparable,
        }
        for task in comparison.tasks
    ]
    if comparison.macro is not None:
        rows.append({"task": "mean", **_differs(comparison.macro, comparison.macro_chance), "n": comparison.macro.n})
    columns = ["task", "type", "metric", "baseline", "candidate", "delta", "low", "high", "p", "verdict", "n", "why"]
    return pd.DataFrame(rows, columns=columns)


def _differs(difference: Difference | None, chance: Chance | None) -> dict[str, Any]:
    if difference is None:
        return {"delta": None, "low": None, "high": None, "p": None, "verdict": "unknown"}
    return {
        "delta": difference.delta,
        "low": difference.low,
        "high": difference.high,
        "p": chance.loss if chance else None,
        "verdict": difference.verdict,
    }


def board_text(scores: Sequence[Score], store: Store) -> str:
    """Return the leaderboard of these scores as the terminal shows it; of several protocols or limits, the last's."""
    last = max(scores, key=lambda score: score.created)
    stored = StoredStatistics.of(store)
    protocol = {k: v for score in scores for k, v in score.protocol.items()}
    board = build(scores, (), protocol=protocol, limit=last.limit, items=store.items, stored=stored)
    return format_board(board, "table")
