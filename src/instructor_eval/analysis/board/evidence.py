"""Intervals, differences and shapes of scores: as filed, or from items, computed once and stored in a file.

numpy is imported where something is computed: the board does not need it where all was computed before.
"""

from __future__ import annotations

import contextlib
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from instructor_eval import metrics
from instructor_eval.analysis.board.statistics_files import StoredStatistics
from instructor_eval.analysis.statistics import difference as stats
from instructor_eval.analysis.statistics.estimates import Difference, NotComparableError
from instructor_eval.analysis.statistics.filed import UNUSABLE, measure, spread_of
from instructor_eval.analysis.statistics.unseen import Unseen
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.reading import plain, record
from instructor_eval.results.score import ReadItems, Score, Shape, Statistics

if TYPE_CHECKING:
    from instructor_eval.analysis.statistics.spreads import Spread

_SAME = 1e-9
_AT_ONCE = 4  # a head, one of its variants, the baseline row, and one to spare


class UnreadError(Exception):
    """Items that an interval needs cannot be had."""


class Evidence:
    """Items of scores and what comes of them; a few are held at a time."""

    def __init__(self, read: ReadItems | None, stored: StoredStatistics | None = None) -> None:
        """Take the items of scores, and what was computed of them before.

        Args:
            read: Reads a score's items; None where intervals are not wanted.
            stored: Statistics of earlier calls.
        """
        self._read = read
        self._stored = stored
        self._held: OrderedDict[str, Items] = OrderedDict()

    @property
    def readable(self) -> bool:
        """Return whether there are items to ask for."""
        return self._read is not None

    def spread(self, score: Score, *, replicates: bool) -> Spread:
        """Return the interval of one score: as filed, or of its items where it was filed without.

        Raises:
            UnreadError: items are missing, or are not those that the score was computed from.
        """
        return spread_of(score, self._statistics(score), replicates=replicates)

    def _statistics(self, score: Score) -> Statistics:
        """Return a score's statistics; version 1 filed none, so that they are computed from items and stored.

        Raises:
            UnreadError: items are missing, or are not those that the score was computed from.
        """
        if score.statistics is not None:
            return score.statistics
        key, entry = self._look_up("statistics", score)
        if entry is not None:
            with contextlib.suppress(ValueError):  # fields of another version
                return record(Statistics, entry)
        try:
            items = self._items(score)
            if not items["id"] or not abs(metrics.compute(score.metric, items) - _value(score)) <= _SAME:
                raise UnreadError
            computed = measure(score, items)
        except UNUSABLE as e:  # what columns of a damaged file lead to
            raise UnreadError from e
        self._keep(key, plain(computed))
        return computed

    def difference(self, child: Score, parent: Score) -> Difference:
        """Return the difference of two scores that are no means of parts.

        Raises:
            NotComparableError: they are not of the same items.
            UnreadError: items are missing, or are not those that the scores were computed from.
        """
        key, entry = self._look_up("difference", child, parent)
        if entry is not None:
            with contextlib.suppress(TypeError, LookupError):  # fields of another version
                return _difference_in(entry)
        try:
            seed = f"{child.identity} {parent.identity} {child.task}"
            computed = stats.paired(child.metric, self._items(child), self._items(parent), seed_text=seed)
        except (UserError, LookupError, TypeError, ValueError) as e:
            raise UnreadError from e
        except NotComparableError as e:
            raise NotComparableError(str(e).partition(":")[0]) from e  # the board has little room
        if not abs(computed.delta - (_value(child) - _value(parent))) <= _SAME:
            raise UnreadError
        self._keep(key, plain(computed) | {"df": computed.df if math.isfinite(computed.df) else None})
        return computed

    def shape(self, score: Score) -> Shape:
        """Return how one score's units are spread.

        Raises:
            UnreadError: items are missing, or no shape can be made of them.
        """
        found = self._statistics(score).shape
        if found is None:
            raise UnreadError
        return found

    def parts(self, score: Score) -> list[str]:
        """Return the tasks that a mean of parts is the mean of, by its own items.

        Raises:
            UnreadError: that cannot be read.
        """
        key, entry = self._look_up("parts", score)
        if entry is not None and isinstance(names := entry.get("names"), list):
            return [str(name) for name in names]
        try:
            names = [str(i) for i in self._items(score)["id"]]
        except (UserError, LookupError, TypeError) as e:
            raise UnreadError from e
        self._keep(key, {"names": names})
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

    def _look_up(self, what: str, *scores: Score) -> tuple[str, dict[str, Any] | None]:
        if self._stored is None:
            return "", None
        key = self._stored.key(what, *scores)
        return key, self._stored.get(key)

    def _keep(self, key: str, entry: dict[str, Any]) -> None:
        if self._stored is not None:
            self._stored.put(key, entry)


def _difference_in(entry: dict[str, Any]) -> Difference:
    """Return the difference in an entry; a `TypeError` or `LookupError` where its fields are not those of today."""
    unseen = tuple(Unseen(**(part | {"moments": tuple(part["moments"])})) for part in entry["unseen"])
    return Difference(**(entry | {"df": math.inf if entry["df"] is None else entry["df"], "unseen": unseen}))


def _value(score: Score) -> float:
    return score.score or 0.0
