"""The drift gate: the same model on the same data, after a change of code, library or machine.

Embeddings are deterministic, so nothing here is a test of chance: three kinds of evidence, each with its limit.

| evidence                                                                   | limit  |
|----------------------------------------------------------------------------|--------|
| largest 1 - cosine of a text's two vectors, over the probes of both sides  | 1e-4   |
| share of top-10 lists that changed, by task (retrieval and reranking)      | 0.01   |
| change of a task's score, fraction of 1                                    | 0.001  |

Another model, variant or instruction is no drift: that is a question of quality, and NOT COMPARABLE here. So is a side
without a probe: vectors from the cache say nothing of the code that runs now.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from instructor_eval.analysis.format import some
from instructor_eval.analysis.gate.limits import DriftLimits
from instructor_eval.analysis.gate.quality import NOT_COMPARABLE, OK, REGRESSED
from instructor_eval.analysis.statistics import difference
from instructor_eval.analysis.statistics.estimates import NotComparableError
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.probe import COUNT, Probe, distance
from instructor_eval.results.score import Score

if TYPE_CHECKING:
    from instructor_eval.analysis.compare.side import Side

TOP = 10
_QUALITY = "that is a question of quality: evaluate gate --gate quality"
_ROUNDING = 1e-12
"""0.501 - 0.5 is a little more than 0.001 in binary."""


@dataclass(frozen=True)
class VectorDrift:
    """Movement of the sample's vectors."""

    verdict: str
    message: str
    cosine: float | None = None
    """Largest 1 - cosine."""
    text: int | None = None
    """The number of that text in the sample."""
    texts: int = 0
    exact: bool = False
    """True where every vector is the same, bit by bit."""


@dataclass(frozen=True)
class TaskDrift:
    """One task on both sides."""

    task: str
    verdict: str
    message: str
    baseline: float | None = None
    candidate: float | None = None
    delta: float | None = None
    """Candidate - baseline; fraction of 1."""
    lists: int = 0
    """Top-10 lists compared; 0 where the task has none."""
    lists_changed: int = 0
    items: int = 0
    items_changed: int = 0
    """Those whose part of the score is another, by however little."""
    exact: bool = False
    """True where every value of every item is the same, bit by bit."""
    notes: tuple[str, ...] = ()

    @property
    def top10(self) -> float | None:
        """Share of the lists that changed; None where the task has none."""
        return self.lists_changed / self.lists if self.lists else None


@dataclass(frozen=True)
class Drift:
    """The drift gate's outcome."""

    verdict: str
    baseline: str
    candidate: str
    limits: DriftLimits
    vectors: VectorDrift
    tasks: list[TaskDrift]
    changes: tuple[str, ...] = ()
    """Changes in code, libraries and machine, as "torch 2.9 -> 2.10"."""
    notes: tuple[str, ...] = ()
    gate: str = "drift"

    @property
    def exact(self) -> bool:
        """Return whether nothing at all has changed: not a bit of a vector, no list, no item, no score."""
        return self.vectors.exact and all(t.exact for t in self.tasks)

    @property
    def line(self) -> str:
        """The outcome in one line."""
        parts: list[tuple[str, str]] = [(self.vectors.verdict, self.vectors.message)]
        parts += [(t.verdict, f"{t.task}: {t.message}") for t in self.tasks]
        decisive = [message for verdict, message in parts if verdict == self.verdict]
        if self.verdict != OK:
            more = f" (and {len(decisive) - 1} more)" if len(decisive) > 1 else ""
            return f"drift: {self.verdict}: {decisive[0] if decisive else 'there are no tasks'}{more}"
        if self.exact:
            n = len(self.tasks)
            return f"drift: {OK}: exact: {self.vectors.texts} vectors and every item of {n} tasks are the same"
        deltas = [abs(t.delta) for t in self.tasks if t.delta is not None]
        lists, changed = sum(t.lists for t in self.tasks), sum(t.lists_changed for t in self.tasks)
        return (
            f"drift: {self.verdict}: largest 1 - cosine {_short(self.vectors.cosine)}, {changed:,} of {lists:,} top-10 "
            f"lists changed, largest change of a score {_short(max(deltas, default=0.0))}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return all of it for JSON; shares and scores are fractions of 1."""
        raw = dataclasses.asdict(self)
        for task, found in zip(raw["tasks"], self.tasks, strict=True):
            task["top10"] = found.top10
        raw["limits"] = msgspec.to_builtins(self.limits)
        return raw | {"exact": self.exact, "line": self.line}


def assess(
    baseline: Side,
    candidate: Side,
    probes: tuple[Probe | None, Probe | None],
    limits: DriftLimits | None = None,
) -> Drift:
    """Decide whether the same model still gives the same here.

    Args:
        baseline: As it was.
        candidate: As it is now.
        probes: Of the baseline and the candidate (`probe.newest`); None where a side has none.
        limits: How far each may move.

    Returns:
        REGRESSED where anything moved further; else NOT COMPARABLE where anything could not be compared; else OK.
    """
    limits = limits or DriftLimits()
    vectors = compare_vectors(probes[0], probes[1], limits.cosine)
    names = dict.fromkeys([*baseline.values, *baseline.failed, *candidate.values, *candidate.failed])
    tasks = [_task(name, baseline, candidate, limits) for name in sorted(names)]
    notes = [note for side, own in zip((baseline, candidate), probes, strict=True) for note in _others(side, own)]
    found = {vectors.verdict, *(t.verdict for t in tasks)}
    verdict = next((v for v in (REGRESSED, NOT_COMPARABLE) if v in found), OK if tasks else NOT_COMPARABLE)
    before, now = probes
    changes = changed(before, now) if before and now else ()
    return Drift(verdict, baseline.label, candidate.label, limits, vectors, tasks, changes, tuple(notes))


def compare_vectors(before: Probe | None, now: Probe | None, limit: float) -> VectorDrift:
    """Return the largest 1 - cosine between the two vectors of a text, in float64; exactly 0 for equal vectors."""
    if before is None or now is None:
        who = "baseline" if before is None else "candidate"
        step = "run a task again with --no-cache and a new --results folder"
        return VectorDrift(NOT_COMPARABLE, f"the {who} has no probe of its vectors: {step}")
    for what, a, b in (
        ("model or variant", before.fingerprint, now.fingerprint),
        ("instruction", before.instruction, now.instruction),
    ):
        if a != b:
            return VectorDrift(NOT_COMPARABLE, f"the probes are of another {what}: {_QUALITY}")
    off = distance(before, now)
    if off is None:
        return VectorDrift(NOT_COMPARABLE, "the probes are of another sample of texts: run the baseline again")
    exact = before.vectors.tobytes() == now.vectors.tobytes()
    worst = int(off.argmax())
    largest, texts = float(off[worst]), len(off)
    over = largest > limit
    message = (
        f"{texts} vectors are the same, bit by bit"
        if exact
        else f"largest 1 - cosine of {_counted(texts)} is {_short(largest)}, "
        f"{'over' if over else 'within'} {_short(limit)}"
    )
    return VectorDrift(REGRESSED if over else OK, message, largest, worst, texts, exact)


def _counted(rows: int) -> str:
    """Return what the rows of a probe are of."""
    return f"{rows} texts" if rows <= COUNT else f"{COUNT} texts and {rows - COUNT} pictures"


def changed(before: Probe, now: Probe) -> tuple[str, ...]:
    """Return what is different in code, libraries and machine."""
    changes = []
    for a, b in ((before.versions, now.versions), (before.machine, now.machine)):
        changes += [f"{key} {_or_none(a, key)} -> {_or_none(b, key)}" for key in {**a, **b} if a.get(key) != b.get(key)]
    return tuple(changes)


def _or_none(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    return "(none)" if value is None else str(value)


def _others(side: Side, probe: Probe | None) -> list[str]:
    """Tell whether scores of a side were made with other probes than the one that is compared."""
    if probe is None:
        return []
    others = [s.task for s in side.scores.values() if s.environment.probe not in (None, probe.name)]
    if not others:
        return []
    return [f"{side.label}: the probe is not that of {some(others)}, made elsewhere or at another time"]


def _task(name: str, baseline: Side, candidate: Side, limits: DriftLimits) -> TaskDrift:
    """Compare one task on both sides; whatever prevents that is its message."""
    try:
        theirs, mine = _score(name, baseline, "baseline"), _score(name, candidate, "candidate")
        reason = _why_not(mine, theirs)
        if reason:
            raise NotComparableError(reason)
        if baseline.read is None or candidate.read is None:
            raise NotComparableError("one side has no items")
        return _judge(mine, theirs, candidate.read(mine), baseline.read(theirs), limits)
    except (NotComparableError, UserError) as e:
        return TaskDrift(name, NOT_COMPARABLE, str(e))
    except (LookupError, TypeError, ValueError, ArithmeticError) as e:  # what columns of a damaged file lead to
        return TaskDrift(name, NOT_COMPARABLE, f"its items cannot be read: {e}: run the task again")


def _score(name: str, side: Side, what: str) -> Score:
    """Return a side's score of a task.

    Raises:
        NotComparableError: it has none.
    """
    if name in side.failed:
        raise NotComparableError(f"it failed in the {what}: {side.failed[name]}")
    score = side.scores.get(name)
    if score is None:
        why = "has a published score only" if name in side.values else "does not have it"
        raise NotComparableError(f"the {what} {why}")
    return score


def _why_not(mine: Score, theirs: Score) -> str | None:
    """Return why two scores are not one evaluation of one model; None where they are."""
    if mine.model.fingerprint != theirs.model.fingerprint:
        return f"another model or variant: {_QUALITY}"
    reason = difference.why_not(mine, theirs)
    return f"{reason}: {_QUALITY}" if reason == "other instruction texts" else reason


def _judge(mine: Score, theirs: Score, own: Items, others: Items, limits: DriftLimits) -> TaskDrift:
    """Judge one task of one model by the items of both sides.

    Raises:
        NotComparableError: the items are not the same ones, or not those of the scores.
        UserError: they are not whole.
        LookupError: a column is missing.
    """
    from instructor_eval.analysis.statistics import matching  # numpy
    from instructor_eval.analysis.statistics.contributions import contributions

    matching.check(mine, own, "candidate")
    matching.check(theirs, others, "baseline")
    own, others, _ = matching.matched(mine.metric, own, others)
    ids, parts = contributions(mine.metric, own)
    _, before = contributions(mine.metric, others)
    changed_parts = int((parts != before).sum())
    lists, lists_changed = _lists(own, others)
    after, was = mine.score or 0.0, theirs.score or 0.0
    delta = after - was
    share = lists_changed / lists if lists else 0.0
    same = all(own[column] == others[column] for column in own.keys() & others.keys())
    exact = delta == 0 and same and not changed_parts and not lists_changed
    wrong = []
    if abs(delta) > limits.score + _ROUNDING:
        wrong.append(f"the score changed by {delta:+.5f}, over {_short(limits.score)}")
    if share > limits.top10 + _ROUNDING:
        wrong.append(f"{share:.1%} of {lists:,} top-10 lists changed, over {limits.top10:.1%}")
    summary = "exact" if exact else f"score {delta:+.6f}, {changed_parts:,} of {len(ids):,} items changed"
    if lists_changed and not wrong:
        summary += f", {lists_changed:,} of {lists:,} top-10 lists"
    return TaskDrift(
        mine.task,
        REGRESSED if wrong else OK,
        "; ".join(wrong) or summary,
        was,
        after,
        delta,
        lists,
        lists_changed,
        len(ids),
        changed_parts,
        exact,
        tuple(f"{side}: {note}" for side, s in (("baseline", theirs), ("candidate", mine)) for note in _stale(s)),
    )


def _stale(score: Score) -> list[str]:
    """Tell whether a score was made of vectors that other code may have computed."""
    hits, unique, fresh = score.counts.hits, score.counts.unique, score.environment.fresh
    if fresh or (fresh is None and not hits):
        return []
    vectors = f"{hits:,} of {unique:,} vectors" if hits else "vectors"
    return [f"{vectors} came from the cache: they say nothing of what computes now (--no-cache)"]


def _lists(own: Items, others: Items) -> tuple[int, int]:
    """Return top-10 lists, and those that differ, in members or in order; a compact baseline has hashes of them."""
    from instructor_eval.analysis.compare.compact import top_hashes

    mine, theirs = (top_hashes(_ten(items)) for items in (own, others))
    if mine is None or theirs is None:
        return 0, 0
    return len(theirs), sum(a != b for a, b in zip(mine, theirs, strict=True))


def _ten(items: Items) -> Items:
    return items | {"top": [top[:TOP] for top in items["top"]]} if "top" in items else items


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
