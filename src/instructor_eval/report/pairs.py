"""Two rows beside each other, task by task: a line each with its difference and interval, drawn on one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.analysis.format import interval_text, score_text
from instructor_eval.analysis.statistics import difference
from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.report import svg
from instructor_eval.report.lines import INSTRUCTIONS, Differences, Line, differences

WIDTH = 200
"""Of the drawing beside each task."""
_NO_SET = "none"


@dataclass(frozen=True)
class PairRow:
    """One task, or the mean of all; places on the axis are in the drawing's units."""

    name: str
    baseline: str
    candidate: str
    delta: str
    verdict: str
    at: int
    low: int | None
    high: int | None
    column: int | None = None
    """The task's column on the page; None for a mean."""
    word: str = ""
    """A gate's verdict."""
    note: str = ""


@dataclass(frozen=True)
class Pair:
    """A candidate beside what it is compared with."""

    candidate: str
    baseline: str
    rows: list[PairRow]
    """The mean first, then what lost most."""
    zero: int
    """Where no difference is."""
    left_out: list[str]
    """Tasks that cannot be compared, each with its reason."""


def pair(
    candidate: str,
    baseline: str,
    deltas: Mapping[str, Difference],
    scores: tuple[Mapping[str, float], Mapping[str, float]],
    *,
    columns: Mapping[str, int],
    macro: Difference | None = None,
    not_comparable: Mapping[str, str] | None = None,
    words: Mapping[str, tuple[str, str]] | None = None,
) -> Pair:
    """Return a pair, drawn.

    Args:
        candidate: What it is called.
        baseline: What it is compared with.
        deltas: Task -> the candidate's score less the baseline's.
        scores: The candidate's scores by task, and the baseline's.
        columns: Task -> its column on the page.
        macro: The mean of the differences, where there are several.
        not_comparable: Task -> why nothing can be said.
        words: Task -> a gate's verdict and what stands behind it; the empty name is the mean's.
    """
    named = dict(deltas)
    shown = [macro] if macro is not None and len(named) > 1 else []
    values = [v for d in (*named.values(), *shown) for v in (d.delta, d.low, d.high) if v is not None]
    scale = svg.Scale(*svg.around_zero(values), 0.0, float(WIDTH))

    def axis(value: float) -> int:
        return round(scale(value))

    def row(name: str, found: Difference, task: str | None) -> PairRow:
        low, high = ((axis(v) if v is not None else None) for v in (found.low, found.high))
        mine, theirs = ((score_text(side.get(task)) or "") if task else "" for side in scores)
        column = columns.get(task) if task else None
        said = (words or {}).get(task or "", ("", ""))
        return PairRow(
            name, theirs, mine, interval_text(found), found.verdict, axis(found.delta), low, high, column, *said
        )

    rows = [row(f"mean of {d.n} tasks", d, None) for d in shown]
    rows += [row(task, d, task) for task, d in sorted(named.items(), key=lambda item: (item[1].delta, item[0]))]
    return Pair(
        candidate, baseline, rows, axis(0.0), [f"{task}: {why}" for task, why in (not_comparable or {}).items()]
    )


def _lines(line: Line, other: Line, of: Differences, columns: Mapping[str, int]) -> Pair | None:
    """Return a line beside another; None where they have nothing in common."""
    deltas, reasons = of
    if not deltas:
        return None
    macro, scores = difference.mean(deltas.values()), (line.row.tasks, other.row.tasks)
    return pair(line.label, other.label, deltas, scores, columns=columns, macro=macro, not_comparable=reasons)


def with_parent(line: Line, columns: Mapping[str, int]) -> Pair | None:
    """Return a line beside its parent; None where it has none, or nothing in common with it."""
    return _lines(line, line.parent, (line.delta, line.not_comparable), columns) if line.parent else None


def with_baseline(line: Line, baseline: Line, columns: Mapping[str, int]) -> Pair | None:
    """Return a line beside the board's baseline row; None where they have nothing in common."""
    return _lines(line, baseline, (line.row.marks, {}), columns) if line is not baseline else None


def instructions_worth(lines: Sequence[Line], columns: Mapping[str, int], evidence: Evidence) -> list[Pair]:
    """Return each instruction set of a model beside `none`, or where that is missing beside its own.

    Args:
        lines: The lines of one model: the head, and below it the other instruction sets.
        columns: Task -> its column on the page.
        evidence: Of the scores' items.
    """
    head, others = lines[0], [line for line in lines[1:] if line.kind == INSTRUCTIONS]
    bare = next((line for line in others if line.row.instructions == _NO_SET), None)
    if bare is None:
        found = [with_parent(line, columns) for line in others]
    else:  # the head's are as the table has them, seen from the other side
        turned = {task: d.turned for task, d in bare.delta.items()}, bare.not_comparable
        found = [_lines(head, bare, turned, columns)]
        for line in others:
            if line is not bare:
                found.append(_lines(line, bare, differences(line.row, bare.row, columns, evidence), columns))
    return [one for one in found if one is not None]
