"""The study of chunks: an ordinary run of a grid of sizes, each a row of the results folder, and what they come to."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
from collections.abc import Callable, Sequence

from instructor_eval.analysis.study import files
from instructor_eval.analysis.study.chunks import WHOLE, TaskChunks, compare
from instructor_eval.analysis.study.files import ChunkStudy
from instructor_eval.core.errors import UserError
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.run.options import Options, read, request_of
from instructor_eval.search.chunks import ChunkSpec
from instructor_eval.tasks import types

KIND = "chunks"


def study(
    options: Options, sizes: Sequence[str], margin: float, say: Callable[[str], None], *, timed: bool = True
) -> ChunkStudy:
    """Run a study of chunk sizes, file it, and return it.

    Args:
        options: One model and its tasks.
        sizes: `100`, `100:20`, ..., `whole`.
        margin: How far behind the best size another may be, a fraction of 1.
        say: Called with what is done, a line each.
        timed: Whether the exact search of so many vectors is timed.

    Raises:
        UserError: a size cannot be read, or nothing is left to compare; a task fails, or another study runs there.
    """
    options.check()
    if len(options.model) != 1:
        raise UserError("a study is of one model: give one --model")
    by_spec: dict[ChunkSpec | None, str] = {}  # 64 and 64:0 are one size
    for text in sizes:
        by_spec.setdefault(ChunkSpec.parse(text, options.chunk_by, options.chunk_score, "--sizes"), text)
    parsed = {text: spec for spec, text in by_spec.items()}
    order = sorted(parsed, key=lambda text: (parsed[text] is None, *_key(parsed[text])))
    from instructor_eval.run.execute import execute
    from instructor_eval.run.plan import plan_run

    home = options.results
    asked = read(dataclasses.replace(options, cost="off"))
    cards = [card for card in asked.cards if types.get(card.type).is_cut and not card.parts]
    if not cards:
        raise UserError("a study of chunks is for retrieval and reranking tasks, and no --task names one")
    asked = dataclasses.replace(asked, cards=cards)
    with contextlib.ExitStack() as closing:
        plain = plan_run(request_of(asked, closing, say, dry=True), lambda _line: None)
    if len(plain) != 1 or plain[0].checkpoint is None:
        raise UserError("a study is of one row: give one --variant, one --search and one --instructions")
    most = plain[0].checkpoint.max_length
    too_long = [text for text in order if (spec := parsed[text]) and most and spec.size > most]
    for text in too_long:
        say(f"left out: {text}, {plain[0].checkpoint.name} reads {most} tokens at most")
    order = [text for text in order if text not in too_long]
    if len(order) < 2:
        raise UserError("--sizes: there are not two to compare: give more, as --sizes 64,128,256,whole")
    asked = dataclasses.replace(asked, options=dataclasses.replace(asked.options, chunk=order))
    with files.alone(home):
        with contextlib.ExitStack() as closing:
            scores = execute(request_of(asked, closing, say), say).scores
        store, tasks = Store(home), []
        for card in cards:
            found = [(text, _score(scores, card.name, parsed[text])) for text in order]
            task = compare(card.name, [(text, score, store.items(score)) for text, score in found], margin)
            tasks.append(_timed(task, scores[0].model.dim) if timed else task)
        made = ChunkStudy(scores[0].model.name, scores[0].model.variant, margin, tuple(tasks), options.limit)
        say(f"filed in {files.write(home, KIND, made.model, made)}")
    return made


def _key(spec: ChunkSpec | None) -> tuple[int, int]:
    return (0, 0) if spec is None else (spec.size, spec.overlap)


def _score(scores: Sequence[Score], task: str, spec: ChunkSpec | None) -> Score:
    """Return the score of a size.

    Raises:
        UserError: it failed.
    """
    wanted = "" if spec is None else str(spec)

    def cut(score: Score) -> str:
        return score.store[score.store.find("chunk=") :] if "chunk=" in score.store else ""

    found = next(score for score in scores if score.task == task and cut(score) == wanted)
    if found.score is None:
        raise UserError(f"{task} failed at {wanted or WHOLE}: {found.error}")
    return found


def _timed(task: TaskChunks, dim: int) -> TaskChunks:
    """Return a task with how long the search of one query takes at each size."""
    from instructor_eval.run.latency import search_seconds

    def of(vectors: int | None) -> float | None:
        return None if not vectors or not dim else round(1000 * statistics.median(search_seconds(vectors, dim)), 4)

    return dataclasses.replace(
        task, sizes=tuple(dataclasses.replace(one, search_ms=of(one.chunks)) for one in task.sizes)
    )
