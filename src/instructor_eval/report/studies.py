"""The page's section of studies: of instructions a dot for each, of chunks a chart, and what it says in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.analysis.study import files
from instructor_eval.analysis.study.instructions import Gain, TaskStudy
from instructor_eval.analysis.study.text import chunk_sentences, chunk_table, mark, sentences
from instructor_eval.report.chunk_chart import ChunkChart, chunk_chart
from instructor_eval.report.pairs import Pair, pair


@dataclass(frozen=True)
class StudySection:
    """One task of a study."""

    title: str
    sentences: list[str]
    drawn: Pair | None = None
    """Candidates beside the paper's instruction."""
    chart: ChunkChart | None = None
    headers: Sequence[str] = ()
    """Of the table below the chart."""
    rows: Sequence[Sequence[str | None]] = ()


def sections_of(results: Path) -> list[StudySection]:
    """Return the studies of a results folder, a section a task.

    Raises:
        UserError: a study's file is not whole.
    """
    chunks = [
        StudySection(
            f"Chunk sizes: {task.task}, {study.model} ({study.variant})",
            chunk_sentences(task, study.margin),
            None,
            chunk_chart(task),
            *chunk_table(task),
        )
        for study in files.read(results, "chunks", files.ChunkStudy)
        for task in study.tasks
    ]
    return chunks + [
        StudySection(f"Instructions: {task.task}", sentences(task), _drawn(f"{study.model} ({study.variant})", task))
        for study in files.read(results, "instructions", files.InstructionStudy)
        for task in study.tasks
    ]


def _drawn(model: str, task: TaskStudy) -> Pair:
    names = [mark(one, task) for one in task.tried]
    deltas = {name: _difference(one.gain, task.n_held_out) for name, one in zip(names, task.tried, strict=True)}
    after = {name: one.score for name, one in zip(names, task.tried, strict=True)}
    before = dict.fromkeys(names, task.tried[0].score)
    return pair(f"{model} under each candidate", "the paper's instruction", deltas, (after, before), columns={})


def _difference(gain: Gain, n: int) -> Difference:
    return Difference(gain.delta, gain.low, gain.high, n=n)
