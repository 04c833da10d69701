"""The items of two scores brought together: the same ones, in one order, whole, and really those of the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from instructor_eval import metrics
from instructor_eval.analysis.statistics.contributions import TooManyUnitsError, contributions
from instructor_eval.analysis.statistics.estimates import NotComparableError
from instructor_eval.analysis.statistics.randomise import chance
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score

__all__ = ["chance", "check", "matched", "moved"]
_SAME = 1e-9
_NAMED = 3
_GOLD = ("gold", "relevant")


@dataclass(frozen=True)
class Moves:
    """Units that won and lost, and which did most."""

    n: int
    wins: int
    losses: int
    lost: tuple[Moved, ...]
    gained: tuple[Moved, ...]


def check(score: Score, items: Items, what: str) -> None:
    """Make sure that `items` are those that `score` was computed from.

    Raises:
        NotComparableError: they are not, or some have no value.
        UserError: a column is missing, or shorter than the others.
    """
    lengths = {len(column) for column in items.values()}
    if len(lengths) != 1 or "id" not in items:
        raise UserError(f"the items of the {what} are not whole: run the task again")
    for name, column in items.items():
        bad = [str(items["id"][i]) for i in _without_value(column)]
        if bad:
            raise NotComparableError(f"{len(bad)} items of the {what} have no value in {name} (NaN): {_some(bad)}")
    if score.n_items and score.n_items != len(items["id"]):
        raise NotComparableError(
            f"the {what} says {score.n_items} items and has {len(items['id'])}: the file was changed, run it again"
        )
    try:
        found = metrics.compute(score.metric, items)
    except (LookupError, TypeError, ValueError, ArithmeticError) as e:
        raise UserError(f"the items of the {what} are not whole ({e}): run the task again") from e
    if score.score is None or not abs(found - score.score) <= _SAME:
        raise NotComparableError(
            f"the items of the {what} give {found:.6f}, its score is {score.score}: the file was changed, run it again"
        )


def _without_value(column: Sequence[object]) -> list[int]:
    """The places of None, NaN and infinity."""
    if None in column:
        return [i for i, cell in enumerate(column) if cell is None]
    if not column or not isinstance(column[0], float):
        return []
    return [int(i) for i in np.flatnonzero(~np.isfinite(np.asarray(column, dtype=np.float64)))]


def matched(
    metric: str, child: Items, parent: Items, *, intersect: bool = False
) -> tuple[Items, Items, tuple[str, ...]]:
    """Both sides' items in the order of their ids, and what was left out.

    Args:
        metric: Of one with strata the parent's order stays: of equal strata it may take the one that comes first.
        child: One side's.
        parent: The other's.
        intersect: Leave out items that only one side has, and say so; else they are an error.

    Raises:
        NotComparableError: other ids or other gold values; they are counted, and some named.
        UserError: there are no ids.
    """
    if "id" not in child or "id" not in parent:
        raise UserError("the items hold no column 'id': the file is not whole, run the task again")
    places = [{str(key): i for i, key in enumerate(side["id"])} for side in (child, parent)]
    for side, place in zip((child, parent), places, strict=True):
        if len(place) < len(side["id"]):
            raise NotComparableError(f"other items: {len(side['id']) - len(place)} ids come twice")
    mine, theirs = places
    both = [key for key in (theirs if metrics.get(metric).strata else sorted(theirs)) if key in mine]
    only = [
        (f"only in the {name}", [key for key in place if key not in other])
        for name, place, other in (("candidate", mine, theirs), ("baseline", theirs, mine))
    ]
    notes = tuple(f"{len(keys):,} items {where}: {_some(keys)}" for where, keys in only if keys)
    if notes and not intersect:
        raise NotComparableError(f"other items: {'; '.join(notes)} (--intersect leaves them out)")
    if not both:
        raise NotComparableError("no item is on both sides")
    child, parent = (_taken(side, [place[key] for key in both]) for side, place in ((child, mine), (parent, theirs)))
    for name in _GOLD:
        if name in child and name in parent and child[name] != parent[name]:
            differ = [key for key, a, b in zip(both, child[name], parent[name], strict=True) if a != b]
            raise NotComparableError(f"other gold values: {len(differ):,} items differ: {_some(differ)}")
    return child, parent, tuple(f"left out: {note}" for note in notes)


def _taken(items: Items, places: list[int]) -> Items:
    """The items at these places."""
    take = itemgetter(*places) if len(places) > 1 else lambda column: (column[places[0]],)
    return {name: list(take(column)) for name, column in items.items()}


def _some(names: Sequence[str]) -> str:
    named = ", ".join(name[:40] for name in names[:_NAMED])
    return f"{named} ..." if len(names) > _NAMED else named


def moved(metric: str, child: Items, parent: Items, *, most: int) -> Moves:
    """Return which units won and lost, by what they add to either score; items as `matched` gives them.

    Of too many units of a metric that does not say what they add nothing is counted.
    """
    try:
        ids, mine = contributions(metric, child)
        _, theirs = contributions(metric, parent)
    except TooManyUnitsError:
        return Moves(0, 0, 0, (), ())
    delta = mine - theirs
    delta[np.abs(delta) < _SAME] = 0.0
    order = np.argsort(delta, kind="stable")

    def named(places: Sequence[int]) -> tuple[Moved, ...]:
        return tuple(Moved(ids[i], float(theirs[i]), float(mine[i]), float(delta[i])) for i in places)

    losses, wins = int((delta < 0).sum()), int((delta > 0).sum())
    return Moves(
        len(ids),
        wins,
        losses,
        named(order[: min(most, losses)].tolist()),
        named(order[::-1][: min(most, wins)].tolist()),
    )


@dataclass(frozen=True)
class Moved:
    """One item that lost or gained: what it adds to either score (`contributions`), fractions of 1."""

    id: str
    baseline: float
    candidate: float
    delta: float
