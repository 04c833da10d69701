"""The task's own data behind its items: read here, where the card lets it be shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from instructor_eval.core.errors import UserError
from instructor_eval.core.hub import files_key
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.values import folder_of

F = TypeVar("F")


@dataclass(frozen=True)
class Source(Generic[F]):
    """The way to the data behind a task's items."""

    find: F | None = None
    key: str = ""
    """Of the data: only scores of the same data may be shown by it."""
    why_not: str = ""
    """Why there is none."""


def source(cards: Mapping[str, Card], task: str, read: Callable[[Card], F | None]) -> Source[F]:
    """Return what finds the data behind a task's items, or why there is none.

    Args:
        cards: Task -> its card.
        task: Its name.
        read: Reads the data of a card, and returns what finds an item's; None: the type cannot say.
    """
    card = cards.get(task)
    if card is None:
        return Source(why_not="its card is not known here: name it with --task CARD.yaml")
    if not card.show_texts:
        return Source(why_not="its card does not say show_texts: true")
    if card.folder is None:
        return Source(why_not="its data is no folder of your own")
    try:
        find, key = read(card), files_key(folder_of(card))
    except UserError as e:
        return Source(why_not=str(e))
    return Source(find, key, "" if find else f"not known for tasks of type {card.type}")
