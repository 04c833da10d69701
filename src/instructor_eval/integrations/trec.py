"""TREC's files of retrieval and reranking tasks: a run, what was found for each query, and qrels, what was judged.

trec_eval, pytrec_eval and ir_measures read them and give the filed figures. Tools rank equal scores each in its own way
(trec_eval by falling ids, MS MARCO's by rising ones), so that no scores are equal in a run: one that equals the score
before it is written as the next lower float32, and all tools see the order that the figures are of.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from instructor_eval import metrics
from instructor_eval.analysis.compare.side import Side
from instructor_eval.core.errors import UserError
from instructor_eval.core.paths import slug
from instructor_eval.core.values import Items
from instructor_eval.integrations.export import Export
from instructor_eval.results.repeat import command_of
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store, has_rankings
from instructor_eval.tasks import types

_NO_ID = re.compile(r"\s|^$|\0")
"""In an id: the files' columns stand between spaces."""


def files(sides: Sequence[Side]) -> Export:
    """Return `<row>/<task>.run` and `.qrels` of every retrieval and reranking task.

    Raises:
        UserError: there is none.
    """
    export, missing = Export(), []
    for side in sides:
        store = Store(side.root or Path("results"))
        for task, score in sorted(side.scores.items()):
            if not types.get(score.type).is_ranking or metrics.is_of_parts(score.metric):
                export.no_place.append(task)
                continue
            if not has_rankings(score):
                missing.append(score)
                continue
            try:
                _check(store.items(score, without=()))
            except UserError as e:
                export.left_out.append(f"{task} of {side.label}: {e}")
                continue
            name = f"{slug(side.label)}/{slug(task)}"
            export.files[f"{name}.run"] = partial(_of, _run_lines, score, store)
            export.files[f"{name}.qrels"] = partial(_of, _qrels_lines, score, store)
    export.left_out += map(_again, missing)
    if not export.files and not export.left_out:
        raise UserError("no results of retrieval or reranking here: TREC's files are of these, run such a task")
    return export


def _again(score: Score) -> str:
    """Return what makes the rankings of a score."""
    words = command_of(score)
    again = "run it again with --rankings (rankings=True from Python)"
    command = shlex.join([*words, "--rankings"]) if words else again
    return f"{score.task} of {score.model.name}: filed without its rankings: {command}"


def _check(items: Items) -> None:
    """Refuse ids that the files cannot hold, and columns that nothing of ours writes.

    Raises:
        UserError: an id has a space, or is empty; or the columns do not go together.
    """
    try:
        for names, values in (("ranked", "ranked_scores"), ("judged", "judged_grades")):
            lengths = [list(map(len, items[name])) for name in (names, values)]
            if lengths[0] != lengths[1] or len(lengths[0]) != len(items["id"]):
                raise ValueError
            np.array([value for row in items[values] for value in row], dtype=np.float64)
        ids = (items["id"], *items["ranked"], *items["judged"])
        bad = next((i for row in ids for i in row if _NO_ID.search(i)), None)
    except (LookupError, TypeError, ValueError) as e:
        raise UserError("its rankings are not whole: run it again with --rankings") from e
    if bad is not None:
        raise UserError(f"the id {bad[:80]!r} has a space or is empty: TREC's files cannot hold it, rename it")


def _of(lines: object, score: Score, store: Store) -> bytes:
    assert callable(lines)
    found: Iterable[str] = lines(store.items(score, without=()))
    return "".join(f"{line}\n" for line in found).encode("utf-8", "surrogatepass")


def _run_lines(items: Items) -> Iterator[str]:
    for query, documents, scores in zip(items["id"], items["ranked"], items["ranked_scores"], strict=True):
        for rank, (document, score) in enumerate(zip(documents, _falling(scores), strict=True), 1):
            yield f"{query} Q0 {document} {rank} {score!s} instructor-eval"


def _falling(scores: Iterable[float]) -> Iterator[np.float32]:
    """Yield scores as float32, each below the one before it."""
    last = np.float32(np.inf)
    for score in scores:
        last = min(np.float32(score), np.nextafter(last, np.float32(-np.inf)))
        yield last


def _qrels_lines(items: Items) -> Iterator[str]:
    for query, documents, grades in zip(items["id"], items["judged"], items["judged_grades"], strict=True):
        yield from (f"{query} 0 {document} {grade}" for document, grade in zip(documents, grades, strict=True))
