"""How long a chunk should be: score, index and tokens of every size, and the smallest that is good enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from instructor_eval.analysis.statistics import difference as stats
from instructor_eval.analysis.statistics.estimates import NotComparableError
from instructor_eval.analysis.study.instructions import Gain, gain_of
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.models.variant import Variant
from instructor_eval.results.score import Score

WHOLE = "whole"


@dataclass(frozen=True)
class Size:
    """One chunk size on one task."""

    size: str
    """`100`, `100:20`, or `whole`."""
    score: float
    gain: Gain
    """Less the first row's, which is the whole documents' where these were run."""
    behind: Gain
    """Less the best size's."""
    chunks: int | None
    index_bytes: int | None
    tokens: int | None
    """None for whole documents, of which the model reads no more than its maximum."""
    search_ms: float | None = None
    """Milliseconds of one query's exact search through so many vectors, the median."""


@dataclass(frozen=True)
class TaskChunks:
    """One task of a study of chunks."""

    task: str
    metric: str
    sizes: tuple[Size, ...]
    best: str
    smallest: str
    """The smallest size that is shown to be at most the margin behind the best."""

    @property
    def base(self) -> Size:
        """Return the size that gains are measured from: whole documents, or the first where these were not run."""
        return next((one for one in self.sizes if one.size == WHOLE), self.sizes[0])


def compare(task: str, found: Sequence[tuple[str, Score, Items]], margin: float) -> TaskChunks:
    """Return the study of one task.

    Args:
        task: Its name.
        found: Sizes from the smallest, whole documents last, each with its score and items.
        margin: How far behind the best a size may be, a fraction of 1.

    Raises:
        UserError: the scores are not of the same items.
    """
    values = [score.score or 0.0 for _, score, _ in found]
    best = max(range(len(found)), key=lambda i: (values[i], -i))
    base = len(found) - 1 if found[-1][0] == WHOLE else 0
    documents = next((s.search.documents for _, s, _ in found if s.search and s.search.documents), None)
    sizes = tuple(
        Size(
            name, values[i], _less(task, found, i, base), _less(task, found, i, best),
            *_taken(score, documents),
        )
        for i, (name, score, _) in enumerate(found)
    )  # fmt: skip
    able = [
        one for i, one in enumerate(sizes) if i == best or (one.behind.low is not None and one.behind.low >= -margin)
    ]
    return TaskChunks(task, found[0][1].metric, sizes, sizes[best].size, able[0].size)


def _taken(score: Score, documents: int | None) -> tuple[int | None, int | None, int | None]:
    """Return vectors, bytes and tokens of an index."""
    search = score.search
    if search is not None and search.chunks is not None:
        return search.chunks, search.index_bytes, search.chunk_tokens
    if documents is None or not score.model.dim:
        return documents, None, None
    return documents, documents * Variant.parse(score.model.variant).bytes_per_vector(score.model.dim), None


def _less(task: str, found: Sequence[tuple[str, Score, Items]], at: int, other: int) -> Gain:
    if at == other:
        return Gain(0.0, 0.0, 0.0, "same")
    (name, score, items), (_, _, others) = found[at], found[other]
    try:
        return gain_of(stats.paired(score.metric, items, others, seed_text=f"{task} {name}"))
    except NotComparableError as e:
        raise UserError(f"{task}: the sizes' scores are not of the same items ({e}): run the study again") from e
