"""The worth of an instruction: candidates ranked on one half of a task's items, the winner reported on the other.

The best of forty candidates looks better than it is on the items that it was chosen by: on the half that had no say its
gain is unbiased, and its interval is that of any paired comparison. The gain on the half that chose stands beside it.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from instructor_eval import metrics
from instructor_eval.analysis.format import plural
from instructor_eval.analysis.statistics import difference as stats
from instructor_eval.analysis.statistics.estimates import Difference, NotComparableError
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.metrics.metric import Metric

PAPER, CONTROL = "paper", "another task's (control)"
LEAST = 40
"""Units of a task that are split by default."""


@dataclass(frozen=True)
class Candidate:
    """An instruction for each role of a task, and where it is from."""

    name: str
    source: str
    texts: Mapping[str, str]

    @property
    def is_control(self) -> bool:
        """True of another task's instruction: wrong on purpose, it cannot win."""
        return self.source == CONTROL


@dataclass(frozen=True)
class Gain:
    """A candidate's score less the paper's, paired, fractions of 1."""

    delta: float
    low: float | None = None
    high: float | None = None
    verdict: str = "unknown"
    """As `Difference.verdict`."""


@dataclass(frozen=True)
class Tried:
    """One candidate on one task."""

    candidate: Candidate
    score: float
    """Over all items."""
    choosing: float
    """Over the half that chooses."""
    gain: Gain
    """On the other half."""


@dataclass(frozen=True)
class Sensitivity:
    """The spread of whole scores over the candidates, controls left out."""

    least: float
    mean: float
    most: float
    sd: float


@dataclass(frozen=True)
class TaskStudy:
    """One task: what was tried, the paper's instruction first, and what won."""

    task: str
    metric: str
    unit: str
    n_choosing: int
    n_held_out: int
    tried: tuple[Tried, ...]
    winner: str
    gain_choosing: Gain
    """The winner's, on the half that chose it: too high."""
    gain: Gain
    """The winner's, on the half that had no say."""
    sensitivity: Sensitivity

    @property
    def best(self) -> Tried:
        """The winner."""
        return next(one for one in self.tried if one.candidate.name == self.winner)


def choose(
    task: str, metric: str, found: Sequence[tuple[Candidate, Items]], *, seed: int = 0, force: bool = False
) -> TaskStudy:
    """Return the study of one task.

    Args:
        task: Its name.
        metric: The metric of all its scores.
        found: Candidates with the items of their scores; the paper's instruction first.
        seed: Of the split.
        force: Split fewer than 40 units too.

    Raises:
        UserError: there are too few units to split, or the items are not of one evaluation.
    """
    known, names = metrics.get(metric), units(task, metric, found[0][1], force=force)
    halves = split(names, task, seed)
    items = [[_of_units(known, one, half) for half in halves] for _, one in found]
    on = [[known.compute(half) for half in both] for both in items]
    if any(math.isnan(score) for scores in on for score in scores):
        raise UserError(f"{task}: half of its {len(names)} {plural(known.unit, len(names))} has no {metric}: take more")
    tried = tuple(
        Tried(candidate, known.compute(whole), on[i][0], _gain(task, metric, items, i, 1))
        for i, (candidate, whole) in enumerate(found)
    )
    able = [i for i, (candidate, _) in enumerate(found) if not candidate.is_control]
    best = max(able, key=lambda i: (on[i][0], -i))
    scores = [tried[i].score for i in able]
    return TaskStudy(
        task, metric, known.unit, len(halves[0]), len(halves[1]), tried, found[best][0].name,
        _gain(task, metric, items, best, 0), tried[best].gain,
        Sensitivity(min(scores), statistics.fmean(scores), max(scores), statistics.pstdev(scores)),
    )  # fmt: skip


def units(task: str, metric: str, items: Items, *, force: bool) -> list[str]:
    """Return the names of the units that are split in two.

    Raises:
        UserError: there are too few.
    """
    known = metrics.get(metric)
    names = known.units(items)
    if len(names) < (2 if force else LEAST):
        raise UserError(
            f"{task}: {plural(known.unit, 2)} to split in two: {len(names)}, too few to choose honestly, which takes "
            f"{LEAST}: take another task, or --force"
        )
    return names


def split(names: Sequence[str], task: str, seed: int) -> tuple[frozenset[str], frozenset[str]]:
    """Return two halves of units by a hash of their names: the same for every candidate, model and machine."""
    order = sorted(names, key=lambda name: hashlib.sha256(f"{seed} {task} {name}".encode("utf-8", "replace")).digest())
    half = len(order) // 2
    return frozenset(order[:half]), frozenset(order[half:])


def _of_units(metric: Metric, items: Items, wanted: frozenset[str]) -> Items:
    names = metric.units(items)
    keep = [i for i, place in enumerate(metric.places(items).tolist()) if names[place] in wanted]
    return {name: [column[i] for i in keep] for name, column in items.items()}


def _gain(task: str, metric: str, items: Sequence[Sequence[Items]], at: int, half: int) -> Gain:
    if at == 0:
        return Gain(0.0, 0.0, 0.0, "same")
    try:
        found = stats.paired(metric, items[at][half], items[0][half], seed_text=f"{task} {half}")
    except NotComparableError as e:
        raise UserError(f"{task}: the candidates' scores are not of the same items ({e}): run the study again") from e
    return gain_of(found)


def gain_of(found: Difference) -> Gain:
    """Return a difference as a study files it."""
    return Gain(found.delta, found.low, found.high, found.verdict)
