"""Studies of chunk sizes made up for the tests of the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from instructor_eval.analysis.study import files
from instructor_eval.analysis.study.chunks import Size, TaskChunks
from instructor_eval.analysis.study.files import ChunkStudy
from instructor_eval.analysis.study.instructions import Gain

ZERO = Gain(0.0, 0.0, 0.0, "same")


def size(name: str, score: float, megabytes: float | None = 1.0, gain: Gain | None = None) -> Size:
    """One size; whole documents have 0.5, and an interval reaches from two points below to three above."""
    found = gain or Gain(score - 0.5, score - 0.52, score - 0.47, "unknown")
    taken = None if megabytes is None else round(megabytes * 1e6)
    return Size(name, score, ZERO if name == "whole" else found, ZERO, 1000, taken, 5000, 1.5)


def task(*sizes: Size) -> TaskChunks:
    """A task's sizes, of which the highest is the best."""
    best = max(sizes, key=lambda one: one.score)
    return TaskChunks("SciFact", "ndcg_at_10", sizes, best.size, best.size)


def chunks(results: Path, names: Sequence[str], model: str = "org/model") -> None:
    """File a study of these sizes, whose scores rise and whose indexes shrink."""
    sizes = [size(name, 0.5 if name == "whole" else 0.4 + 0.02 * n, 40 / (n + 1)) for n, name in enumerate(names)]
    files.write(results, "chunks", model, ChunkStudy(model, "fp32", 0.01, (task(*sizes),)))
