"""The details of a cell: items, instructions, data, machine, command. What cells share is shown once."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from instructor_eval.analysis.board.evidence import Evidence, UnreadError
from instructor_eval.analysis.format import interval_text, plural, score_text
from instructor_eval.analysis.statistics.filed import BINS
from instructor_eval.core.errors import one_line
from instructor_eval.metrics import unit_of
from instructor_eval.models.served import usage_words
from instructor_eval.report import svg
from instructor_eval.report.lines import Line
from instructor_eval.report.table import Column
from instructor_eval.report.texts import ItemTexts
from instructor_eval.report.thumbnails import Shown, Thumbnail, Thumbnails
from instructor_eval.results.reading import known
from instructor_eval.results.repeat import command_of
from instructor_eval.results.score import Instruction, Score, Shape
from instructor_eval.results.search_figures import phrases as of_search
from instructor_eval.tasks.types.base import Texts

HEIGHT = 16
"""Of a histogram, in its own units."""
_INSTRUCTIONS, _DATA, _MACHINE = "i", "d", "e"
_NOT_OF_THE_MACHINE = ("peak_memory_mb", "peak_gpu_memory_mb")


@dataclass(frozen=True)
class Facts:
    """Something that several scores share, shown once on the page: names with texts."""

    id: str
    rows: list[tuple[str, str]]
    literal: bool = False
    """True where the texts are shown as they are, spaces and all."""


@dataclass
class Detail:
    """One score of the table."""

    key: str
    """`c-ROW-COLUMN`."""
    line: Line
    column: Column
    score: Score
    main: str = ""
    """`64.51`"""
    interval: str = ""
    """`95 % interval 60.40 to 68.62 (t)`"""
    unit: str = ""
    """`300 queries`"""
    delta: str = ""
    """Beside the line above: `-0.31 [-0.52, -0.10]`."""
    no_bars: str = ""
    """Why there is no histogram."""
    bars: str = ""
    bins: int = BINS
    height: int = HEIGHT
    axis: str = ""
    """The quantity in the histogram, and its ends."""
    worst: list[tuple[str, str]] = field(default_factory=list)
    best: list[tuple[str, str]] = field(default_factory=list)
    texts: list[tuple[str, Texts]] = field(default_factory=list)
    """Id -> the texts behind it, of the lowest and the highest."""
    no_texts: str = ""
    """Why there are none although they were asked for."""
    pictures: list[Thumbnail] = field(default_factory=list)
    """Of the lowest items."""
    no_pictures: str = ""
    """Why some, or all, are not shown."""
    further: str = ""
    """False positives, and what goes with them."""
    took: str = ""
    command: str = ""
    error: str = ""
    bare: str = ""
    """The sentence where no text had an instruction."""
    shared: list[Facts] = field(default_factory=list)


class Shared:
    """Facts shown once: the same texts get the same id."""

    def __init__(self) -> None:
        self.by_task: dict[str, list[Facts]] = {}
        self.machines: list[Facts] = []
        self._known: dict[str, Facts] = {}

    def instructions(self, score: Score, column: Column) -> Facts | None:
        """Return the literal instruction of each role, with the rule it came from; None where no text had any."""
        if not any(score.instructions.texts.values()):
            return None
        rows = [(role, _literal(found)) for role, found in score.instructions.roles.items()]
        return self._of_task(_INSTRUCTIONS, column, rows, literal=True)

    def data(self, score: Score, column: Column) -> Facts:
        """Return which data in which revision, and how it was scored."""
        data = score.data
        named = {
            "data": data.id,
            "revision": data.revision,
            "content": data.key,
            "texts and gold values": data.hash,
            "protocol": ", ".join(
                [
                    *(f"{k}={v}" for k, v in score.protocol.items()),
                    f"version {score.protocol_version}",
                    f"seed {score.seed}",
                ]
            ),
            "limit": score.limit,
            "reader": _reader(score),
        }
        return self._of_task(_DATA, column, [(k, str(v)) for k, v in named.items() if v not in (None, "")])

    def machine(self, score: Score) -> Facts:
        """Return library versions and hardware."""
        versions = score.environment.versions
        rows = [(k, str(v)) for k, v in known(score.environment.hardware).items() if k not in _NOT_OF_THE_MACHINE]
        rows += [("versions", ", ".join(f"{k} {v}" for k, v in versions.items()))] if versions else []
        found = self._find(_MACHINE, "", rows or [("machine", "was not filed")], literal=False)
        if found not in self.machines:
            self.machines.append(found)
        return found

    def _of_task(self, kind: str, column: Column, rows: list[tuple[str, str]], *, literal: bool = False) -> Facts:
        found = self._find(kind, str(column.index), rows, literal=literal)
        there = self.by_task.setdefault(column.name, [])
        if found not in there:
            there.append(found)
        return found

    def _find(self, kind: str, where: str, rows: list[tuple[str, str]], *, literal: bool) -> Facts:
        key = json.dumps([kind, where, rows])
        if key not in self._known:
            self._known[key] = Facts(f"{kind}-{len(self._known)}", rows, literal)
        return self._known[key]


def details(
    lines: Sequence[Line],
    columns: Sequence[Column],
    shared: Shared,
    evidence: Evidence,
    texts: ItemTexts | None = None,
    thumbnails: Thumbnails | None = None,
) -> list[Detail]:
    """Return what stands behind every measured cell, task by task: neighbours have most in common.

    Args:
        lines: The page's lines.
        columns: Its columns.
        shared: Takes what several cells share.
        evidence: Of the scores' items.
        texts: Finds the texts of items; None: they were not asked for.
        thumbnails: Draws the pictures of the lowest items; None: they were not asked for.
    """
    found = [
        _detail(line, column, score, shared, evidence, texts)
        for column in columns
        if column.is_task
        for line in lines
        if (score := line.row.scores.get(column.name) or line.row.failures.get(column.name)) is not None
    ]
    if thumbnails is not None:
        for one in found:
            shown = thumbnails.of(one.score, [name for name, _ in one.worst]) if one.worst else Shown()
            one.pictures, one.no_pictures = shown.pictures, shown.why_not
    return found


def _detail(
    line: Line, column: Column, score: Score, shared: Shared, evidence: Evidence, texts: ItemTexts | None
) -> Detail:
    task, row = column.name, line.row
    found = Detail(f"c-{line.index}-{column.index}", line, column, score, command=shlex.join(command_of(score)))
    instructions = shared.instructions(score, column)
    if instructions is None:
        found.bare = _no_instructions(score)
    every = (instructions, shared.data(score, column), shared.machine(score))
    found.shared = [facts for facts in every if facts is not None]
    if task in row.failed:
        found.error = one_line(score.error or "the score is not a number (NaN)")
        return found
    found.main = score_text(row.tasks[task]) or ""
    spread = row.spreads.get(task)
    found.unit = counted(score.n_items, "item")
    if spread is not None and spread.low is not None and spread.high is not None:
        weak = ", too few items to rely on" if spread.weak else ""
        found.interval = f"95 % interval {100 * spread.low:.1f} to {100 * spread.high:.1f} ({spread.method}{weak})"
        found.unit = counted(spread.n, unit_of(score.metric))
    if task in line.delta and line.parent is not None:
        found.delta = f"{interval_text(line.delta[task])} beside {line.parent.label}"
    if task in line.not_comparable and line.parent is not None:
        found.delta = f"cannot be compared with {line.parent.label}: {line.not_comparable[task]}"
    found.further = _further(score)
    found.took = _took(score)
    try:
        _draw(found, evidence.shape(score))
    except UnreadError:
        missing = "the items are missing or damaged, the command below makes them again"
        found.no_bars = missing if evidence.readable else "--no-intervals, so no items were read"
    if texts is not None:
        named = list(dict.fromkeys(name for name, _ in (*found.worst, *found.best)))
        known = texts.of(score, named)
        found.texts = [(name, known.by_id[name]) for name in named if name in known.by_id]
        found.no_texts = known.why_not
    return found


def _draw(found: Detail, shape: Shape) -> None:
    found.bars = svg.bars(shape.counts, HEIGHT)
    what = "the score of each" if shape.is_mean else "what each adds to the score"
    found.axis = f"{what}, from {_points(shape.low)} to {_points(shape.high)}; median {_points(shape.median)}"
    found.worst = [(str(name), _points(value)) for name, value in shape.worst]
    found.best = [(str(name), _points(value)) for name, value in shape.best]


def _further(score: Score) -> str:
    """Return the figures beside the score that have intervals: `fpr_at_95 0.123 [0.101, 0.145], threshold ...`."""
    intervals = score.statistics.further if score.statistics else {}
    figures = [(name, score.metrics.get(name), found) for name, found in intervals.items()]
    return ", ".join(
        f"{name} {value:.3f}" + ("" if i.low is None or i.high is None else f" [{i.low:.3f}, {i.high:.3f}]")
        for name, value, i in figures
        if value is not None
    )


def _points(value: float | str) -> str:
    return f"{100 * float(value):.1f}"


def counted(n: int, unit: str) -> str:
    """Return `300 queries`."""
    return f"{n:,} {plural(unit, n)}"


def _no_instructions(score: Score) -> str:
    rules = dict.fromkeys(given.rule for given in score.instructions.roles.values())
    why = "; ".join(filter(None, rules))
    return f"No text had an instruction{f' ({why})' if why else ''}."


def _literal(given: Instruction) -> str:
    """Return `Represent the ...` and where it came from; an empty one is said to be empty."""
    shown = f"“{given.text}”" if given.text else "(none)"
    return f"{shown}  [{given.rule}]" if given.rule else shown


def _reader(score: Score) -> str:
    if not score.reader:
        return ""
    return f"{score.reader.name}, demonstrations {score.reader.selection}"


def _took(score: Score) -> str:
    total, counts = score.timings.total, score.counts
    parts = [f"{total:,.1f} s"] if total else []
    if counts.texts:
        parts.append(f"{counts.texts:,} texts, {counts.hits:,} of them from the cache")
    return ", ".join(parts + of_search(score.search) + usage_words(score.served))
