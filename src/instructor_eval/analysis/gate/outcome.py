"""The outcome of a gate: the verdicts of quality, drift and speed as one, in the words that all outputs share."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from instructor_eval.analysis.format import interval_text, p_cell, score_text
from instructor_eval.analysis.gate.limits import Thresholds
from instructor_eval.analysis.gate.quality import (
    EXIT_CODES,
    INCONCLUSIVE,
    OK,
    ORDER,
    REGRESSED,
    Judgement,
    TaskVerdict,
    worst,
)
from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.core.errors import one_line

if TYPE_CHECKING:
    from instructor_eval.analysis.compare.compare import TaskComparison
    from instructor_eval.analysis.gate.drift import Drift
    from instructor_eval.analysis.gate.speed import Speed

NOTHING = "the two sides have no task that can be compared"
_MOST_LEFT_OUT = 10


@dataclass(frozen=True)
class Part:
    """One thing that the drift gate or the speed gate looked at."""

    name: str
    """`vectors`, a task, a form of the model ..."""
    verdict: str
    message: str
    """One line: what was found, and the limit."""


@dataclass(frozen=True)
class Plain:
    """The outcome of a gate that makes no statistical test, in the shape that all outputs take."""

    gate: str
    """drift | speed"""
    verdict: str
    line: str
    """The finding on one line, without gate and verdict."""
    baseline: str = ""
    candidate: str = ""
    parts: Sequence[Part] = ()
    notes: Sequence[str] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)
    """All of it, for gate.json: plain values only."""


@dataclass(frozen=True)
class Outcome:
    """All that one invocation of `evaluate gate` has decided."""

    judgements: Sequence[Judgement] = ()
    """The quality gate's, one a baseline."""
    plain: Sequence[Plain] = ()
    """The other gates', in the order they are shown."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    command: Sequence[str] = ()
    """The invocation."""
    fail_on_inconclusive: bool = False
    report: str | None = None
    """Where a report of the run can be seen (`files.report_url`)."""

    @property
    def verdicts(self) -> dict[str, str]:
        """Gate -> its verdict, of the gates that ran."""
        found: dict[str, list[str]] = {}
        ended = [(j.gate, j.verdict) for j in self.judgements] + [(p.gate, p.verdict) for p in self.plain]
        for gate, verdict in ended:
            found.setdefault(gate, []).append(verdict)
        return {gate: worst(verdicts) for gate, verdicts in found.items()}

    @property
    def verdict(self) -> str:
        """The worst of the gates'; where none ran, NOT COMPARABLE."""
        return worst(list(self.verdicts.values()))

    @property
    def exit_code(self) -> int:
        """Return the exit code of the command."""
        passes = self.verdict == INCONCLUSIVE and not self.fail_on_inconclusive
        return 0 if passes else EXIT_CODES[self.verdict]

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Verdict and words of every gate and baseline, in order."""
        found = [(j.gate, j.verdict, _line(j), _whom(j)) for j in self.judgements]
        found += [(p.gate, p.verdict, f"{p.gate}: {cut(p.line, 400)}", p.baseline) for p in self.plain]
        gates = [gate for gate, *_ in found]
        return [
            (verdict, f"{said} (against {cut(against, 160)})" if gates.count(gate) > 1 else said)
            for gate, verdict, said, against in found
        ]

    @property
    def headline(self) -> str:
        """One line: the verdict, and the words of the first gate that has it."""
        verdict = self.verdict
        return f"{verdict}: {next((said for v, said in self.lines if v == verdict), 'no gate ran')}"


def of_drift(drift: Drift) -> Plain:
    """Return the drift gate's outcome in the common shape."""
    parts = [Part("vectors", drift.vectors.verdict, drift.vectors.message)]
    parts += [Part(t.task, t.verdict, t.message) for t in drift.tasks]
    notes = [*drift.notes, *(f"{t.task}: {note}" for t in drift.tasks for note in t.notes)]
    if drift.changes:
        notes.insert(0, f"other than before: {', '.join(drift.changes)}")
    return Plain(
        drift.gate, drift.verdict, _bare(drift), drift.baseline, drift.candidate, parts, notes, drift.as_json()
    )  # fmt: skip


def of_speed(speed: Speed) -> Plain:
    """Return the speed gate's outcome in the common shape."""
    line = _bare(speed)
    return Plain(
        speed.gate, speed.verdict, line, speed.baseline, speed.candidate,
        [Part("time", speed.verdict, line)], speed.notes, speed.as_json(),
    )  # fmt: skip


def suite_names(gates: Sequence[str]) -> list[str]:
    """Return names that differ for gates that ran more than once: `quality`, `quality-2`."""
    return [gate if (n := gates[:i].count(gate)) == 0 else f"{gate}-{n + 1}" for i, gate in enumerate(gates)]


def _bare(found: Drift | Speed) -> str:
    """Return its line without gate and verdict, which stand beside it everywhere."""
    return found.line.removeprefix(f"{found.gate}: ").removeprefix(f"{found.verdict}: ")


def ordered(judgement: Judgement) -> list[TaskVerdict]:
    """Return the mean first, then the tasks, the worst verdict and the largest loss first."""

    def key(row: TaskVerdict) -> tuple[int, float, str]:
        return ORDER.index(row.verdict), row.difference.delta if row.difference else math.inf, row.name

    return [*([judgement.macro] if judgement.macro else []), *sorted(judgement.tasks, key=key)]


def regressed(judgement: Judgement) -> list[tuple[TaskVerdict, TaskComparison]]:
    """Return the tasks that are REGRESSED, without the mean, the largest loss first."""
    return [(r, r.comparison) for r in ordered(judgement) if r.verdict == REGRESSED and r.comparison is not None]


def cells(row: TaskVerdict) -> list[str]:
    """Return baseline, candidate, difference, adjusted p and margin as texts, in points; "" if unknown."""
    task = row.comparison
    p = "" if row.p_adjusted is None else p_cell(row.p_adjusted)
    return [
        score(task.baseline if task else None),
        score(task.candidate if task else None),
        interval(row.difference),
        p,
        f"{100 * row.margin:.2f}",
    ]


def score(value: float | None) -> str:
    """Return a score in points."""
    return (score_text(value) or "") if value is None or math.isfinite(value) else ""


def interval(difference: Difference | None) -> str:
    """Return a difference in points with its 95 % interval: `-5.90 [-7.60, -4.20]`."""
    if difference is None or not math.isfinite(difference.delta):
        return ""
    return interval_text(difference)


def cut(text: str, most: int) -> str:
    """Return `text` on one line of at most `most` characters (10 or more); a cut one ends with a hash of the whole."""
    line = one_line(text)
    if len(line) <= most:
        return line
    mark = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{line[: max(0, most - 10)]}…#{mark}"


def repeat_command(row: TaskVerdict) -> list[str]:
    """Return the command that runs this task alone again; empty where none is known."""
    return list(row.comparison.repeat) if row.comparison else []


def counts(rows: Sequence[TaskVerdict | Part]) -> str:
    """Return `2 REGRESSED, 8 OK`."""
    found = [(v, sum(r.verdict == v for r in rows)) for v in ORDER]
    return ", ".join(f"{n} {v}" for v, n in found if n)


def left_out(rows: Sequence[TaskVerdict | Part]) -> str:
    """Return what a table does not show: `and 380 more rows, all OK`."""
    kinds = {r.verdict for r in rows}
    more = f"and {len(rows)} more row{'s' * (len(rows) != 1)}"
    return more + (f", all {kinds.pop()}" if len(kinds) == 1 < len(rows) else f": {counts(rows)}")


def partly(judgement: Judgement) -> list[str]:
    """Return what `--intersect` left out: tasks of one side only, and items."""
    lost = judgement.comparison.left_out
    more = f" and {len(lost) - _MOST_LEFT_OUT} more" if len(lost) > _MOST_LEFT_OUT else ""
    tasks = (
        [f"left out, only on one side: {', '.join(cut(t, 80) for t in lost[:_MOST_LEFT_OUT])}{more}"] if lost else []
    )
    notes = [f"{cut(t.task, 80)}: {cut(note, 200)}" for t in judgement.comparison.comparable for note in t.notes]
    return [*tasks, *notes[:_MOST_LEFT_OUT]]


def _whom(judgement: Judgement) -> str:
    """Return the baseline, and where it was read: the last and the pinned one may be the same model."""
    comparison = judgement.comparison
    return f"{comparison.baseline} in {comparison.baseline_source}"


def _line(judgement: Judgement) -> str:
    """Return what decided a judgement, and how many tasks there are of each verdict."""
    row = next((r for r in ordered(judgement) if r.verdict == judgement.verdict), None)
    if row is None:
        return NOTHING
    tail = f"; {len(judgement.tasks)} tasks: {counts(judgement.tasks)}" if len(judgement.tasks) > 1 else ""
    return f"{cut(row.name, 80)} {cut(_said(row, judgement.adjustment.p_name), 300)}{tail}"


def _said(row: TaskVerdict, p_name: str) -> str:
    """Return what the first line says of a task: its numbers if there are any, and the reason."""
    if row.difference is None or row.difference.low is None:
        return f"({one_line(row.message)})"
    margin = f", margin {100 * row.margin:.2f}"
    p = f", {p_name} {cells(row)[3]}" if row.verdict == REGRESSED and row.p_adjusted is not None else ""
    needs_reason = row.verdict == INCONCLUSIVE or (row.verdict == OK and row.same_model)
    why = f" ({one_line(row.message)})" if needs_reason else ""
    delta, ends = interval_text(row.difference).split(" ", 1)
    return f"{delta} points {ends}{margin}{p}{why}"
