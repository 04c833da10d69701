"""Scores by another metric than their own: what `leaderboard --metric` makes its table of, from the same items."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from instructor_eval import metrics
from instructor_eval.analysis.statistics.filed import UNUSABLE
from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.results.score import ReadItems, Score


def by_metric(scores: Iterable[Score], name: str, read: ReadItems | None) -> list[Score]:
    """Return the scores that have a metric, as if it was their own; the others, and failed ones, are left out.

    Args:
        scores: The scores.
        name: A metric; `accuracy` or `map_at_10` of the items, `fpr_at_95` of the similarities.
        read: Reads a score's items; None: only figures that were filed count.

    Raises:
        UserError: none has it.
    """
    every = list(scores)
    found = [one for score in every if (one := _as(score, name, read)) is not None]
    if not found:
        known = sorted({figure for score in every for figure in (score.metric, *score.metrics)})
        hint = did_you_mean(name, known) or ": `metrics` in a score's file names what it has"
        raise UserError(f"--metric {name}: no result has it{hint}")
    return found


def direction(name: str) -> str:
    """Return how to read a metric, a sentence; empty where higher is better."""
    if metrics.is_lower(name):
        return f"{name}: lower is better, and ranked so."
    return f"{name}: what to set, neither high nor low is good; nothing is ranked." if metrics.is_neutral(name) else ""


def _as(score: Score, name: str, read: ReadItems | None) -> Score | None:
    """Return a score with another metric; None where it has none."""
    if score.metric == name:
        return score
    value = score.metrics.get(name)
    if score.status != "ok" or metrics.is_of_parts(score.metric):
        return None
    if read is not None:
        try:
            value = metrics.compute(name, read(score))
        except UNUSABLE:
            return None
    if value is None or not math.isfinite(value):
        return None
    return dataclasses.replace(score, metric=name, score=value, statistics=None)
