"""The texts behind the lowest and highest items, where `--texts` asks for them and a card lets them be shown.

They are read from the task's own data here, never from a score, which has ids alone; the data must be what was scored,
by its key.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from instructor_eval.core.errors import UserError
from instructor_eval.report.shown_data import Source, source
from instructor_eval.results.score import ReadItems, Score
from instructor_eval.tasks import types
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.types.base import FindTexts, Texts

LONGEST = 600
"""Characters that are shown of a text."""


@dataclass(frozen=True)
class Found:
    """The texts behind the items of a score."""

    by_id: Mapping[str, Texts]
    why_not: str = ""
    """Why there is nothing."""


class ItemTexts:
    """Texts of items by task; the data of each task is read once."""

    def __init__(self, cards: Mapping[str, Card], read_items: ReadItems) -> None:
        """Take what is known of tasks and scores.

        Args:
            cards: Task -> its card.
            read_items: Reads a score's items.
        """
        self._cards = cards
        self._read_items = read_items
        self._known: dict[str, Source[FindTexts]] = {}

    def of(self, score: Score, ids: Collection[str]) -> Found:
        """Return the texts behind some of a score's items, or why they are not shown; nothing for tasks of pictures."""
        if types.get(score.type).reads_pictures:
            return Found({})
        if score.task not in self._known:
            self._known[score.task] = source(self._cards, score.task, lambda card: types.get(card.type).texts_of(card))
        found_by = self._known[score.task]
        if found_by.find is None:
            return Found({}, found_by.why_not)
        if score.data.key != found_by.key:
            return Found({}, "its data is not what was scored")
        if score.limit is not None:
            return Found({}, "it was scored with --limit")
        try:
            found = found_by.find(self._read_items(score), ids)
        except (UserError, LookupError, TypeError, ValueError):  # damaged items, or those of another version
            return Found({}, "its items are missing or damaged")
        return Found({name: [(what, _cut(text)) for what, text in texts] for name, texts in found.items()})


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
