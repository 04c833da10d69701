"""The smallest loss that a gate would find, before the candidate is run: from the items of earlier runs.

It is the loss that the quality gate would call REGRESSED four times in five, with the margin and the adjustment that it
will have there (`analysis/gate/quality.py`).

Its size depends on the standard error of the *difference*, which only two systems on the same items tell. Where
several were run, theirs stands in for the one to come; where one was, there is no more than an upper guess: of systems
whose errors have nothing to do with each other, the variance of the difference is the sum of theirs.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from instructor_eval import metrics
from instructor_eval.analysis.compare.side import Side
from instructor_eval.analysis.statistics import difference
from instructor_eval.analysis.statistics.estimates import Difference, NotComparableError
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score

_MOST = 4
"""Stored systems looked at, the newest: six pairs, of which each may take a second to resample."""


@dataclass(frozen=True)
class Detectable:
    """The known spread of a task's difference, or of the mean's."""

    se: float
    """Standard error of the difference it rests on; a fraction of 1, as scores are."""
    n: int
    """Units compared: queries, pairs, ...; of a mean, the tasks."""
    at_most: bool
    """From one system alone: the effect is at most this, unless errors are opposed."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Labels of the systems whose differences it is taken from; their median counts."""
    df: float = math.inf
    """Degrees of freedom of `se`."""

    def effect(self, level: float, margin: float) -> float:
        """The true loss, a fraction of 1, that a test at `level` and with this margin finds four times in five."""
        return difference.minimum_detectable(self.se, level=level, df=self.df, margin=margin)


@dataclass(frozen=True)
class System:
    """One stored result with its items at hand."""

    label: str
    score: Score
    read: Callable[[Score], Items]


class Lookup:
    """Finds what differences the stored results of a task show.

    Args:
        stored: Scores of the results folder.
        read: Reads their items.
        baseline: What the candidate will be compared with; None: any two stored systems.
    """

    def __init__(self, stored: Iterable[Score], read: Callable[[Score], Items], baseline: Side | None = None) -> None:
        self._stored: dict[str, list[Score]] = {}
        for score in stored:
            if score.status == "ok" and not metrics.is_of_parts(score.metric):
                self._stored.setdefault(score.task, []).append(score)
        self._read = read
        self._baseline = baseline
        self._found: dict[tuple[str, str, str], Detectable | None] = {}

    def of(self, planned: Score) -> Detectable | None:
        """The minimum detectable effect on the task of a score that is to be made; None where nothing tells it."""
        key = (planned.task, planned.metric, str(planned.data.key))
        if key not in self._found:
            self._found[key] = self._look(planned)
        return self._found[key]

    def _look(self, planned: Score) -> Detectable | None:
        others = [
            System(label_of(s), s, self._read)
            for s in sorted(self._stored.get(planned.task, []), key=lambda s: s.created, reverse=True)
            if _fits(s, planned) and s.data.key == planned.data.key
        ][:_MOST]
        if self._baseline is None:
            return _of_pairs(itertools.combinations(others, 2)) or _of_one(others)
        score, read = self._baseline.scores.get(planned.task), self._baseline.read
        if score is None or read is None or not _fits(score, planned):
            return None
        base = System(self._baseline.label, score, read)
        others = [s for s in others if s.score.identity != score.identity]
        return _of_pairs((other, base) for other in others) or _of_one([base])


def label_of(score: Score) -> str:
    """`MODEL@VARIANT:SET`, as sides are called."""
    return f"{score.model.name}@{score.model.variant}:{score.instructions.set}"


def mean_of(found: Sequence[Detectable | None]) -> Detectable | None:
    """Of the mean over tasks, which are taken as independent; None if one is not known."""
    known = [d for d in found if d is not None]
    if not known or len(known) < len(found):
        return None
    if len(known) == 1:
        return known[0]
    mean = difference.mean(Difference(0.0, 0.0, 0.0, d.se, d.n, "t", df=d.df) for d in known)
    return Detectable(mean.se or 0.0, len(known), any(d.at_most for d in known), df=mean.df)


def _fits(score: Score, planned: Score) -> bool:
    """Return whether a result is of the same measurement; its data is compared item by item further on."""
    return (score.metric, score.protocol, score.limit, score.answered_by) == (
        planned.metric,
        planned.protocol,
        planned.limit,
        planned.answered_by,
    )


def _of_pairs(pairs: Iterable[tuple[System, System]]) -> Detectable | None:
    found: list[tuple[float, int, tuple[str, str]]] = []
    for child, parent in pairs:
        if difference.why_not(child.score, parent.score, instructions=False) is not None:
            continue
        seed_text = f"{child.score.identity} {parent.score.identity} {parent.score.task}"
        try:
            d = difference.paired(
                parent.score.metric, child.read(child.score), parent.read(parent.score), seed_text=seed_text
            )
        except (NotComparableError, UserError):  # damaged, or of other items: it tells nothing
            continue
        if d.se:  # two systems that agree on every item tell nothing either
            found.append((d.se, d.n, (child.label, parent.label)))
    if not found:
        return None
    return Detectable(
        statistics.median(se for se, _, _ in found),
        found[0][1],
        at_most=False,
        pairs=tuple(p for _, _, p in found),
        df=max(1, found[0][1] - 1),
    )


def _of_one(systems: Sequence[System]) -> Detectable | None:
    for system in systems:
        try:
            se, n = _alone(system.score.metric, system.read(system.score), system.score.identity)
        except (UserError, KeyError):
            continue
        if se:
            return Detectable(math.sqrt(2) * se, n, at_most=True, pairs=((system.label, ""),), df=max(1, n - 1))
    return None


def _alone(metric: str, items: Items, seed_text: str) -> tuple[float, int]:
    """Standard error of one system's score, and how many units it is of; 0 where one unit is all there is."""
    import numpy as np

    from instructor_eval.analysis.statistics import resample

    known = metrics.get(metric)
    units, n = known.influences(items), len(known.units(items))
    if n < 2:
        return 0.0, n
    if units is not None:
        se = float(np.std(units, ddof=1)) / math.sqrt(n)
        return (se if math.isfinite(se) else 0.0), n
    drawn = resample.replicates(known, items, seed_text=seed_text)
    whole = drawn[np.isfinite(drawn)]
    return (float(np.std(whole, ddof=1)) if len(whole) > 1 else 0.0), n
