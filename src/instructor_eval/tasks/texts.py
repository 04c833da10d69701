"""All texts of a task by role, without a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from instructor_eval.core.pictures import Item
from instructor_eval.core.values import Vectors
from instructor_eval.models.variant import FP32
from instructor_eval.tasks import types
from instructor_eval.tasks.task import Card, RunSettings

_TRAINING = "training text"


class _Collector:
    """An encoder that remembers what it is given."""

    name = "none"
    variant = FP32

    def __init__(self, *, trains: bool) -> None:
        self.texts: dict[str, dict[str, None]] = {}
        self._trains = trains

    def instruction(self, role: str) -> str:
        """Return nothing: no text has an instruction here."""
        return ""

    def calibrate(self, texts: Iterable[Item], role: str) -> None:
        """Do nothing."""

    def encode(self, texts: Sequence[Item], role: str, *, bare: bool = False) -> Vectors:
        """Remember texts under their role; of a task that fits a classifier the first ones are for training."""
        shown = _TRAINING if self._trains and not self.texts else role
        self.texts.setdefault(shown, {}).update(dict.fromkeys(text for text in texts if isinstance(text, str)))
        return np.zeros((len(texts), 2), dtype=np.float32)


def texts_of(card: Card, settings: RunSettings) -> dict[str, list[str]]:
    """Return the different texts of a task, role -> texts; those that a classifier is fitted on stand apart.

    Args:
        card: A task without parts.
        settings: Where its data is, and how it is read; `texts_only`.

    Raises:
        UserError: the data cannot be had.
    """
    kind = types.get(card.type)
    encoder = _Collector(trains=kind.category == "Classification")
    kind.run(card, encoder, settings)
    return {role: list(found) for role, found in encoder.texts.items()}
