"""The items that models are timed with: texts, or pictures for models that read them. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from instructor_eval.core import sample_pictures, sample_texts
from instructor_eval.core.pictures import Item
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.images.model import ImageModel

Loadable: TypeAlias = Checkpoint | ImageModel
"""A model that is computed on this machine."""
COUNT = {"cpu": 256, "cuda": 4096}
"""Texts of the sample: a GPU wants several full batches."""
PICTURES = {"cpu": 256, "cuda": 1024}
"""The same of pictures."""


def instruction_for(checkpoint: Loadable) -> str:
    """Return the sample's instruction: empty where the model takes none, as for pictures."""
    return "" if checkpoint.family == "plain" or checkpoint.reads_pictures else sample_texts.INSTRUCTION


def sample_of(*models: Loadable) -> Callable[[int], Sequence[Item]]:
    """Return the sample that models are timed with: of pictures if all read them, else of texts."""
    if all(model.reads_pictures for model in models):
        return sample_pictures.sample
    return sample_texts.sample


def sample_version(model: Loadable) -> int | str:
    """Return the version of a model's sample, for the identity of a cost."""
    if model.reads_pictures:
        return f"pictures {sample_pictures.SAMPLE_VERSION}"
    return sample_texts.SAMPLE_VERSION


def most_of(device: str, *models: Loadable) -> int:
    """Return how many items of the sample are measured with at most."""
    counts = PICTURES if all(model.reads_pictures for model in models) else COUNT
    return counts.get(device.partition(":")[0], counts["cpu"])
