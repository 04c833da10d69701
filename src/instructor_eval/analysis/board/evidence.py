"""Intervals, differences and shapes from scores' items, computed once and stored (`statistics_files.py`).

numpy and scipy are imported where something is computed: the board needs neither where all was computed before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from instructor_eval import metrics
from instructor_eval.analysis.board.statistics_files import KeptStatistics
from instructor_eval.analysis.statistics import difference as stats
from instructor_eval.analysis.statistics.estimates import Difference, NotComparableError
from instructor_eval.analysis.statistics.unseen import Unseen
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.score import ReadItems, Score

if TYPE_CHECKING:
    from instructor_eval.analysis.statistics.spreads import Spread

T = TypeVar("T")
_SAME = 1e-9
_AT_ONCE = 4  # a head, one of its variants, the baseline row, and one to spare


BINS = 12
NAMED = 3
"""So many units are named at either end."""


@dataclass(frozen=True)
class Shape:
    """A histogram of what units add to a score, and those at its ends; fractions of 1.

    A unit's part is its value where the score is a mean, else what it adds (`analysis/statistics/contributions.py`).
    """

    low: float
    """Where the first bin starts: 0 where all values lie between 0 and 1."""
    high: float
    counts: list[int]
    """Units in each of `BINS` equal bins from `low` to `high`."""
    median: float
    worst: list[list[str | float]]
    """Id and value, the lowest first; of equals the first by id."""
    best: list[list[str | float]]
    is_mean: bool
    """True where the score is the mean of values that stand for themselves (not of what a correlation is made of)."""


class UnreadError(Exception):
    """Items that an interval needs cannot be had."""


class Evidence:
    """Items of scores and what comes of them; a few are held at a time."""

    def __init__(self, read: ReadItems | None, kept: KeptStatistics | None = None) -> None:
        """Take the items of scores, and what was computed of them before.

        Args:
            read: Reads a score's items; None where intervals are not wanted.
            kept: Statistics of earlier calls.
        """
        self._read = read
        self._kept = kept
        self._held: OrderedDict[str, Items] = OrderedDict()

    @property
    def readable(self) -> bool:
        """Return whether there are items to ask for."""
        return self._read is not None

    def spread(self, score: Score, *, replicates: bool) -> Spread:
        """Return the interval of one score that is no mean of parts.

        Raises:
            UnreadError: items are missing, or are not those that the score was computed from.
        """
        from instructor_eval.analysis.statistics.spreads import Spread

        key, found = self._look_up("spread", score)
        if found is not None:
            entry, made = found
            whole = _as(Spread, entry | {"replicates": made})
            if whole is not None and (made is not None or not replicates or not whole.method):
                return whole
        from instructor_eval.analysis.statistics.spread import spread

        try:
            items = self._items(score)
            if not abs(metrics.compute(score.metric, items) - _value(score)) <= _SAME:
                raise UnreadError
            seed = f"{score.task} {score.data.hash or ''}"
            computed = spread(score.metric, items, _value(score), seed_text=seed, keep=replicates)
        except (UserError, LookupError, TypeError, ValueError) as e:  # what columns of a damaged file lead to
            raise UnreadError from e
        self._keep(key, computed, computed.replicates)
        with contextlib.suppress(UnreadError):  # while the items are at hand; a page asks for it (`report/`)
            if self._kept is not None:
                self.shape(score)
        return computed

    def difference(self, child: Score, parent: Score) -> Difference:
        """Return the difference of two scores that are no means of parts.

        Raises:
            NotComparableError: they are not of the same items.
            UnreadError: items are missing, or are not those that the scores were computed from.
        """
        key, found = self._look_up("difference", child, parent)
        if found is not None:
            whole = _as(Difference, _with_unseen(found[0]))
            if whole is not None:
                return whole
        try:
            seed = f"{child.identity} {parent.identity} {child.task}"
            computed = stats.paired(child.metric, self._items(child), self._items(parent), seed_text=seed)
        except (UserError, LookupError, TypeError, ValueError) as e:
            raise UnreadError from e
        except NotComparableError as e:
            raise NotComparableError(str(e).partition(":")[0]) from e  # the board has little room
        if not abs(computed.delta - (_value(child) - _value(parent))) <= _SAME:
            raise UnreadError
        self._keep(key, computed)
        return computed

    def shape(self, score: Score) -> Shape:
        """Return how one score's units are spread.

        Raises:
            UnreadError: items are missing, or no shape can be made of them.
        """
        key, found = self._look_up("shape", score)
        if found is not None:
            with contextlib.suppress(TypeError):  # fields of another version
                return Shape(**found[0])
        try:
            computed = shape_of(score.metric, self._items(score))
        except (UserError, LookupError, TypeError, ValueError) as e:
            raise UnreadError from e
        if self._kept is not None and key is not None:
            self._kept.put(key, dataclasses.asdict(computed))
        return computed

    def parts(self, score: Score) -> list[str]:
        """Return the tasks that a mean of parts is the mean of, by its own items.

        Raises:
            UnreadError: that cannot be read.
        """
        key, found = self._look_up("parts", score)
        if found is not None and isinstance(names := found[0].get("names"), list):
            return [str(name) for name in names]
        try:
            names = [str(i) for i in self._items(score)["id"]]
        except (UserError, LookupError, TypeError) as e:
            raise UnreadError from e
        if self._kept is not None and key is not None:
            self._kept.put(key, {"names": names})
        return names

    def _items(self, score: Score) -> Items:
        """Return a score's items.

        Raises:
            UserError: they are missing or cut short.
        """
        if self._read is None:
            raise UnreadError
        # One identity may stand for several scores in a table made by hand.
        name = f"{score.identity} {score.task} {score.model.fingerprint} {score.created}"
        if name not in self._held:
            self._held[name] = self._read(score)
        self._held.move_to_end(name)
        while len(self._held) > _AT_ONCE:
            self._held.popitem(last=False)
        return self._held[name]

    def _look_up(self, what: str, *scores: Score) -> tuple[str | None, tuple[dict[str, Any], Any] | None]:
        if self._kept is None:
            return None, None
        key = self._kept.key(what, *scores)
        return key, self._kept.get(key)

    def _keep(self, key: str | None, computed: Spread | Difference, replicates: Any = None) -> None:
        if self._kept is not None and key is not None:
            entry = {f.name: getattr(computed, f.name) for f in dataclasses.fields(computed) if f.name != "replicates"}
            if isinstance(computed, Difference):
                entry["unseen"] = [dataclasses.asdict(u) for u in computed.unseen]
            self._kept.put(key, entry | {"df": entry["df"] if math.isfinite(entry["df"]) else None}, replicates)


def shape_of(metric: str, items: Items) -> Shape:
    """Return the shape of a score's items.

    Raises:
        UserError: nothing is known of that metric.
        LookupError, TypeError, ValueError: a column that it needs is missing, or holds what is no number.
    """
    import numpy as np

    from instructor_eval.analysis.statistics.contributions import contributions

    with np.errstate(invalid="ignore"):  # what comes of infinity is found below
        ids, values = contributions(metric, items)
    if not ids or not np.isfinite(values).all():
        raise ValueError("no items, or values that are not finite")
    least, most = float(values.min()), float(values.max())
    low, high = (0.0, 1.0) if least >= 0 and most <= 1 else (least, most)
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(values, bins=BINS, range=(low, high))
    named = np.asarray(ids)
    rising = np.lexsort((named, values))[:NAMED]
    falling = np.lexsort((named, -values))[:NAMED]

    def ends(places: list[int]) -> list[list[str | float]]:
        return [[ids[i], float(values[i])] for i in places]

    return Shape(
        low,
        high,
        [int(c) for c in counts],
        float(np.median(values)),
        ends(rising.tolist()),
        ends(falling.tolist()),
        bool(metrics.get(metric).column),
    )


def _with_unseen(entry: dict[str, Any]) -> dict[str, Any] | None:
    """Return the entry of a difference with its parts as objects; None where their fields are not those of today."""
    try:
        parts = tuple(Unseen(**(part | {"moments": tuple(part["moments"])})) for part in entry["unseen"])
    except (TypeError, LookupError):
        return None
    return entry | {"unseen": parts}


def _as(kind: type[T], entry: dict[str, Any] | None) -> T | None:
    """Return the entry as an object; None where its fields are not those of today."""
    if entry is None:
        return None
    try:
        return kind(**(entry | {"df": math.inf if entry["df"] is None else entry["df"]}))
    except (TypeError, LookupError):
        return None


def _value(score: Score) -> float:
    return score.score or 0.0
