"""Variants of one model beside each other: which is the parent, what each child loses, costs, and is not beaten in.

Rows are siblings where name, revision, instruction set and, as far as it is known, the checkpoint's content are the
same. The parent is the baseline variant; everything of a child is given as its difference from the parent, on the items
both have.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from instructor_eval import metrics
from instructor_eval.analysis.board.evidence import Evidence, UnreadError
from instructor_eval.analysis.board.rows import Figures
from instructor_eval.analysis.statistics import difference as stats
from instructor_eval.analysis.statistics.estimates import Difference, NotComparableError
from instructor_eval.core.errors import UserError
from instructor_eval.models.variant import BASELINE, EMBEDDINGS, FORMS, Variant, canonical
from instructor_eval.results.score import CostFigures, Score
from instructor_eval.results.search_figures import of_parts
from instructor_eval.tasks.cards import shipped_cards

if TYPE_CHECKING:
    from instructor_eval.analysis.board.rows import ComparedRow, Row, ScoredRow, Scores
    from instructor_eval.analysis.statistics.spreads import Spread

_SECOND_CHOICE = "bf16"
_SAME = 1e-9
NOISE = 0.03
"""Ratios nearer to 1 than this count as equal, and speeds are compared as equal: a choice, not a measured noise."""

MARGIN = 0.01
"""The loss that a variant may leave room for and still be named as one to deploy: one point."""


def alike(ratio: float) -> bool:
    """Return whether a positive ratio is within `NOISE` of 1, in either direction."""
    return max(ratio, 1 / ratio) < 1 + NOISE


def is_safe(row: Row, *, lower: bool = False) -> bool:
    """Return whether a variant shows no loss beside its parent, and leaves no room for one above `MARGIN`.

    A difference without an interval, or with one of too few items, says neither.
    """
    delta = row.delta_macro.turned if lower and row.delta_macro else row.delta_macro
    if delta is None or delta.weak or delta.low is None:
        return False
    return delta.verdict != "worse" and -delta.low <= MARGIN


def families(rows: Iterable[ScoredRow]) -> list[list[ScoredRow]]:
    """Return the rows of one model, revision, instruction set and checkpoint together, the parent first.

    Of a family with two rows of the baseline variant each row stays alone: two checkpoints go by one name, and nothing
    says to which of them the others belong.
    """
    found: list[list[ScoredRow]] = []
    for family in _of_checkpoints(rows):
        # A baseline that failed at everything is none.
        able = [row for row in family if row.tasks] or family
        baseline = min((canonical(row.variant) for row in able), key=lambda v: (v != BASELINE, v != _SECOND_CHOICE, v))
        parents = [row for row in able if canonical(row.variant) == baseline]
        children = [row for row in family if row is not parents[0]]
        children.sort(key=lambda r: (_order(r.variant), r.fingerprint))
        found += [[parents[0], *children]] if len(parents) == 1 else [[row] for row in family]
    return found


def _of_checkpoints(rows: Iterable[ScoredRow]) -> list[list[ScoredRow]]:
    """Rows of one checkpoint each; one that does not say of which joins the only one there is of its name."""
    named: dict[tuple[str, str, str], dict[str, list[ScoredRow]]] = {}
    for row in rows:
        by_base = named.setdefault((row.name, row.revision, row.instructions), {})
        by_base.setdefault(row.base or (row.fingerprint if row.variant == BASELINE else ""), []).append(row)
    found: list[list[ScoredRow]] = []
    for by_base in named.values():
        unknown = by_base.pop("", [])
        if len(by_base) > 1:
            found += [*by_base.values(), *([row] for row in unknown)]
        else:
            found.append([*(row for family in by_base.values() for row in family), *unknown])
    return found


def _order(text: str) -> tuple[int, str, int, int, str]:
    """Forms as they are registered, then how vectors are stored, then their length, the whole one first."""
    try:
        variant = Variant.parse(text)
    except UserError:  # written by another version, or with a package that is not here
        return len(FORMS) + 1, "", 0, 0, text
    forms, embeddings = list(FORMS), list(EMBEDDINGS)
    place = forms.index(variant.form) if variant.form in forms else len(forms)
    return place, variant.form, embeddings.index(variant.embedding), variant.dim or 0, text


@dataclass(frozen=True)
class Beside:
    """A score of one task beside another's."""

    difference: Difference | None = None
    """None where it was not asked for, one of them is missing, or they cannot be compared."""
    why: str = ""
    """Why they cannot be compared."""
    unread: bool = False
    """True where items are missing or damaged: the difference has no interval."""


NOTHING = Beside()


def beside(mine: Scores, theirs: Scores, task: str, evidence: Evidence, *, instructions: bool = True) -> Beside:
    """Return one task's difference, or why there is none; the arguments are those of `difference`."""
    if task not in mine or task not in theirs:
        return NOTHING
    try:
        return Beside(difference(mine, theirs, task, evidence, instructions=instructions))
    except NotComparableError as e:
        return Beside(why=str(e))
    except UnreadError:
        return Beside(_bare(mine[task], theirs[task]), unread=True)


def difference(mine: Scores, theirs: Scores, task: str, evidence: Evidence, *, instructions: bool = True) -> Difference:
    """Return one task's difference; a mean of parts has the interval of the mean of its parts' differences.

    Args:
        mine: One row's scores.
        theirs: The other's.
        task: A task that both have a score of.
        evidence: Of the scores' items; without any the difference stays without an interval.
        instructions: Whether the instruction texts of both must be the same.

    Raises:
        NotComparableError: the scores are not of one evaluation.
        UnreadError: items are missing, or parts are, or they are not those that the whole was computed from.
    """
    own, other = mine[task], theirs[task]
    reason = stats.why_not(own, other, instructions=instructions)
    if reason:
        raise NotComparableError(reason)
    bare = _bare(own, other)
    if not evidence.readable:
        return bare
    if not metrics.is_of_parts(own.metric):
        return evidence.difference(own, other)
    names = evidence.parts(own)
    if sorted(names) != sorted(evidence.parts(other)):
        raise NotComparableError("other parts")
    _check_parts(names, own, (mine, theirs))
    parts = [difference(mine, theirs, part, evidence, instructions=instructions) for part in names]
    found = stats.mean(parts)
    if found.n < len(parts) or abs(found.delta - bare.delta) > _SAME:
        raise UnreadError
    return found


def spread(scores: Scores, task: str, evidence: Evidence, *, replicates: bool) -> Spread:
    """Return one score's interval; a mean of parts has that of the mean of its parts.

    Args:
        scores: A row's scores.
        task: A task among them.
        evidence: Of the scores' items.
        replicates: Whether the score's replicates are wanted too.

    Raises:
        UnreadError: items are missing, or parts are, or they are not those that the score was computed from.
    """
    score = scores[task]
    if score.statistics is not None or not metrics.is_of_parts(score.metric):
        return evidence.spread(score, replicates=replicates)
    from instructor_eval.analysis.statistics.spreads import of_parts

    names = evidence.parts(score)
    _check_parts(names, score, (scores,))
    parts = [evidence.spread(scores[part], replicates=replicates) for part in names]
    value = score.score or 0.0
    found = of_parts(parts, value)
    if found is None or abs(math.fsum(p.value for p in parts) / len(parts) - value) > _SAME:
        raise UnreadError
    return found


def _check_parts(names: Sequence[str], whole: Score, rows: Sequence[Scores]) -> None:
    """Raise `UnreadError` unless there are parts and every row has a score of each, which is never a whole again."""
    scores = [row.get(name) for name in names for row in rows]
    if not names or any(score is None or score.metric == whole.metric for score in scores):
        raise UnreadError


def _bare(child: Score, parent: Score) -> Difference:
    return Difference((child.score or 0.0) - (parent.score or 0.0), n=child.n_items)


def weigh(family: Sequence[ComparedRow], tasks: Sequence[str], sign: int = 1) -> list[tuple[Figures, bool | None]]:
    """Return size and speed of a parent and its children, and whether nothing beats them; quality is over `tasks`.

    Args:
        family: The parent, then its children.
        tasks: What quality is the mean of.
        sign: 1 where higher scores are better, -1 where lower ones are, 0 where neither: nothing is beaten then.
    """
    parent, *children = family
    if not children:
        return [(Figures(), None)]
    base = parent.cost or CostFigures()
    figures = [_figures(child, parent, base) for child in children]
    timed = any(f.faster for f in figures) or base.speed_ratio is not None
    smaller, faster = 1.0 if base.file_bytes else None, 1.0 if timed else None
    figures = [Figures(base.file_bytes, smaller, faster, _vector_bytes(parent), base.device), *figures]
    known = dict(zip(family, figures, strict=True))
    whole = [row for row, f in known.items() if row.tasks and None not in (f.file_bytes, f.faster, f.vector_bytes)]
    weighed = whole if sign else []

    def beats(one: ComparedRow, other: ComparedRow) -> bool:
        """Return whether `one` is at least as good in quality, size, speed and index bytes, and better in one of them.

        Quality is the mean score over those of the tasks that both have and that can be compared. Speeds that are
        `alike` are equal; those measured on two devices are not compared, a parent's excepted: children's are ratios
        to it.
        """
        a, b = known[one], known[other]
        left_out = {*one.not_comparable, *other.not_comparable}
        shared = [t for t in tasks if t in one.tasks and t in other.tasks and t not in left_out]
        if not shared or (parent not in (one, other) and a.device != b.device):
            return False
        mine, theirs = a.faster or 0.0, b.faster or 0.0  # both known and positive: they are weighed
        gains = (
            sign * sum(one.tasks[t] - other.tasks[t] for t in shared),
            (b.file_bytes or 0) - (a.file_bytes or 0),
            0.0 if alike(mine / theirs) else mine - theirs,
            (b.vector_bytes or 0) - (a.vector_bytes or 0),
        )
        return min(gains) >= 0 and max(gains) > 0

    best = {row: not any(beats(other, row) for other in weighed if other is not row) for row in weighed}
    return [(f, best.get(row)) for row, f in known.items()]


def _figures(child: ComparedRow, parent: ComparedRow, base: CostFigures) -> Figures:
    cost = child.cost or CostFigures()
    size = cost.file_bytes
    smaller = base.file_bytes / size if base.file_bytes and size else _to_parent("size_ratio", cost, base, parent)
    why = _untimed(child.cost, base, parent)
    faster = None if why else _to_parent("speed_ratio", cost, base, parent)
    return Figures(size, smaller, faster, _vector_bytes(child), cost.device, why)


def _baseline(cost: CostFigures, parent: ScoredRow) -> str:
    """Return the form that a cost's ratios are relative to; where it does not say, the parent's."""
    return canonical(cost.baseline or parent.variant)


def _to_parent(key: str, cost: CostFigures, base: CostFigures, parent: ScoredRow) -> float | None:
    """Return a ratio to the parent: as filed, or through the baseline that both were measured against; else None."""
    own: float | None = getattr(cost, key)
    against = _baseline(cost, parent)
    if own is None or against == canonical(parent.variant):
        return own
    theirs: float | None = getattr(base, key)
    return own / theirs if theirs and _baseline(base, parent) == against else None


def _untimed(cost: CostFigures | None, base: CostFigures, parent: ScoredRow) -> str:
    """Return why a child's speed cannot be compared with the parent's; empty where it can, or nothing was measured."""
    if cost is None:
        return ""
    against, device = _baseline(cost, parent), cost.device
    if cost.speed_ratio is None or against == canonical(parent.variant):
        return "no speed among its figures" if cost.speed_ratio is None else ""
    if base.speed_ratio is None:
        return f"measured beside {against}, but {parent.variant} was not"
    if _baseline(base, parent) != against:
        return f"measured beside {against}, but {parent.variant} beside {base.baseline or 'nothing named'}"
    if device is None or device != base.device:
        known = [d or "a device not named" for d in (device, base.device)]
        return f"measured on {known[0]}, but {parent.variant} on {known[1]}"
    return ""


def _vector_bytes(row: ScoredRow) -> int | None:
    """Bytes of a stored vector: what a store took; else as filed; else by the variant's name; else four a value."""
    searches = [row.scores[task].search for task in searched(row)]
    if searches:
        whole = of_parts(searches)
        return round(whole.index_bytes / whole.documents) if whole and whole.index_bytes and whole.documents else None
    found = next((s.embedding for s in row.scores.values() if s.embedding), None)
    if found is not None:
        return int(found.bytes_per_vector)
    dim = next((s.model.dim for s in row.scores.values() if s.model.dim), None)
    if dim is None:
        return None
    try:
        return Variant.parse(row.variant).bytes_per_vector(dim)
    except UserError:
        return 4 * dim


def searched(row: ScoredRow) -> list[str]:
    """The tasks of a row that went through its store; a whole stands for its parts, whose figures are in its own."""
    cards = shipped_cards()
    found = [task for task in row.tasks if task in row.scores and row.scores[task].search]
    return [task for task in found if not (task in cards and cards[task].part_of in found)]
