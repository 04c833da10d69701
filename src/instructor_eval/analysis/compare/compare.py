"""Two sides, task by task: differences with intervals, p-values, what items moved. Reads results, never a model.

The macro mean leads: every comparable task counts once, whatever it has items. Published scores have no items: their
differences stand without intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from instructor_eval import metrics
from instructor_eval.analysis.compare.likeness import UNKNOWN, Likeness, likeness, of_all
from instructor_eval.analysis.compare.side import Side, wholes
from instructor_eval.analysis.statistics import difference as stats
from instructor_eval.analysis.statistics.estimates import Chance, Difference, NotComparableError
from instructor_eval.analysis.statistics.matching import Moved
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.published import why_not as why_not_published
from instructor_eval.results.repeat import command_of
from instructor_eval.results.score import Score
from instructor_eval.tasks.cards import shipped_cards

MOST_MOVED = 20
"""So many items that lost most are listed, and as many that gained."""
_SAME = 1e-9
_WORKERS = 2
_PER_TASK = 100
"""Assignments drawn for each task compared, where that is more than usual: a p adjusted for 500 tasks can be small."""


@dataclass(frozen=True)
class TaskComparison:
    """The candidate beside the baseline on one task; scores and differences are fractions of 1."""

    task: str
    type: str
    metric: str
    unit: str
    baseline: float | None
    candidate: float | None
    difference: Difference | None = None
    chance: Chance | None = None
    """None where there are no items."""
    p_t: float | None = None
    """One-sided p of the paired t test that nothing is lost; only for means over items."""
    n: int = 0
    """Units compared."""
    wins: int = 0
    ties: int = 0
    losses: int = 0
    lost: tuple[Moved, ...] = ()
    gained: tuple[Moved, ...] = ()
    not_comparable: str | None = None
    """The reason that nothing can be compared; None where something is."""
    notes: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    """The command that made the candidate's score."""
    repeat: tuple[str, ...] = ()
    """The command that makes it alone again; empty where that is not known."""
    likeness: Likeness = UNKNOWN
    """Where no item changed: the likeness of the vectors."""

    @property
    def changed(self) -> int:
        """Units whose part of the score differs."""
        return self.wins + self.losses


@dataclass(frozen=True)
class Comparison:
    """Everything that two sides show beside each other."""

    baseline: str
    candidate: str
    tasks: list[TaskComparison]
    types: dict[str, Difference] = field(default_factory=dict)
    """Task type -> mean difference of its comparable tasks."""
    macro: Difference | None = None
    """Mean difference of all comparable tasks; None where there is none."""
    macro_chance: Chance | None = None
    baseline_source: str = ""
    candidate_source: str = ""
    left_out: tuple[str, ...] = ()
    """Tasks that only one side has, where these were not asked for."""

    @property
    def comparable(self) -> list[TaskComparison]:
        """The tasks that something can be said of."""
        return [t for t in self.tasks if t.difference is not None]


def compare(
    baseline: Side,
    candidate: Side,
    *,
    intersect: bool = False,
    tasks: Sequence[str] | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Comparison:
    """Compare every task that one of the sides has.

    Args:
        baseline: What is compared with.
        candidate: What is compared.
        intersect: Leave out, and note, items and tasks that only one side has; else they keep a task, or the whole,
            from being comparable. What the candidate failed at stays, and is not comparable.
        tasks: Only these; by default all, the parts of a whole that both have left out.
        say: Called with each task as it is done.
    """
    names = list(tasks) if tasks is not None else _tasks(baseline, candidate, intersect=intersect)
    how = _How(intersect, draws(len(names)))
    done = 0

    def one(name: str) -> TaskComparison:
        nonlocal done
        found = _task(name, baseline, candidate, how)
        done += 1
        say(f"{done} of {len(names)} tasks compared: {name}")
        return found

    with ThreadPoolExecutor(_WORKERS) as pool:
        found = list(pool.map(one, names))
    by_type: dict[str, list[Difference]] = {}
    for task in found:
        if task.difference is not None:
            by_type.setdefault(task.type, []).append(task.difference)
    differences = [t.difference for t in found if t.difference is not None]
    macro = stats.mean(differences) if differences else None
    return Comparison(
        baseline.label,
        candidate.label,
        found,
        {kind: stats.mean(of_kind) for kind, of_kind in by_type.items()},
        macro,
        chance_of_mean(macro, [t for t in found if t.difference is not None]),
        baseline.source,
        candidate.source,
        () if tasks is not None else _left_out(baseline, candidate, names),
    )


def chance_of_mean(mean: Difference | None, tasks: Sequence[TaskComparison]) -> Chance | None:
    """Return the p-values of a mean of tasks: of one its own, of several by t around the mean's standard error."""
    if mean is None or mean.se is None:
        return None
    return tasks[0].chance if len(tasks) == 1 else stats.chance_of_mean(mean)


def _tasks(baseline: Side, candidate: Side, *, intersect: bool) -> list[str]:
    """The tasks of either side, in the order of the baseline's; of a whole and its parts, the whole."""
    every = _every(baseline, candidate)
    both = [n for n in every if n in baseline.values and n in candidate.values]
    # What the candidate failed at is not lacking: no crash is made a pass by leaving it out.
    broken = [task for task in candidate.failed if task in baseline.values]
    some = intersect or not (baseline.scores and candidate.scores)  # far more is published than anyone runs
    return _in_order(wholes([*both, *broken] if some else every, both))


def _every(baseline: Side, candidate: Side) -> list[str]:
    return list(dict.fromkeys([*baseline.values, *baseline.failed, *candidate.values, *candidate.failed]))


def _in_order(names: Iterable[str]) -> list[str]:
    """Tasks as the cards have them, the user's own behind them by name."""
    order = {name: i for i, name in enumerate(shipped_cards())}
    return sorted(names, key=lambda n: (order.get(n, len(order)), n))


def _left_out(baseline: Side, candidate: Side, names: Sequence[str]) -> tuple[str, ...]:
    """Tasks of one side that are not compared, but for parts of those that are."""
    return tuple(_in_order(wholes((n for n in _every(baseline, candidate) if n not in names), names)))


@dataclass(frozen=True)
class _How:
    """Settings shared by all tasks of a comparison."""

    intersect: bool
    resamples: int


def draws(tasks: int) -> int:
    """Return how many assignments a drawn p-value counts in a comparison of so many tasks."""
    from instructor_eval.analysis.statistics.randomise import RESAMPLES  # numpy

    return max(RESAMPLES, _PER_TASK * tasks)


def _task(name: str, baseline: Side, candidate: Side, how: _How) -> TaskComparison:
    """One task; whatever keeps it from being compared is said in `not_comparable`."""
    found = _begun(name, baseline, candidate)
    obstacle = _obstacle(name, baseline, candidate)
    if obstacle:
        return replace(found, not_comparable=obstacle)
    mine, theirs = candidate.scores.get(name), baseline.scores.get(name)
    if mine is None or theirs is None or candidate.read is None or baseline.read is None:
        kind = baseline.kind if baseline.read is None else candidate.kind
        note = f"{kind} scores have no items: no interval"
        bare = (found.candidate or 0.0) - (found.baseline or 0.0)
        return replace(found, difference=Difference(bare), notes=(note,))
    try:
        if metrics.is_of_parts(mine.metric):
            return _whole(found, baseline, candidate, how)
        own, others = (getattr(read, "light", read)(s) for read, s in ((candidate.read, mine), (baseline.read, theirs)))
        compared = _from_items(found, mine, theirs, own, others, how)
        unchanged = compared.n > 0 and not compared.changed
        return replace(compared, likeness=likeness(mine, theirs, candidate, baseline) if unchanged else UNKNOWN)
    except (NotComparableError, UserError) as e:
        return replace(found, not_comparable=str(e))
    except (LookupError, TypeError, ValueError, ArithmeticError) as e:  # what columns of a damaged file lead to
        return replace(found, not_comparable=f"its items cannot be read ({e!r}): run the task again")


def _obstacle(name: str, baseline: Side, candidate: Side) -> str | None:
    """Return why a task cannot be compared, as far as the scores alone say."""
    for side, what, other in ((baseline, "baseline", "candidate"), (candidate, "candidate", "baseline")):
        if name in side.failed:
            return f"it failed in the {what}: {side.failed[name]}"
        if _value(name, side) is None:
            return f"only in the {other}"
    mine, theirs = candidate.scores.get(name), baseline.scores.get(name)
    if mine and theirs:
        return stats.why_not(mine, theirs, instructions=False)
    score = mine or theirs
    return why_not_published(score) if score else None


def _value(name: str, side: Side) -> float | None:
    """A task's score; parts of a whole are among the stored scores only."""
    return side.values.get(name, side.scores[name].score if name in side.scores else None)


def _begun(name: str, baseline: Side, candidate: Side) -> TaskComparison:
    """One task with what the scores alone say."""
    score = candidate.scores.get(name) or baseline.scores.get(name)
    card = shipped_cards().get(name)
    kind = score.type if score else card.type if card else ""
    metric = score.metric if score else card.metric if card else ""
    mine = candidate.scores.get(name)
    return TaskComparison(
        name,
        kind,
        metric,
        metrics.unit_of(metric),
        _value(name, baseline),
        _value(name, candidate),
        command=tuple(mine.command) if mine else (),
        # A baseline's manifest keeps no command, and too little of a score to render one from.
        repeat=tuple(command_of(mine)) if mine and mine.command else (),
    )


def _from_items(
    found: TaskComparison, mine: Score, theirs: Score, own: Items, others: Items, how: _How
) -> TaskComparison:
    """The statistics of one task, from the items of both.

    Raises:
        NotComparableError: not the same items, gold values, or a value that is not a number.
        UserError: items that are not whole, or not those that the scores were computed from.
    """
    from instructor_eval.analysis.statistics import matching  # numpy

    for score, items, what in ((mine, own, "candidate"), (theirs, others, "baseline")):
        matching.check(score, items, what)
    seed = f"{mine.identity} {theirs.identity} {mine.task}"
    *same, notes = matching.matched(found.metric, own, others, intersect=how.intersect)
    # Of the items as they are stored: the authors' median of bootstrap means depends on their order.
    difference = stats.paired(found.metric, *(same if notes else (own, others)), seed_text=seed)
    own, others = same
    moves = matching.moved(found.metric, own, others, most=MOST_MOVED)
    return replace(
        found,
        baseline=metrics.compute(found.metric, others) if notes else found.baseline,
        candidate=metrics.compute(found.metric, own) if notes else found.candidate,
        difference=difference,
        chance=matching.chance(found.metric, own, others, seed_text=seed, resamples=how.resamples),
        p_t=stats.p_of_t(difference) if difference.method == "t" else None,
        n=moves.n,
        wins=moves.wins,
        ties=moves.n - moves.wins - moves.losses,
        losses=moves.losses,
        lost=moves.lost,
        gained=moves.gained,
        notes=notes,
    )


def _whole(found: TaskComparison, baseline: Side, candidate: Side, how: _How) -> TaskComparison:
    """A task that is the mean of its parts: the mean of their differences.

    Raises:
        NotComparableError: other parts, or one that cannot be compared.
    """
    if candidate.read is None or baseline.read is None:
        raise NotComparableError("no items")
    names, others = (
        [str(i) for i in side.read(side.scores[found.task])["id"]] if side.read else []
        for side in (candidate, baseline)
    )
    if sorted(names) != sorted(others):
        raise NotComparableError("other parts")
    parts = [_task(name, baseline, candidate, how) for name in sorted(names)]
    bad = next((p for p in parts if p.difference is None or metrics.is_of_parts(p.metric)), None)
    if bad is not None or not parts:
        raise NotComparableError(f"part {bad.task}: {bad.not_comparable}" if bad else "no parts")
    difference = stats.mean([p.difference for p in parts if p.difference is not None])
    notes = tuple(f"{p.task}: {note}" for p in parts for note in p.notes)
    bare = (found.candidate or 0.0) - (found.baseline or 0.0)
    if not notes and abs(difference.delta - bare) > _SAME:
        raise UserError("its parts are not those that its score was computed from: run it again")
    moved = [
        Moved(p.task, p.baseline, p.candidate, p.difference.delta)
        for p in parts
        if p.baseline is not None and p.candidate is not None and p.difference is not None
    ]
    moved.sort(key=lambda m: (m.delta, m.id))
    wins, losses = sum(m.delta > 0 for m in moved), sum(m.delta < 0 for m in moved)
    return replace(
        found,
        difference=difference,
        chance=stats.chance_of_mean(difference),
        n=len(parts),
        wins=wins,
        ties=len(parts) - wins - losses,
        likeness=of_all([p.likeness for p in parts]) if not any(p.changed for p in parts) else UNKNOWN,
        losses=losses,
        lost=tuple(m for m in moved if m.delta < 0)[:MOST_MOVED],
        gained=tuple(m for m in reversed(moved) if m.delta > 0)[:MOST_MOVED],
        notes=notes,
    )
