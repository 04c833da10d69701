"""A gate's outcome as Markdown: the verdict first, then the first hundred rows, then what moved.

GitHub drops a job's summary above 1 MiB and a comment above 65,536 characters. Neither is ever reached: there are so
many gates, rows, sections and items at most, and each text in them has so many characters at most once it is escaped.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from instructor_eval.analysis.compare.compare import TaskComparison
from instructor_eval.analysis.format import SENTENCE, plural
from instructor_eval.analysis.gate.outcome import (
    NOTHING,
    Outcome,
    Part,
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
    MACRO,
    NOT_COMPARABLE,
    OK,
    ORDER,
    REGRESSED,
    Judgement,
    TaskVerdict,
)
from instructor_eval.core.errors import one_line
from instructor_eval.core.escapes import markdown

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

MARKS = {REGRESSED: "❌", NOT_COMPARABLE: "🚫", INCONCLUSIVE: "❔", IMPROVED: "⬆️", OK: "✅"}
_ROWS, _GATES, _NOTES = 100, 10, 10
"""So many are shown at most."""
_NUMBER, _DIFFERENCE = 12, 40
"""Characters of a cell with a score, and with a difference and its interval."""
_GROWTH = 5
"""Characters that escaping makes of one at most: `&amp;`."""


@dataclass(frozen=True)
class Size:
    """Sizes of an outcome's parts in a file; lengths are of escaped texts, in characters."""

    name: int
    """Of a task, an item, a model."""
    line: int
    """Of the words of a gate."""
    why: int
    sections: int
    """Regressed tasks that are shown with the items that lost most."""
    items: int
    command: int
    """A longer one is left out: cut, it would be another."""


SUMMARY = Size(name=100, line=600, why=300, sections=20, items=20, command=1500)
COMMENT = Size(name=60, line=300, why=180, sections=3, items=5, command=300)


@dataclass(frozen=True)
class _Table:
    """The rows of a gate that are shown; all texts are escaped."""

    gate: str
    about: Markup | str
    rows: Sequence[tuple[str, Sequence[Markup]]]
    """Verdict, and what stands behind it."""
    left_out: str


@dataclass(frozen=True)
class _Section:
    """The items of a regressed task that lost most."""

    name: str
    changed: str
    unit: str
    items: Sequence[Sequence[Markup]]
    command: Markup

    @property
    def fence(self) -> Markup:
        """Backticks, more than any run of them in the command, which therefore cannot end it."""
        from markupsafe import Markup

        longest = max(map(len, re.findall("`+", self.command)), default=0)
        return Markup("`") * max(3, longest + 1)


def summary(outcome: Outcome, size: Size = SUMMARY) -> str:
    """Return the Markdown.

    Args:
        outcome: What was decided.
        size: How much of it is shown.
    """
    from markupsafe import Markup

    lost = [pair for judgement in outcome.judgements for pair in regressed(judgement)]
    notes = [note for j in outcome.judgements for note in partly(j)] + [n for p in outcome.plain for n in p.notes]
    return _template().render(
        outcome=outcome,
        size=size,
        mark=MARKS,
        lines=sorted(outcome.lines, key=lambda line: ORDER.index(line[0])),
        most_gates=_GATES,
        report=Markup(outcome.report or ""),  # noqa: S704 # an address, as `report_url` checks
        tables=_tables(outcome, size),
        notes=list(dict.fromkeys(notes))[:_NOTES],
        sections=[_section(row, task, size) for row, task in lost[: size.sections]],
        more_sections=max(0, len(lost) - size.sections),
        sentence=SENTENCE,
    )


@cache
def _template() -> Template:
    """Return the template; it escapes every text that is not escaped yet, and stops at a name it does not know."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(  # noqa: S701 # `finalize` escapes, for Markdown instead of HTML
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        finalize=lambda value: markdown(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    environment.filters["cell"] = cell
    return environment.get_template("summary.md.j2")


def cell(text: str, most: int) -> Markup:
    """Return `text` on one line, escaped, in at most `most` characters (12 or more); a cut one ends with a hash."""
    from markupsafe import Markup

    escaped = (markdown(cut(text, room)) for room in (most, most * 4 // 5, most // _GROWTH))
    return Markup(next(found for found in escaped if len(found) <= most))  # noqa: S704 # escaped


def _tables(outcome: Outcome, size: Size) -> list[_Table]:
    """Return a table for each gate and baseline, the worst first, with a hundred rows among them."""
    found: list[tuple[Judgement | Plain, Sequence[TaskVerdict | Part]]] = [
        *((judgement, ordered(judgement)) for judgement in outcome.judgements),
        *((plain, sorted(plain.parts, key=lambda p: ORDER.index(p.verdict))) for plain in outcome.plain),
    ]
    found = sorted(found, key=lambda gate: ORDER.index(gate[0].verdict))[:_GATES]
    every = [(n, row) for n, (_, rows) in enumerate(found) for row in rows]
    # Rows of a gate stand in this order already, so that those of it that are shown are its first.
    every.sort(key=lambda one: (one[1].name != MACRO, ORDER.index(one[1].verdict)))
    shown = Counter(n for n, _ in every[:_ROWS])
    tables = []
    for n, (gate, rows) in enumerate(found):
        first, rest = rows[: shown[n]], rows[shown[n] :]
        about = _about(gate, size) if isinstance(gate, Judgement) else ""
        texts = [(row.verdict, _cells(row, size)) for row in first]
        tables.append(_Table(gate.gate, about, texts, f"... {left_out(rest)}: see gate.json" if rest else ""))
    return tables


def _about(judgement: Judgement, size: Size) -> Markup:
    """Return who stands against whom, and what the numbers below are."""
    from markupsafe import Markup

    comparison = judgement.comparison
    if not ordered(judgement):
        return cell(f"{NOTHING}.", size.line)
    return Markup("Candidate {}, baseline {}; scores in points (x 100). {}").format(
        cell(comparison.candidate, size.name),
        cell(comparison.baseline, size.name),
        cell(judgement.adjustment.sentence, size.line),
    )


def _cells(row: TaskVerdict | Part, size: Size) -> list[Markup]:
    name, why = cell(row.name, size.name), cell(row.message, size.why)
    if isinstance(row, Part):
        return [name, why]
    baseline, candidate, difference, p, margin = cells(row)
    numbers = [cell(text, _NUMBER) for text in (baseline, candidate, p, margin)]
    numbers.insert(2, cell(difference, _DIFFERENCE))
    return [name, *numbers, why if row.verdict != OK or row.same_model else cell("", _NUMBER)]


def _section(row: TaskVerdict, task: TaskComparison, size: Size) -> _Section:
    from markupsafe import Markup

    changed = (
        f"{task.losses:,} of {task.n:,} {plural(task.unit, task.n)} lost, {task.wins:,} gained, "
        f"{task.ties:,} are the same."
    )
    items = [
        [
            cell(m.id, size.name),
            *(cell(t, _NUMBER) for t in (score(m.baseline), score(m.candidate), f"{100 * m.delta:+.2f}")),
        ]
        for m in task.lost[: size.items]
    ]
    command = one_line(shlex.join(repeat_command(row)))
    shown = Markup(command if len(command) <= size.command else "")  # noqa: S704 # it stands between fences
    return _Section(row.name, changed, task.unit, items, shown)
