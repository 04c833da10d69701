"""Find the model of texts and pictures that `--model KIND:REST` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from instructor_eval.models.images.model import ImageModel

KINDS = ("hf-clip", "open-clip")


def is_image_model(text: str) -> bool:
    """Return whether a `--model` names a model of texts and pictures."""
    return text.partition(":")[0] in KINDS and ":" in text


def read_image_model(text: str, *, family: str | None = None, offline: bool = False) -> ImageModel:
    """Return the model that a text names.

    Raises:
        UserError: it cannot be had.
    """
    kind, _, rest = text.partition(":")
    if kind == "hf-clip":
        from instructor_eval.models.images import hf

        return hf.read(rest, family=family, offline=offline)
    from instructor_eval.models.images import open_clip

    return open_clip.read(rest, family=family, offline=offline)
