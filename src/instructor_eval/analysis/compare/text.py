"""A comparison as text: one candidate in full, several as a pivot table; for programs everything there is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from instructor_eval.analysis import format as difference_text
from instructor_eval.analysis.compare.compare import Comparison, TaskComparison, chance_of_mean
from instructor_eval.analysis.format import (
    SENTENCE,
    delta_header,
    interval_text,
    mark,
    p_cell,
    plural,
    score_text,
    some,
)
from instructor_eval.analysis.statistics.estimates import Chance, Difference
from instructor_eval.analysis.statistics.matching import Moved
from instructor_eval.core.errors import printable
from instructor_eval.core.escapes import json_text
from instructor_eval.core.output import columns, prose
from instructor_eval.core.tables import blocks, plain, render

MACRO = "all tasks"
_MEANINGS = {
    "better": "▲ better, ",
    "worse": "▼ worse, ",
    "same": "= no difference shown (the interval holds 0), ",
    "unknown": "? no interval, ",
}
_NAMED = 6
_FEW_TASKS = 4
"""With at most so many tasks the items of each are shown, with more those of tasks that differ."""
CSV_COLUMNS = [
    "candidate", "baseline", "level", "name", "type", "metric", "baseline_score", "candidate_score", "delta", "low",
    "high", "lower", "upper", "method", "weak", "p", "p_loss", "p_gain", "p_t", "n", "unit", "wins", "ties", "losses",
    "not_comparable", "notes",
]  # fmt: skip
"""Scores and differences in points (x 100)."""


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a table: the mean of all tasks, of a type's, or one task."""

    level: str
    """macro | type | task"""
    name: str
    difference: Difference | None
    chance: Chance | None = None
    task: TaskComparison | None = None
    baseline: float | None = None
    candidate: float | None = None


def lines(comparison: Comparison) -> list[Line]:
    """The macro line first, then the types where there are several, then the tasks."""
    of_type: dict[str, list[TaskComparison]] = {}
    for task in comparison.comparable:
        of_type.setdefault(task.type, []).append(task)
    found = []
    if len(comparison.comparable) > 1:
        name = f"{MACRO} ({len(comparison.comparable)})"
        found.append(_mean_line("macro", name, comparison.macro, comparison.comparable, comparison.macro_chance))
    if 1 < len(of_type) < len(comparison.comparable):
        for kind, tasks in of_type.items():
            mean = comparison.types[kind]
            found.append(_mean_line("type", f"{kind} ({len(tasks)})", mean, tasks, chance_of_mean(mean, tasks)))
    for task in comparison.tasks:
        found.append(Line("task", task.task, task.difference, task.chance, task, task.baseline, task.candidate))
    return found


def _mean_line(
    level: str, name: str, difference: Difference | None, tasks: Sequence[TaskComparison], chance: Chance | None
) -> Line:
    ends = ([t.baseline for t in tasks], [t.candidate for t in tasks])
    means = [sum(v for v in side if v is not None) / len(side) for side in ends]
    return Line(level, name, difference, chance, None, means[0], means[1])


def format_comparisons(comparisons: Sequence[Comparison], form: str, *, items: int | None = None) -> str:
    """Comparisons of several candidates with one baseline, in one of `tables.BOARD_FORMATS`.

    Args:
        comparisons: At least one.
        form: table | md | json | csv | latex
        items: So many items that lost, and gained, most of each task; by default 3, of tasks that differ where there
            are many tasks.
    """
    if form == "json":
        return json_text([as_json(c) for c in comparisons])
    if form == "csv":
        return render(CSV_COLUMNS, [row for c in comparisons for row in _csv_rows(c)], "csv")
    headers, rows = _single(comparisons[0], form) if len(comparisons) == 1 else _pivot(comparisons, form)
    if form != "table":
        why = "\n".join(text for c in comparisons if (text := _apart(c, named=len(comparisons) > 1)))
        return render(headers, rows, form, left=1) + _beside(why, form)
    first = comparisons[0]
    sides = [("baseline", first.baseline, first.baseline_source)]
    sides += [("candidate", c.candidate, c.candidate_source) for c in comparisons]
    lines = ["\n".join(printable(f"{what:<10}{label}  ({source})") for what, label, source in sides)]
    lines.append(blocks(headers, rows, left=1, width=columns()))
    lines += [prose(text) for c in comparisons if (text := _apart(c, named=len(comparisons) > 1))]
    lines.append(prose(_legend(comparisons)))
    lines += [text for c in comparisons if (text := _moved(c, items, named=len(comparisons) > 1))]
    return "\n\n".join(lines)


def _single(comparison: Comparison, form: str) -> tuple[list[str], list[list[str | None]]]:
    headers = ["task", "baseline", "candidate", delta_header(form), "p", "won/tied/lost", "unit"]
    rows = []
    for line in lines(comparison):
        task = line.task
        counted = task is not None and task.n > 0
        rows.append(
            [
                line.name,
                score_text(line.baseline),
                score_text(line.candidate),
                _delta(line, form),
                p_cell(line.chance.either) if line.chance else None,
                f"{task.wins:,}/{task.ties:,}/{task.losses:,}" if task and counted else None,
                plural(task.unit, task.n) if task and counted else None,
            ]
        )
    return headers, rows


def _pivot(comparisons: Sequence[Comparison], form: str) -> tuple[list[str], list[list[str | None]]]:
    """Rows are tasks and means, columns the candidates."""
    by_line = [{(line.level, _bare(line.name)): line for line in lines(c)} for c in comparisons]
    order = list(dict.fromkeys(key for level in ("macro", "type", "task") for c in by_line for key in c
                               if key[0] == level))  # fmt: skip
    rows: list[list[str | None]] = []
    for key in order:
        cells = [column.get(key) for column in by_line]
        # A mean's baseline is of the tasks that can be compared with that candidate: several means have no one value.
        bases = {score_text(line.baseline) for line in cells if line is not None}
        rows.append(
            [key[1], bases.pop() if len(bases) == 1 else None, *(_delta(c, form) if c else None for c in cells)]
        )
    return ["task", "baseline", *(_short(comparisons))], rows


def _bare(name: str) -> str:
    return name.rpartition(" (")[0] if name.endswith(")") else name


def _short(comparisons: Sequence[Comparison]) -> list[str]:
    """Labels without the part that all share with the baseline: their model's name."""
    labels = [c.candidate for c in comparisons]
    name = comparisons[0].baseline.partition("@")[0]
    if all(label.startswith(f"{name}@") for label in labels):
        labels = [label[len(name) + 1 :] for label in labels]
    if len(set(labels)) < len(labels):  # one row of several folders
        labels = [f"{label} ({c.candidate_source})" for label, c in zip(labels, comparisons, strict=True)]
    return labels


def _delta(line: Line, form: str) -> str | None:
    """`-0.31 [-0.52, -0.10] ▼`."""
    d = line.difference
    if d is None:
        return "not comparable" if line.level == "task" else None
    return f"{interval_text(d)} {mark(d, form)}"


def _apart(comparison: Comparison, *, named: bool) -> str:
    """Return what could not be compared, or only in part, and why."""
    lines: list[str] = []
    reasons: dict[str, list[str]] = {}
    for task in comparison.tasks:
        if task.not_comparable:
            reasons.setdefault(task.not_comparable, []).append(task.task)
        elif task.difference is None or task.difference.low is not None:
            lines += [f"  {task.task}: {note}" for note in task.notes]
    lines = [f"  {some(tasks, _NAMED)}: not comparable: {why}" for why, tasks in reasons.items()] + lines
    if any(t.difference and t.difference.low is None and t.notes for t in comparison.tasks):
        kind = "imported" if any(n.startswith("imported ") for t in comparison.tasks for n in t.notes) else "published"
        lines.append(f"  {kind} scores have no items: differences without intervals")
    if comparison.left_out:
        lines.append(f"  only on one side, left out: {some(comparison.left_out, _NAMED)}")
    if lines and named:
        lines.insert(0, f"{comparison.candidate}:")
    return "\n".join(map(printable, lines))


def _beside(text: str, form: str) -> str:
    """Return what could not be compared, to stand below a table: a list in Markdown, remarks in LaTeX."""
    sign = {"md": "- ", "latex": "% "}[form]
    lines = [f"{sign}{plain(line.strip(), form if form == 'md' else 'table')}" for line in text.splitlines()]
    return "".join(f"\n{line}" for line in ["", *lines]) if lines else ""


def _legend(comparisons: Sequence[Comparison]) -> str:
    every = [line for c in comparisons for line in lines(c)]
    marks = {line.difference.verdict for line in every if line.difference}
    text = "".join(meaning for verdict, meaning in _MEANINGS.items() if verdict in marks)
    notes = [f"Scores x 100. {text.rstrip(', ')}." if text else "Scores x 100."]
    if any(line.chance for line in every) and len(comparisons) == 1:
        notes.append(
            "p: how often so large a difference, either way, comes up if there is none (paired randomisation); not "
            "adjusted for the number of tasks, as `evaluate gate` does."
        )
    if any(line.difference and line.difference.weak for line in every):
        notes.append("weak: too few items to rely on the interval.")
    if marks - {"unknown"}:
        notes.append(SENTENCE)
    return " ".join(notes)


def _moved(comparison: Comparison, items: int | None, *, named: bool) -> str:
    """The items that lost and gained most."""
    lines = []
    many = named or len(comparison.comparable) > _FEW_TASKS
    for task in comparison.comparable:
        differs = task.difference is not None and task.difference.verdict in ("better", "worse")
        most = items if items is not None else 3 if differs or not many else 0
        for what, moved in (("lost", task.lost[:most]), ("gained", task.gained[:most])):
            if moved:
                lines.append(f"  {task.task}, {plural(task.unit, 2)} that {what} most: {_named(moved)}")
    if lines:
        lines.insert(0, f"{comparison.candidate}, what moved:" if named else "What moved (id: baseline -> candidate):")
    return prose("\n".join(map(printable, lines)))


def _named(moved: Sequence[Moved]) -> str:
    return ", ".join(f"{m.id[:40]}: {100 * m.baseline:.1f} -> {100 * m.candidate:.1f}" for m in moved)


def _csv_rows(comparison: Comparison) -> list[list[Any]]:
    rows = []
    for line in lines(comparison):
        d, task, chance = line.difference, line.task, line.chance
        ends = [d.delta, d.low, d.high, d.lower, d.upper] if d else [None] * 5
        rows.append([
            comparison.candidate, comparison.baseline, line.level, _bare(line.name) if not task else task.task,
            task.type if task else None, task.metric if task else None,
            *(None if v is None else f"{100 * v:.4f}" for v in (line.baseline, line.candidate, *ends)),
            d.method if d else None, int(d.weak) if d else None,
            *([chance.either, chance.loss, chance.gain] if chance else [None] * 3),
            *([task.p_t, task.n, task.unit, task.wins, task.ties, task.losses, task.not_comparable,
               "; ".join(task.notes)] if task else [None] * 8),
        ])  # fmt: skip
    return rows


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Everything, in fractions of 1; null is unknown."""
    return {
        "baseline": comparison.baseline,
        "baseline_source": comparison.baseline_source,
        "candidate": comparison.candidate,
        "candidate_source": comparison.candidate_source,
        "macro": difference_text.as_json(comparison.macro),
        "macro_chance": dataclasses.asdict(comparison.macro_chance) if comparison.macro_chance else None,
        "types": {kind: difference_text.as_json(d) for kind, d in comparison.types.items()},
        "left_out": list(comparison.left_out),
        "tasks": [
            {**dataclasses.asdict(t), "difference": difference_text.as_json(t.difference), "changed": t.changed}
            for t in comparison.tasks
        ],
    }
