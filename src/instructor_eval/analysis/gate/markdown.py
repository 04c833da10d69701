"""A gate's outcome as Markdown: the verdict first, then a table, then what moved; never larger than what it is for.

GitHub takes 1,024 kB as a job's summary and 65,536 characters as a comment, and drops what is larger: what does not
fit is left out here, the least interesting first, and counted.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from instructor_eval.analysis.compare.compare import TaskComparison
from instructor_eval.analysis.format import SENTENCE, plural
from instructor_eval.analysis.gate.outcome import (
    NOTHING,
    Outcome,
    Plain,
    cells,
    cut,
    left_out,
    ordered,
    partly,
    regressed,
    repeat_command,
    score,
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
from instructor_eval.core.escapes import markdown

JOB_SUMMARY, COMMENT = 1_000_000, 60_000
"""Most bytes of either; GitHub's own limits are a little above."""
MARKS = {REGRESSED: "❌", NOT_COMPARABLE: "🚫", INCONCLUSIVE: "❔", IMPROVED: "⬆️", OK: "✅"}
_MOST_ROWS, _MOST_NOTES = 100, 10
"""So many rows of tasks that passed, at most, all others counted in."""
_NAME, _MESSAGE, _COMMAND, _COUNT = 100, 300, 4000, 150
_HEAD = ("", "task", "baseline", "candidate", "Δ [95 %]", "p", "margin", "why")


class _Text:
    """Lines that are added while they fit."""

    def __init__(self, most: int) -> None:
        self.lines: list[str] = []
        self.left = most

    def add(self, *lines: str, spare: int = 0) -> bool:
        """Add all of the lines, if they leave `spare` bytes; else none."""
        size = sum(len(line.encode("utf-8", "replace")) + 1 for line in lines)
        if size + spare > self.left:
            return False
        self.left -= size
        self.lines += lines
        return True


def summary(outcome: Outcome, most: int = JOB_SUMMARY, *, items: int = 20) -> str:
    """The Markdown, at most `most` bytes of UTF-8; empty where not even the verdict fits.

    Args:
        outcome: What was decided.
        most: Bytes.
        items: So many items of each regressed task.
    """
    text = _Text(most)
    verdict = outcome.verdict
    if not text.add(f"## {MARKS[verdict]} {markdown(outcome.headline)}", ""):
        return ""
    lines = outcome.lines
    if len(lines) > 1:
        text.add(*(f"- {MARKS[v]} {v}: {markdown(said)}" for v, said in lines), "")
    if outcome.report:
        text.add(f"[Report](<{outcome.report}>)", "")  # checked by report_url: no white space, no <>
    # What comes last must fit in any case, and the count of what is left out of every table.
    last = [markdown(SENTENCE), ""] if outcome.judgements else []
    spare = sum(len(line) + 1 for line in last) + _COUNT * (2 * len(outcome.judgements) + len(outcome.plain))
    for judgement in outcome.judgements:
        _quality(text, judgement, spare)
    for plain in outcome.plain:
        _plain(text, plain, spare)
    for judgement in outcome.judgements:
        _lost(text, judgement, items, spare)
    text.add(*last)
    return "\n".join(text.lines)


def _quality(text: _Text, judgement: Judgement, spare: int) -> None:
    comparison = judgement.comparison
    names = [markdown(cut(label, _NAME)) for label in (comparison.candidate, comparison.baseline)]
    told = f"scores in points (x 100). {markdown(judgement.adjustment.sentence)}"
    text.add(f"Candidate {names[0]}, baseline {names[1]}; {told}", "", spare=spare)
    rows = ordered(judgement)
    if not rows:
        text.add(f"{NOTHING}.", "", spare=spare)
        return
    if not text.add(_row(_HEAD), "|---|:---|---:|---:|---:|---:|---:|:---|", spare=spare):
        text.add(left_out(rows), "")
        return
    shown = 0
    for row in rows:
        passed = row.verdict in (OK, IMPROVED)
        if (passed and shown >= _MOST_ROWS) or not text.add(_row(_cells(row)), spare=spare):
            break
        shown += 1
    text.add("", *([left_out(rows[shown:]), ""] if rows[shown:] else []))
    for note in partly(judgement):
        text.add(f"- {_why(note)}", spare=spare)
    text.add("")


def _cells(row: TaskVerdict) -> list[str]:
    name = markdown(cut(row.name, _NAME))
    why = "" if row.verdict == OK and not row.same_model else _why(row.message)
    return [f"{MARKS[row.verdict]} {row.verdict}", name, *(markdown(c) for c in cells(row)), why]


def _why(message: str) -> str:
    return markdown(cut(message, _MESSAGE))


def _row(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _plain(text: _Text, plain: Plain, spare: int) -> None:
    parts = sorted(plain.parts, key=lambda p: ORDER.index(p.verdict))
    if not text.add(_row(("", plain.gate, "found")), "|---|:---|:---|", spare=spare):
        return
    for i, part in enumerate(parts):
        cells_ = (f"{MARKS[part.verdict]} {part.verdict}", markdown(cut(part.name, _NAME)), _why(part.message))
        if (part.verdict == OK and i >= _MOST_ROWS) or not text.add(_row(cells_), spare=spare):
            text.add("", left_out(parts[i:]))
            break
    text.add("")
    for note in plain.notes[:_MOST_NOTES]:
        text.add(f"- {_why(note)}", spare=spare)
    text.add("")


def _lost(text: _Text, judgement: Judgement, items: int, spare: int) -> None:
    """Of each regressed task: what lost most, and the command that runs it again."""
    rows = regressed(judgement)
    for i, (row, task) in enumerate(rows):
        if not text.add(*_section(row, task, items), spare=spare):
            text.add(f"and the items of {len(rows) - i} more tasks: see gate.json", "")
            return


def _section(row: TaskVerdict, task: TaskComparison, items: int) -> list[str]:
    changed = (
        f"{task.losses:,} of {task.n:,} {plural(task.unit, task.n)} lost, {task.wins:,} gained, "
        f"{task.ties:,} are the same."
    )
    lines = [f"### {markdown(cut(row.name, _NAME))}: what lost most", "", changed, ""]
    if task.lost:
        lines += [_row((task.unit, "baseline", "candidate", "Δ")), "|:---|---:|---:|---:|"]
        lines += [
            _row((markdown(cut(m.id, _NAME)), score(m.baseline), score(m.candidate), f"{100 * m.delta:+.2f}"))
            for m in task.lost[:items]
        ]
        lines.append("")
    command = one_line(shlex.join(repeat_command(row)))
    if command and len(command) <= _COMMAND:
        # A fence longer than any run of backticks inside cannot be closed from there.
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
        lines += ["Run it again:", "", fence, command, fence, ""]
    return lines
