"""Is every stored result in itself consistent? `evaluate validate --results DIR`.

A result is checked by itself (its checksums, its identity, its file's name, score = metric(items), bounds, its
interval, replicates and histogram, the identities of its type), against the data where they are at hand (the number of
items), and against the others (the parts of a whole; results of the same data have the same items and gold values).
Every finding names both numbers. A
file that cannot be read is a finding of its own and hides no other.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instructor_eval import metrics
from instructor_eval.analysis.check import statistics
from instructor_eval.analysis.check.findings import LONGEST, guarded
from instructor_eval.analysis.check.others import Others
from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.hub import files_key
from instructor_eval.core.paths import slug
from instructor_eval.core.stored_files import files_below, is_folder
from instructor_eval.core.values import Items
from instructor_eval.results.checksums import identity_of
from instructor_eval.results.score import Score
from instructor_eval.results.store import read_items, read_score
from instructor_eval.tasks import types
from instructor_eval.tasks.cards import known_cards, shipped_cards
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.types.base import Filed, ItemCheck
from instructor_eval.tasks.types.item_checks import within, zero_or_one

_LAST_BITS = 1e-12
"""On other processors, and with other builds of NumPy, the last bits of a sum may differ."""
_MOST = 3


@dataclass
class Checked:
    """One result file and what was found."""

    file: str
    """Relative to the results folder."""
    task: str | None = None
    type: str | None = None
    n_items: int = 0
    failed: str | None = None
    """The error that a run of this task ended with: nothing was scored, so that there is nothing else to check."""
    counted: bool = False
    """True where the items were counted in the data."""
    warnings: list[str] = field(default_factory=list)
    """The checks that could not be made."""
    errors: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """`ok ...`, `failed: ...` or `ERROR ...`."""
        if self.errors:
            more = f"; and {len(self.errors) - _MOST} more" if len(self.errors) > _MOST else ""
            return f"ERROR {'; '.join(self.errors[:_MOST])}{more}"
        if self.failed is not None:
            return f"failed: {self.failed}"
        found = f"ok: {self.n_items:,} item{'s' * (self.n_items != 1)}{', as in the data' * self.counted}"
        return "; ".join([found, *self.warnings])


def check_results(root: Path, own: Mapping[str, Card] | None = None) -> list[Checked]:
    """Check every result below `root`, ordered by path.

    Args:
        root: A results folder.
        own: Own cards by name, whose data the items are counted against; shipped and packages' are known.

    Raises:
        UserError: there is no such folder, or nothing in it.
    """
    folder = root / "scores"
    if not is_folder(root):
        raise UserError(f"no results folder at {root}: run something first (`evaluate demo`), or name another")
    files = files_below(folder, ".json")
    strangers = list(_strangers(folder, files))
    if not files and not strangers and not is_folder(root / "imported"):
        raise UserError(f"no results in {folder}: run something first (`evaluate demo`), or name another folder")
    others, counter = Others(), _Counter({**known_cards(), **(own or {})})
    results = [Checked(path.relative_to(root).as_posix(), errors=[what]) for path, what in strangers]
    for path in files:
        checked = Checked(path.relative_to(root).as_posix())
        results.append(checked)
        try:
            score = read_score(path)
            checked.task, checked.type = score.task, score.type
            checked.errors += guarded("the file's name", _place, score, root, path)
            checked.errors += guarded("identity", _identity, score)
            checked.warnings += _unchecked(score)
            if score.status != "ok":
                checked.failed = one_line(str(score.error))[:LONGEST]
                checked.errors += guarded("the failed result", _failure, score)
                continue
            items = read_items(path.with_suffix(".parquet"), score)
            checked.errors += check_score(score, items)
            checked.n_items = len(items.get("id", ()))
            expected = counter.count(score)
            if expected is not None:
                checked.counted = True
                if expected != checked.n_items:
                    checked.errors.append(f"{checked.n_items:,} items, the data has {expected:,}")
            checked.errors += guarded("data", others.add, score, items, checked.file, path.parent)
        except UserError as e:
            checked.errors.append(str(e))
        except (LookupError, TypeError, ValueError) as e:  # columns in a form that nothing of ours writes
            checked.errors.append(one_line(f"{path}: cannot be read ({type(e).__name__}: {e})")[:LONGEST])
    by_file = {checked.file: checked for checked in results}
    for file, text in others.compare():
        by_file[file].errors.append(one_line(text)[:LONGEST])
    return results


def check_score(score: Score, items: Items) -> list[str]:
    """Return what is wrong with one finished result, in words; nothing if it is consistent."""
    found: list[str] = []
    general: tuple[tuple[str, Callable[[Score, Items], Iterator[str]]], ...] = (
        ("status", _status),
        ("counts of items", _lengths),
        ("columns", _finite),
        ("score", _score),
        ("metrics", _main_metric),
        ("counts", _counts),
        ("limit", _limit),
    )
    checks = general if len(items.get("id", ())) else general[:2]
    for what, check in checks:
        found += guarded(what, check, score, items)
    filed = Filed(score.metric, score.metrics, shipped_cards().get(score.task))
    for of_items in _item_checks(score) if len(checks) > 2 else ():
        found += guarded(f"{score.type} items", of_items, filed, items)
    if len(checks) > 2:  # behind what explains most of them: an item that is wrong
        found += guarded("statistics", statistics.of_items, score, items)
    return found


def _strangers(folder: Path, scores: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each file that is neither a score nor the items of one, and what is wrong with it.

    Hidden ones are left out: a process that was killed may have left one.
    """
    known = {*scores, *(path.with_suffix(".parquet") for path in scores)}
    for path in files_below(folder):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path in known or hidden or path.is_dir():
            continue
        if path.suffix == ".parquet":
            why = f"{path.stem}.json was deleted or renamed, or its run killed"
            yield path, f"items without their score: {why}: restore it, or delete these and run the task again"
        else:
            yield path, "neither a score nor its items: delete it, or move it elsewhere"


# One result


def _identity(score: Score) -> Iterator[str]:
    """The identity is that of the fields which it is made of."""
    if not score.metric_origin:
        return  # an earlier version did not file all of them
    found = identity_of(score)
    if found != score.identity:
        yield f"identity is {score.identity}, its fields give {found}"
    if score.metric_origin.partition(" of ")[0] != score.metric:
        yield f"metric is {score.metric}, metric_origin {score.metric_origin}"


def _unchecked(score: Score) -> Iterator[str]:
    """Yield what cannot be checked: files of earlier versions have no checksums."""
    if not score.sums:
        yield "no checksum: written by an earlier version"
    elif score.status == "ok" and score.items_sha256 is None:
        yield "no checksum of its items: written by an earlier version"


def _place(score: Score, root: Path, path: Path) -> Iterator[str]:
    """File and folders are named after what is in the file."""
    expected = Path(slug(score.model.name), slug(score.instructions.set), f"{slug(score.task)}.{score.identity}.json")
    found = path.relative_to(root / "scores")
    if found != expected:
        yield f"filed as {found.as_posix()}, its content says {expected.as_posix()}"
    if score.items_file is not None and score.items_file != f"{path.stem}.parquet":
        yield f"items_file is {score.items_file}, the file beside it {path.stem}.parquet"


def _failure(score: Score) -> Iterator[str]:
    if score.status != "failed":
        yield f"status is '{score.status}', it must be ok or failed"
    if not (isinstance(score.error, str) and score.error.strip()):
        yield "status is failed, and there is no error that says why"
    if score.score is not None:
        yield f"status is failed, and there is a score: {score.score!r}"


def _status(score: Score, _items: Items) -> Iterator[str]:
    if score.items_file is None:
        yield "items_file is missing: nothing says what the score was computed from"
    if score.error:
        yield f"status is ok, and there is an error: {score.error}"
    if score.type not in types.TYPES:
        yield f"type {score.type} is none of {', '.join(types.TYPES)}"
    card = shipped_cards().get(score.task)
    if card is not None and card.type != score.type:
        yield f"type {score.type}, the task's is {card.type}"


def _lengths(score: Score, items: Items) -> Iterator[str]:
    """n_items = number of ids = length of every column; no id twice."""
    ids = items["id"]
    if not ids:
        yield "no items: the file is empty"
    for name, values in items.items():
        if len(values) != len(ids):
            yield f"column {name} has {len(values):,} values, id {len(ids):,}"
    if score.n_items != len(ids):
        yield f"n_items is {score.n_items}, there are {len(ids):,} items"
    if len(set(ids)) < len(ids):
        twice = next(i for i, count in Counter(ids).items() if count > 1)
        yield f"{len(ids):,} items, {len(set(ids)):,} different ids: {str(twice)[:80]} is there twice"


def _finite(score: Score, items: Items) -> Iterator[str]:
    """No column holds NaN, an infinity or nothing."""
    for name, values in items.items():
        bad = [] if _all_whole(values) else [i for i, value in enumerate(values) if not _is_whole(value)]
        if bad:
            yield (
                f"column {name}: {values[bad[0]]!r:.80} at item {str(items['id'][bad[0]])[:80]}, {len(bad):,} of "
                f"{len(values):,} values are missing or not finite"
            )


def _all_whole(values: list[Any]) -> bool:
    """Return whether a column is plainly sound: five times as fast as looking at each value."""
    kinds = set(map(type, values))
    if kinds == {list}:
        return _all_whole(list(itertools.chain.from_iterable(values)))
    return kinds == {str} or (kinds <= {int, float} and all(map(math.isfinite, values)))


def _is_whole(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(map(_is_whole, value))
    return value is not None


def _score(score: Score, items: Items) -> Iterator[str]:
    """Score = metric(items), within the metric's bounds."""
    if score.score is None or not math.isfinite(score.score):
        yield f"status is ok, and the score is {score.score}"
        return
    metric = metrics.get(score.metric)
    low, high = metric.bounds
    if not low - _LAST_BITS <= score.score <= high + _LAST_BITS:
        yield f"score {score.score!r} is not between {low:g} and {high:g}, as {score.metric} must be"
    value = metric.compute(items)
    if not abs(score.score - value) <= _LAST_BITS:
        yield f"score {score.score!r} is not {score.metric}(items) = {value!r}"


def _main_metric(score: Score, _items: Items) -> Iterator[str]:
    """The same figure among the further ones, where it is."""
    value = score.metrics.get(score.metric)
    if value is not None and score.score is not None and not abs(value - score.score) <= _LAST_BITS:
        yield f"score is {score.score!r}, {score.metric} among the metrics {value!r}"


def _counts(score: Score, _items: Items) -> Iterator[str]:
    """Texts asked for >= unique ones >= those found in the cache >= 0."""
    for fewer, more in (("unique", "texts"), ("hits", "unique")):
        few, many = getattr(score.counts, fewer), getattr(score.counts, more)
        if few > many:
            yield f"counts: {fewer} {few:,} exceeds {more} {many:,}"


def _limit(score: Score, items: Items) -> Iterator[str]:
    """`--limit N`: at most N items, segments in Billboard; two where one has no score by itself."""
    if score.limit is None or metrics.is_of_parts(score.metric):
        return
    kind = types.get(score.type)
    n = kind.count(items)
    if n > max(score.limit, kind.least):
        yield f"{n:,} {kind.unit}s, the limit is {score.limit:,}"


def _item_checks(score: Score) -> tuple[ItemCheck, ...]:
    """Return the checks of items that a result's type makes, or a mean of parts."""
    if metrics.is_of_parts(score.metric):
        return (_parts,)
    kind = types.get(score.type)

    def columns(_filed: Filed, items: Items) -> Iterator[str]:
        for name in kind.flags:
            yield from zero_or_one(items, name)
        for name, limits in kind.bounds.items():
            yield from within(items, name, limits)

    return (columns, *kind.item_checks())


def _parts(filed: Filed, items: Items) -> Iterator[str]:
    """The items are the parts that the card names."""
    yield from within(items, "value", (-1.0, 1.0))
    card = filed.card
    if card is not None and sorted(items["id"]) != sorted(card.parts):
        other = ", ".join(sorted(map(str, set(items["id"]) ^ set(card.parts)))[:3])
        yield f"{len(items['id'])} parts, the task has {len(card.parts)}; only one side has {other or 'them once'}"


# Against the data


class _Counter:
    """Counts the items of a result's data; each card's data is read once.

    Only data with the very content that was scored count: a folder that has changed since proves nothing.
    """

    def __init__(self, cards: Mapping[str, Card]) -> None:
        self._cards = cards
        self._keys: dict[str, str | None] = {}
        self._sizes: dict[tuple[str, int | None], int | None] = {}

    def count(self, score: Score) -> int | None:
        """The number of items, or None where the data is not at hand."""
        card = self._cards.get(score.task)
        if card is None or card.folder is None or card.type != score.type:
            return None
        if card.name not in self._keys:
            self._keys[card.name] = files_key(card.folder) if card.folder.is_dir() else None
        key = self._keys[card.name]
        if key is None or key != score.data.key:
            return None
        at = (card.name, score.limit)
        if at not in self._sizes:
            try:
                self._sizes[at] = types.get(card.type).count_items(card, score.limit)
            except UserError:  # a card that has come to disagree with its data; validating the card says so
                self._sizes[at] = None
        return self._sizes[at]
