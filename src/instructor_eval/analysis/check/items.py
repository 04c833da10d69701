"""Checks of one result's items, whatever the model: those of its type, or of a mean of parts."""

from __future__ import annotations

from collections.abc import Iterator

from instructor_eval import metrics
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score
from instructor_eval.tasks import types
from instructor_eval.tasks.types.base import Filed, ItemCheck
from instructor_eval.tasks.types.item_checks import within, zero_or_one


def item_checks(score: Score) -> tuple[ItemCheck, ...]:
    """The checks of a result's kind."""
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
    """Check that the items are the parts that the card names."""
    yield from within(items, "value", (-1.0, 1.0))
    card = filed.card
    if card is not None and sorted(items["id"]) != sorted(card.parts):
        other = ", ".join(sorted(map(str, set(items["id"]) ^ set(card.parts)))[:3])
        yield f"{len(items['id'])} parts, the task has {len(card.parts)}; only one side has {other or 'them once'}"
