"""Likeness of two results' models: by fingerprint, or by the vectors that they give.

Items that do not change prove little, as those that would may be rare. But vectors that are the same prove that no
item will: a model copied, saved again or run on another machine. Its fingerprint is of everything that changes a
vector; where that is another one (a checkpoint in other files), the probes of both sides tell, the vectors of a fixed
sample of texts that a run takes (`results/probe.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from instructor_eval.analysis.statistics import difference
from instructor_eval.core.errors import UserError
from instructor_eval.models.variant import Variant
from instructor_eval.results.score import Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from instructor_eval.analysis.compare.side import Side


@dataclass(frozen=True)
class Likeness:
    """Likeness of the vectors behind two scores, as far as it is known."""

    same_model: bool = False
    """True where model, form, instructions and search are the same by name: fingerprints and texts are equal."""
    cosine: float | None = None
    """Largest 1 - cosine of the two vectors of a text, over the probes of both; None where that is not known."""
    texts: int = 0
    """Number of texts in the probes."""

    def is_same(self, limit: float) -> bool:
        """Return whether the vectors are the same, those of the probes within `limit` (of 1 - cosine)."""
        return self.same_model or (self.cosine is not None and self.cosine <= limit)


UNKNOWN = Likeness()


def likeness(mine: Score, theirs: Score, candidate: Side, baseline: Side) -> Likeness:
    """Look up what is known of the vectors that two scores of one task were made with."""
    if difference.why_not(mine, theirs) is not None or mine.store != theirs.store:
        return UNKNOWN
    if mine.model.fingerprint == theirs.model.fingerprint:
        return Likeness(same_model=True)
    if not _stored_alike(mine, theirs):
        return UNKNOWN
    from instructor_eval.results import probe

    found = []
    for side, score in ((candidate, mine), (baseline, theirs)):
        path = probe.find(side.root, score) if side.root else None
        if path is None:
            return UNKNOWN
        try:
            found.append(probe.read(path))
        except UserError:  # damaged: it tells nothing
            return UNKNOWN
    off = probe.distance(*found)
    return UNKNOWN if off is None else Likeness(cosine=float(off.max()), texts=len(off))


def of_all(found: Sequence[Likeness]) -> Likeness:
    """Return what holds for every one of several."""
    if not found or not all(f.same_model or f.cosine is not None for f in found):
        return UNKNOWN
    known = [f for f in found if f.cosine is not None]
    if not known:
        return Likeness(same_model=True)
    return max(known, key=lambda f: f.cosine or 0.0)


def _stored_alike(mine: Score, theirs: Score) -> bool:
    """Return whether an index keeps the vectors of both in one precision; a probe is of what the model gives."""
    try:
        one, other = (Variant.parse(s.model.variant) for s in (mine, theirs))
    except UserError:
        return False
    return (one.embedding, one.dim) == (other.embedding, other.dim)
