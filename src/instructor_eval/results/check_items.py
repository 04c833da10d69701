"""Checks of one result's items, whatever the model: those of its type, or of a mean of parts."""

from __future__ import annotations

from collections.abc import Iterator

from instructor_eval import metrics
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score
from instructor_eval.tasks import types
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.types.base import Filed, ItemCheck
from instructor_eval.tasks.types.item_checks import within


def item_checks(score: Score) -> tuple[ItemCheck, ...]:
    """The checks of a result's kind."""
    return (_parts,) if metrics.is_of_parts(score.metric) else types.get(score.type).item_checks()


def filed_of(score: Score) -> Filed:
    """Return what the checks need of a score."""
    return Filed(score.metric, score.metrics, shipped_cards().get(score.task))


def _parts(filed: Filed, items: Items) -> Iterator[str]:
    """Check that the items are the parts that the card names."""
    yield from within(items, "value", (-1.0, 1.0))
    card = filed.card
    if card is not None and sorted(items["id"]) != sorted(card.parts):
        other = ", ".join(sorted(map(str, set(items["id"]) ^ set(card.parts)))[:3])
        yield f"{len(items['id'])} parts, the task has {len(card.parts)}; only one side has {other or 'them once'}"
