"""A gate's outcome for the terminal: a line, a table, what lost most, the files; 120 columns, or its own."""

from __future__ import annotations

import re
import shlex
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from instructor_eval.analysis.compare.compare import TaskComparison
from instructor_eval.analysis.format import plural
from instructor_eval.analysis.gate.outcome import (
    Outcome,
    Plain,
    cells,
    cut,
    left_out,
    ordered,
    partly,
    regressed,
    repeat_command,
)
from instructor_eval.analysis.gate.quality import (
    IMPROVED,
    INCONCLUSIVE,
    NOT_COMPARABLE,
    OK,
    ORDER,
    REGRESSED,
    Judgement,
    TaskVerdict,
)
from instructor_eval.core.errors import one_line
from instructor_eval.core.output import columns, is_terminal, prose
from instructor_eval.core.tables import blocks as in_blocks
from instructor_eval.core.tables import listing

MARKS = {REGRESSED: "✗", NOT_COMPARABLE: "!", INCONCLUSIVE: "?", IMPROVED: "▲", OK: "✓"}
_WIDTH, _NAME, _MOST_ROWS, _MOST_SECTIONS, _MOST_NOTES = 120, 34, 40, 10, 10
_LONGEST = 600
_HEAD = ("verdict", "task", "baseline", "candidate", "Δ [95 %]", "p", "margin")


def render_text(outcome: Outcome, files: Sequence[Path] = ()) -> str:
    """Return what `evaluate gate` prints.

    Args:
        outcome: What was decided.
        files: Those written, for the last line.
    """
    blocks = [prose(outcome.headline)]
    if len(outcome.lines) > 1:
        blocks.append(prose("\n".join(f"{MARKS[v]} {v}: {said}" for v, said in outcome.lines)))
    blocks += [_quality(judgement) for judgement in outcome.judgements]
    blocks += [_plain(plain) for plain in outcome.plain]
    blocks += [_lost(judgement) for judgement in outcome.judgements]
    blocks += list(dict.fromkeys(textwrap.fill(j.sentence, _width()) for j in outcome.judgements))
    last = [f"report: {outcome.report}"] if outcome.report else []
    if files:
        last.append(prose(f"written: {', '.join(map(str, files))}"))
    return no_commands("\n\n".join(b for b in [*blocks, "\n".join(last)] if b))


def no_commands(text: str) -> str:
    """Return `text` without lines that a CI runner would take for commands to itself: a task may bear any name."""
    return re.sub(r"(?m)^(\s*)::", r"\1: :", text).replace("##[", "# #[")


def _quality(judgement: Judgement) -> str:
    comparison = judgement.comparison
    rows = ordered(judgement)
    # In the order of `rows` those that passed come last.
    room = max(_MOST_ROWS, sum(r.verdict not in (OK, IMPROVED) for r in rows) + 1)
    shown, hidden = rows[:room], rows[room:]
    sides = [
        ("candidate: ", comparison.candidate, comparison.candidate_source),
        ("baseline:  ", comparison.baseline, comparison.baseline_source),
    ]
    blocks = ["\n".join(f"{what}{cut(label, 100)}  ({cut(source, 100)})" for what, label, source in sides)]
    if shown:
        table = [[f"{MARKS[r.verdict]} {r.verdict}", cut(r.name, _NAME), *cells(r)] for r in shown]
        width = columns() if is_terminal() else sys.maxsize
        blocks.append(in_blocks(_HEAD, table, left=2, width=width))
    if hidden:
        blocks.append(left_out(hidden))
    if any(r.p_adjusted is not None for r in rows):
        blocks.append(_wrapped(judgement.adjustment.sentence).strip())
    said = [r for r in shown if r.verdict in (INCONCLUSIVE, NOT_COMPARABLE) or (r.verdict == OK and r.same_model)]
    reasons = [f"{cut(r.name, _NAME)}: {r.message}" for r in said]
    reasons += partly(judgement)
    blocks.append("\n".join(map(_wrapped, reasons)))
    return "\n\n".join(b for b in blocks if b)


def _plain(plain: Plain) -> str:
    parts = sorted(plain.parts, key=lambda p: ORDER.index(p.verdict))
    room = max(_MOST_ROWS, sum(p.verdict not in (OK, IMPROVED) for p in parts))
    rows = [[f"{MARKS[p.verdict]} {p.verdict}", cut(p.name, _NAME), cut(p.message, 60)] for p in parts[:room]]
    blocks = [listing(("verdict", plain.gate, "found"), rows, "table", left=3)] if rows else []
    if parts[room:]:
        blocks.append(left_out(parts[room:]))
    reasons = [f"{cut(p.name, _NAME)}: {p.message}" for p in parts[:room] if len(p.message) > 60 and p.verdict != OK]
    blocks.append("\n".join(map(_wrapped, [*reasons, *plain.notes[:_MOST_NOTES]])))
    return "\n\n".join(b for b in blocks if b)


def _lost(judgement: Judgement) -> str:
    """Return the items that lost most of regressed tasks, by id, and the command that runs a task again."""
    rows = regressed(judgement)
    sections = [_section(row, task) for row, task in rows[:_MOST_SECTIONS]]
    if len(rows) > _MOST_SECTIONS:
        sections.append(f"and {len(rows) - _MOST_SECTIONS} more tasks that regressed: see gate.json")
    return "\n\n".join(sections)


def _section(row: TaskVerdict, task: TaskComparison) -> str:
    units = f"{task.n:,} {plural(task.unit, task.n)}"
    lines = [f"{cut(row.name, 80)}: {task.losses:,} of {units} lost, {task.wins:,} gained"]
    if task.lost:
        ids = ", ".join(cut(m.id, 60) for m in task.lost)
        lines.append(textwrap.indent(textwrap.fill(f"lost most: {ids}", _width() - 2, break_on_hyphens=False), "  "))
    command = repeat_command(row)
    if command:  # not wrapped: it is there to be copied
        lines.append(f"  run it again: {one_line(shlex.join(command))}")
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    return textwrap.fill(
        one_line(text), _width(), initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
    )


def _width() -> int:
    """Return how many characters a line of sentences may have."""
    return min(_WIDTH, max(columns(), 40))
