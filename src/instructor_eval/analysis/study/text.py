"""Studies as text: a table for each task, and what it says in words."""

from __future__ import annotations

from instructor_eval.analysis.format import interval_text, points
from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.analysis.study.chunks import Size, TaskChunks
from instructor_eval.analysis.study.domains import ModelMean
from instructor_eval.analysis.study.files import ChunkStudy, DomainStudy, InstructionStudy, LatencyStudy
from instructor_eval.analysis.study.instructions import Gain, TaskStudy, Tried
from instructor_eval.core.escapes import json_text
from instructor_eval.core.tables import render
from instructor_eval.results.reading import plain
from instructor_eval.results.score import Percentiles

FORMATS = ("table", "md", "json")
_HEADERS = ["candidate", "source", "all", "choosing half", "Δ other half [95 %]"]


def gain_text(gain: Gain) -> str:
    """Return `+0.31 [-0.10, +0.72]` in points; the difference alone where there is no interval."""
    return interval_text(Difference(gain.delta, gain.low, gain.high))


def format_instructions(study: InstructionStudy, form: str) -> str:
    """Return a study of instructions in one of `FORMATS`."""
    if form == "json":
        return json_text(plain(study))
    title = "## " if form == "md" else ""
    return "\n\n".join(
        f"{title}{task.task}: {study.model} ({study.variant})\n\n{_table(task, form)}\n\n" + "\n".join(sentences(task))
        for task in study.tasks
    )


def format_chunks(study: ChunkStudy, form: str) -> str:
    """Return a study of chunk sizes in one of `FORMATS`."""
    if form == "json":
        return json_text(plain(study))
    title = "## " if form == "md" else ""
    return "\n\n".join(
        f"{title}{task.task}: {study.model} ({study.variant})\n\n"
        f"{render(*chunk_table(task), form)}\n\n" + "\n".join(chunk_sentences(task, study.margin))
        for task in study.tasks
    )


def chunk_table(task: TaskChunks) -> tuple[list[str], list[list[str | None]]]:
    """Return a task's sizes as a table: headers and rows."""
    base = f"Δ {task.base.size} [95 %]"
    headers = ["chunk", "score", base, "Δ best [95 %]", "chunks", "index MB", "k tokens", "search ms"]
    return headers, list(map(_size_cells, task.sizes))


def _size_cells(one: Size) -> list[str | None]:
    return [
        one.size,
        points(one.score),
        gain_text(one.gain),
        gain_text(one.behind),
        None if one.chunks is None else f"{one.chunks:,}",
        None if one.index_bytes is None else f"{one.index_bytes / 1e6:,.2f}",
        None if one.tokens is None else f"{one.tokens / 1000:,.0f}",
        None if one.search_ms is None else f"{one.search_ms:.3f}",
    ]


def chunk_sentences(task: TaskChunks, margin: float) -> list[str]:
    """Return what sizes come to, in words."""
    best, small = (next(one for one in task.sizes if one.size == name) for name in (task.best, task.smallest))
    most = f"{100 * margin:g} point{'s' * (margin != 0.01)}"
    if best is small:
        return [f"Best: {best.size}; no smaller size is shown to be at most {most} behind it."]
    index = ""
    if small.index_bytes and best.index_bytes:
        index = f", with {small.index_bytes / best.index_bytes:.2f} times its index"
    return [f"Best: {best.size}. Smallest at most {most} behind it, by its interval: {small.size} "
            f"({gain_text(small.behind)}){index}."]  # fmt: skip


def format_domains(study: DomainStudy, form: str) -> str:
    """Return a study of domains in one of `FORMATS`."""
    if form == "json":
        return json_text(plain(study))
    both = len(study.models) == 2
    headers = ["domain", "tasks", *study.models, *["Δ [95 %]"] * both]
    rows = [
        [
            found.name,
            str(len(found.tasks)),
            *map(_mean_text, found.means),
            *([gain_text(found.gain)] if found.gain else []),
        ]
        for found in study.domains
    ]
    lines = [f"{found.name}: {', '.join(found.tasks)}" for found in study.domains]
    what = f"Δ: {study.models[1]} less {study.models[0]}, paired item by item, mean over the tasks. " if both else ""
    return (
        f"{render(headers, rows, form)}\n\n{what}Scores x 100, with 95 % intervals for other items of these tasks.\n"
        + ("\n".join(lines))
    )


def _mean_text(found: ModelMean) -> str:
    bare = points(found.value)
    return bare if found.low is None or found.high is None else f"{bare} [{points(found.low)}, {points(found.high)}]"


def format_latency(study: LatencyStudy, form: str) -> str:
    """Return a study of latency in one of `FORMATS`."""
    if form == "json":
        return json_text(plain(study))
    rows: list[list[str | None]]
    rows = [[f"one query, {row.variant}", *_times(row.query), f"{row.times_baseline:.2f}"] for row in study.rows]
    rows += [[f"search among {one.vectors:,} of {one.dim} values", *_times(one.query), None] for one in study.searches]
    table = render(["milliseconds", "p50", "p95", "p99", f"x {study.rows[0].variant}"], rows, form)
    return f"{table}\n\n{study.model} on {study.device}: {study.rounds} queries, a batch of one each, forms in turns."


def _times(found: Percentiles) -> list[str]:
    return [f"{value:.3f}" for value in (found.p50, found.p95, found.p99)]


def ordered(task: TaskStudy) -> list[Tried]:
    """Return the candidates as the choosing half ranks them."""
    return sorted(task.tried, key=lambda one: -one.choosing)


def mark(one: Tried, task: TaskStudy) -> str:
    """Return a candidate's name, with what it is beside that."""
    winner = " ← winner" if one.candidate.name == task.winner else ""
    return f"{one.candidate.name}{winner}"


def _table(task: TaskStudy, form: str) -> str:
    rows = [
        [
            mark(one, task),
            one.candidate.source,
            points(one.score),
            points(one.choosing),
            gain_text(one.gain),
        ]
        for one in ordered(task)
    ]
    return render(_HEADERS, rows, form, left=2)


def sentences(task: TaskStudy) -> list[str]:
    """Return what a task's study says, a sentence or two a line."""
    spread, best = task.sensitivity, task.best
    texts = "; ".join(f"{role}: {text!r}" for role, text in best.candidate.texts.items())
    if best is task.tried[0]:
        first = "No candidate beat the instruction that the model has already."
    else:
        words = {
            "better": "it is better",
            "worse": "it is worse: it had won by chance",
            "same": "no difference is shown",
            "unknown": "no interval can be given",
        }
        first = (
            f"Winner {task.winner} ({texts}): {gain_text(task.gain)} points on the {task.n_held_out:,} held out; "
            f"{words[task.gain.verdict]}. On the {task.n_choosing:,} that chose it: {gain_text(task.gain_choosing)}, "
            "which is too high."
        )
    sensitivity = (
        f"Sensitivity ({task.metric} over candidates, all items, controls left out): least {points(spread.least)}, "
        f"mean {points(spread.mean)}, most {points(spread.most)}, sd {points(spread.sd)}."
    )
    controls = [one for one in task.tried if one.candidate.is_control]
    if not controls:
        return [first, sensitivity]
    high = max(controls, key=lambda one: one.score)
    control = (
        f"Control: the best of {len(controls)} other tasks' instructions ({high.candidate.name}) has "
        f"{points(high.score)}, the paper's {points(task.tried[0].score)}."
    )
    return [first, sensitivity, control]
