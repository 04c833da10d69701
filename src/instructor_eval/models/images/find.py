"""Find the model of texts and pictures that `--model KIND:REST` names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from instructor_eval.models.images.model import ImageModel

LIBRARIES = {"hf-clip": "transformers", "open-clip": "open_clip", "imagebind": "timm.layers"}
"""The name before the colon -> the package that computes, or the part of it that takes the longest to import."""
KINDS = tuple(LIBRARIES)


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
    if kind == "imagebind":
        from instructor_eval.models.images import imagebind

        return imagebind.read(rest, family=family)
    from instructor_eval.models.images import open_clip

    return open_clip.read(rest, family=family, offline=offline)


def absolute(text: str) -> str:
    """Return the text of a model with the path of its folder or file, if it names one, made absolute."""
    kind, _, rest = text.partition(":")
    head, slash, file = rest.partition("/")
    if _is_there(rest):
        return f"{kind}:{Path(rest).resolve()}"
    return f"{kind}:{head}/{Path(file).resolve()}" if slash and _is_there(file) else text


def _is_there(path: str) -> bool:
    try:
        return bool(path) and Path(path).exists()
    except OSError:  # too long for a file system
        return False
