"""Which row to take: the cheapest of those within noise of the best score, and what that rests on.

The rows compared are of the same tasks. Noise is that of the items: a row is within noise of the best where the 95 %
interval of their paired difference holds 0. It may be taken in the best's place where it scores at most `MARGIN` lower
here. A variant is a candidate only where it is safe beside its own parent (`variants.is_safe`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.analysis.board.rows import Board, Row
from instructor_eval.analysis.board.variants import MARGIN, alike, beside, is_safe
from instructor_eval.analysis.statistics import difference, spreads
from instructor_eval.analysis.statistics.estimates import Difference

_SURELY = 2.8
"""So many standard errors of both scores, added up, are more than half of any paired 95 % interval that is not weak."""
WORTH = 1.1
"""A row must be so many times faster, or smaller, to be taken in the place of the highest score."""


@dataclass(frozen=True)
class Option:
    """A row beside the best one."""

    row: Row
    quality: float
    """Its mean score, a fraction of 1."""
    beside: Difference | None = None
    """Its mean score less the best's, negative where it is worse; None for the best itself, and where that is clear
    without it."""
    faster: float | None = None
    """Its speed over the best's; None where that is unknown, or was measured on another machine."""
    smaller: float | None = None
    """The best's file over its own."""

    @property
    def loss(self) -> float:
        """Return what it scores less than the best here."""
        return 0.0 if self.beside is None else -self.beside.delta

    @property
    def is_cheaper(self) -> bool:
        """Return whether it is faster than the best, or smaller and no slower, by more than can be neglected."""
        if self.faster is not None and not alike(self.faster):
            return self.faster >= WORTH
        return (self.smaller or 0.0) >= WORTH

    @property
    def risk(self) -> float:
        """Return what it may lose on other items, 0 where its interval holds no loss."""
        return 0.0 if self.beside is None else max(0.0, -(self.beside.low or 0.0))


@dataclass(frozen=True)
class Advice:
    """A board's advice on the choice between its rows."""

    tasks: Sequence[str]
    """The tasks that the scores are means over."""
    best: Option
    """The highest score."""
    pick: Option
    """The row to take."""
    near: Sequence[Option] = ()
    """Within noise of the best, the highest score first."""
    worse: Sequence[Option] = ()
    """Shown to score lower."""
    unknown: Sequence[Option] = ()
    """Without an interval of their difference from the best, or with one of too few items."""
    unsafe: Sequence[Row] = ()
    """Variants that lose, could lose more than `MARGIN`, or cannot be judged."""
    incomplete: Sequence[Row] = ()
    """Rows that lack one of the tasks."""
    parents: Sequence[Row] = field(default=(), repr=False)
    """Rows that are no variants of another."""


def advise(board: Board, evidence: Evidence) -> Advice | None:
    """Return the advice of a board; None where nothing was measured.

    Args:
        board: The board.
        evidence: Of its scores' items; without any nothing is within noise of the best.
    """
    measured = [row for row in board.rows if row.source == "measured" and any(t in row.tasks for t in board.tasks)]
    if not measured:
        return None
    parents = [row for row in measured if row.parent is None] or measured
    tasks = _tasks(measured, board.tasks)
    complete = [row for row in measured if all(task in row.tasks for task in tasks)]
    if not any(row in parents for row in complete):  # variants have tasks that their parents lack
        tasks = _tasks(parents, board.tasks)
        complete = [row for row in measured if all(task in row.tasks for task in tasks)]
    candidates = [row for row in complete if row in parents or is_safe(row, lower=board.lower)]
    sign = -1 if board.lower else 1
    means = {row: sum(row.tasks[task] for task in tasks) / len(tasks) for row in candidates}
    best = max(candidates, key=lambda row: sign * means[row])
    near: list[Option] = []
    worse: list[Option] = []
    unknown: list[Option] = []
    for row in sorted(candidates, key=lambda row: -sign * means[row]):
        if row is best:
            continue
        if _is_clear(row, best, tasks, sign * (means[best] - means[row])):
            worse.append(_option(row, best, means[row], None))
            continue
        found = _difference(row, best, tasks, evidence)
        if board.lower and found is not None:
            found = found.turned
        option = _option(row, best, means[row], found)
        doubtful = found is None or found.verdict == "unknown" or found.weak
        (unknown if doubtful else worse if found and found.verdict == "worse" else near).append(option)
    first = _option(best, best, means[best], None)
    return Advice(
        tasks,
        first,
        _cheapest(first, [option for option in near if option.loss <= MARGIN]),
        near,
        worse,
        unknown,
        [row for row in complete if row not in means],
        [row for row in measured if row not in complete],
        parents,
    )


def _tasks(rows: Sequence[Row], tasks: Sequence[str]) -> list[str]:
    """Return the tasks that all rows have, if these are half of them; else all; else those of the row with most."""
    shared = [task for task in tasks if all(task in row.tasks for row in rows)]
    if 2 * len(shared) >= len(tasks):
        return shared
    most = max(rows, key=lambda row: sum(task in row.tasks for task in tasks))
    return [task for task in tasks if task in most.tasks]


def _is_clear(row: Row, best: Row, tasks: Sequence[str], loss: float) -> bool:
    """Tell whether a row is worse whatever its items have in common with the best's: then these are not read."""
    both = [spreads.mean([one.spreads.get(task) for task in tasks]) for one in (row, best)]
    errors = [found.se for found in both if found is not None and found.se is not None and not found.weak]
    return len(errors) == 2 and loss > _SURELY * sum(errors)


def _difference(row: Row, best: Row, tasks: Sequence[str], evidence: Evidence) -> Difference | None:
    """Return a row's mean score less the best's; None where one of the tasks cannot be compared."""
    if row.parent is best:
        found = [row.delta.get(task) for task in tasks]
    elif best.parent is row:
        found = [other.turned if (other := best.delta.get(task)) else None for task in tasks]
    else:
        found = [beside(row.scores, best.scores, t, evidence, instructions=False).difference for t in tasks]
    known = [one for one in found if one is not None]
    if len(known) < len(tasks):
        return None
    mean = difference.mean(known)
    return mean if mean.n == len(tasks) else None


def _option(row: Row, best: Row, quality: float, found: Difference | None) -> Option:
    own, other = row.cost, best.cost
    smaller = other.file_bytes / own.file_bytes if own and other and own.file_bytes and other.file_bytes else None
    return Option(row, quality, found, _faster(row, best), smaller)


def _faster(row: Row, best: Row) -> float | None:
    """Return the speed over the best's: in turns where both are of one family, else as filed, on one machine."""
    if row is best:
        return 1.0 if row.figures.faster or (row.cost and row.cost.texts_per_second) else None
    head, other = row.parent or row, best.parent or best
    if head is other:
        mine, theirs = row.figures, best.figures
        here = head in (row, best) or mine.device == theirs.device
        return mine.faster / theirs.faster if here and mine.faster and theirs.faster else None
    own, their = row.cost, best.cost
    if not (own and their and own.texts_per_second and their.texts_per_second and own.device == their.device):
        return None
    return own.texts_per_second / their.texts_per_second


def _cheapest(best: Option, near: Sequence[Option]) -> Option:
    """Return the fastest; of those as fast, or where no speed differs, the smallest; of those the highest score."""
    options = [best, *near]
    fastest = max((option.faster or 0.0 for option in options), default=0.0)
    if fastest >= WORTH:
        return next(option for option in options if option.faster and alike(fastest / option.faster))
    cheaper = [option for option in options if option.is_cheaper]
    smallest = max((option.smaller or 0.0 for option in cheaper), default=0.0)
    return next((o for o in cheaper if o.smaller and alike(smallest / o.smaller)), best)
