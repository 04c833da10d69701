"""Runs a card by its type, as a run does."""

from instructor_eval.tasks import types
from instructor_eval.tasks.task import Card, Outcome, RunSettings, TaskEncoder


def run(card: Card, encoder: TaskEncoder, settings: RunSettings) -> Outcome:
    """The outcome of a task."""
    return types.get(card.type).run(card, encoder, settings)


def data_key(card: Card, settings: RunSettings) -> str:
    """The key of its data."""
    return types.get(card.type).data_key(card, settings)


def describe(card: Card) -> tuple[str, tuple[str, ...]]:
    """A summary of a user's data, and warnings."""
    return types.get(card.type).describe(card, shipped=False)
