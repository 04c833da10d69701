"""The page's section of studies: a table with a dot for every candidate, and what it says in words."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.analysis.study import files
from instructor_eval.analysis.study.chunks import WHOLE, Size, TaskChunks
from instructor_eval.analysis.study.instructions import Gain, TaskStudy
from instructor_eval.analysis.study.text import chunk_sentences, mark, sentences
from instructor_eval.report.pairs import Pair, pair


@dataclass(frozen=True)
class StudySection:
    """One task of a study."""

    title: str
    drawn: Pair
    sentences: list[str]


def sections_of(results: Path) -> list[StudySection]:
    """Return the studies of a results folder, a section a task.

    Raises:
        UserError: a study's file is not whole.
    """
    chunks = [
        StudySection(
            f"Chunk sizes: {task.task}",
            _of_chunks(f"{study.model} ({study.variant})", task),
            [*chunk_sentences(task, study.margin), _indexes(task)],
        )
        for study in files.read(results, "chunks", files.ChunkStudy)
        for task in study.tasks
    ]
    return chunks + [
        StudySection(f"Instructions: {task.task}", _drawn(f"{study.model} ({study.variant})", task), sentences(task))
        for study in files.read(results, "instructions", files.InstructionStudy)
        for task in study.tasks
    ]


def _drawn(model: str, task: TaskStudy) -> Pair:
    names = [mark(one, task) for one in task.tried]
    deltas = {name: _difference(one.gain, task.n_held_out) for name, one in zip(names, task.tried, strict=True)}
    after = {name: one.score for name, one in zip(names, task.tried, strict=True)}
    before = dict.fromkeys(names, task.tried[0].score)
    return pair(f"{model} under each candidate", "the paper's instruction", deltas, (after, before), columns={})


def _of_chunks(model: str, task: TaskChunks) -> Pair:
    base = next((one for one in task.sizes if one.size == WHOLE), task.sizes[0])
    names = [f"{one.size}, {_megabytes(one)}" for one in task.sizes]
    deltas = {name: _difference(one.gain, 0) for name, one in zip(names, task.sizes, strict=True)}
    after = {name: one.score for name, one in zip(names, task.sizes, strict=True)}
    drawn = pair(
        f"{model}, chunks of so many tokens", base.size, deltas, (after, dict.fromkeys(names, base.score)), columns={}
    )
    order = {name: i for i, name in enumerate(names)}
    return dataclasses.replace(drawn, rows=sorted(drawn.rows, key=lambda row: order[row.name]))


def _megabytes(one: Size) -> str:
    return "index not known" if one.index_bytes is None else f"{one.index_bytes / 1e6:,.2f} MB"


def _indexes(task: TaskChunks) -> str:
    known = [f"{one.size}: {one.chunks:,}" for one in task.sizes if one.chunks is not None]
    return f"Vectors by size: {', '.join(known)}."


def _difference(gain: Gain, n: int) -> Difference:
    return Difference(gain.delta, gain.low, gain.high, n=n)
