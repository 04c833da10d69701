"""A picture as a network reads it: resized, cropped, scaled. The rules are those of the library that made the model."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from instructor_eval.core.errors import UserError
from instructor_eval.core.outside import as_user_error
from instructor_eval.core.pictures import MOST_PIXELS, Picture
from instructor_eval.core.values import Vectors

if TYPE_CHECKING:
    from PIL import Image

LARGEST = 4096
"""The largest side of a network's pictures that is believed."""
FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""Pillow's filters, by their numbers."""


@dataclass(frozen=True)
class Preprocessing:
    """The steps from a picture to the network."""

    rules: Literal["transformers", "open_clip", "imagebind"]
    """Where two libraries differ. transformers turns a picture as its EXIF says and converts it to RGB first; open_clip
    does not turn, converts last, and rounds the place of the crop instead of cutting it off; ImageBind converts first,
    and does the rest as open_clip."""
    height: int
    width: int
    shortest: int | None
    """The length that the shorter side is resized to before the crop; None: the picture is squashed to height and width
    and not cropped."""
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 1 / 255

    def pixels(self, picture: Picture) -> Vectors:
        """Return the picture as float32 [3, height, width].

        Raises:
            UserError: it cannot be opened (`Picture.open`) or resized, or is too long and narrow.
        """
        image = picture.open()
        with as_user_error(f"{picture.name} cannot be resized", "make it again, or leave it out"):
            fitted = self.fitted(image, picture.name)
        rows: Vectors = np.asarray(fitted, dtype=np.float32) * np.float32(self.scale)
        rows -= np.array(self.mean, dtype=np.float32)
        rows /= np.array(self.std, dtype=np.float32)
        return np.ascontiguousarray(rows.transpose(2, 0, 1))

    def fitted(self, image: Image.Image, name: str = "") -> Image.Image:
        """Return an opened picture resized and cropped, in RGB.

        Raises:
            UserError: it is so long and narrow that resizing it would fill the memory.
        """
        from PIL import Image, ImageOps

        if self.rules == "transformers":
            image = ImageOps.exif_transpose(image)
        first = self.rules != "open_clip"
        if first:
            image = _rgb(image)
        method = Image.Resampling(FILTERS.index(self.interpolation))
        if self.shortest is None:
            image = image.resize((self.width, self.height), method)
        else:
            short, long = sorted(image.size)
            length = int(self.shortest * long / short)
            if length * self.shortest > MOST_PIXELS:
                raise UserError(
                    f"{name} is too long and narrow ({image.width:,} x {image.height:,}): cut it, or leave it out"
                )
            size = (self.shortest, length) if image.width <= image.height else (length, self.shortest)
            if size != image.size:
                image = image.resize(size, method)
            image = self._cropped(image)
        return image if first else _rgb(image)

    def _cropped(self, image: Image.Image) -> Image.Image:
        left, top = (image.width - self.width) / 2, (image.height - self.height) / 2
        if self.rules != "transformers":
            left, top = round(left), round(top)
        else:
            left, top = math.floor(left), math.floor(top)
        return image.crop((left, top, left + self.width, top + self.height))

    def describe(self) -> dict[str, Any]:
        """Return everything that changes a pixel, for the fingerprint: the settings, and what Pillow makes of a probe.

        Raises:
            UserError: Pillow is not installed.
        """
        return {**dataclasses.asdict(self), "probe": hashlib.sha256(self.fitted(_probe()).tobytes()).hexdigest()[:16]}


def _rgb(image: Image.Image) -> Image.Image:
    """Return a picture in RGB; what is transparent gets the colour that lies below it, as in both libraries."""
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")  # the same colours, without Pillow's warning
    return image.convert("RGB")


def _probe() -> Image.Image:
    from PIL import Image

    y, x = np.mgrid[0:131, 0:97]
    rows = np.stack([(x * 7 + y * y) % 256, (x * x + y * 3) % 256, (x * y) % 256], axis=-1)
    return Image.fromarray(rows.astype(np.uint8))


def of_transformers(config: Mapping[str, Any], file: Path, name: str) -> Preprocessing:
    """Return the preprocessing of transformers' processors of CLIP and SigLIP.

    Raises:
        UserError: a setting is of another kind than these have.
    """

    def refused(what: str) -> UserError:
        return UserError(f"model {name}: {file}: {what}: only the processors of CLIP and SigLIP are known here")

    for key in ("do_resize", "do_rescale", "do_normalize", "do_convert_rgb"):
        if config.get(key, True) is not True:
            raise refused(f"{key} is {config[key]!r}")
    size, crops = config.get("size", {"shortest_edge": 224}), config.get("do_center_crop")
    size = {"shortest_edge": size} if isinstance(size, int) else size
    if not isinstance(size, Mapping):
        raise refused(f"size is {size!r:.60}")
    shortest = size.get("shortest_edge")
    kind = str(config.get("image_processor_type", config.get("feature_extractor_type", "")))
    crops = (not kind.startswith("Siglip")) if crops is None else crops
    box = config.get("crop_size", shortest) if crops else size
    box = {"height": box, "width": box} if isinstance(box, int) else box
    if not isinstance(box, Mapping) or bool(crops) != (shortest is not None):
        raise refused(f"size {dict(size)!r:.60} with do_center_crop {crops!r}")
    lengths: list[Any] = [box.get("height"), box.get("width"), *([shortest] if crops else [])]
    if not all(isinstance(n, int) and not isinstance(n, bool) and 0 < n <= LARGEST for n in lengths):
        raise refused(f"sizes {lengths!r:.60} are not whole numbers from 1 to {LARGEST:,}")
    default = 3
    number = config.get("resample", default)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(FILTERS):
        raise refused(f"resample is {number!r:.40}")
    mean = config.get("image_mean", _CLIP_MEAN if crops else _HALF)
    std = config.get("image_std", _CLIP_STD if crops else _HALF)
    factor = config.get("rescale_factor", 1 / 255)
    if not _are_numbers(mean) or not _are_numbers(std, above=0) or not _are_numbers([factor] * 3, above=0):
        raise refused("image_mean, image_std or rescale_factor are not three numbers, or one")
    return Preprocessing(
        "transformers", lengths[0], lengths[1], shortest, FILTERS[number], tuple(mean), tuple(std), float(factor)
    )


def of_open_clip(config: Mapping[str, Any], size: Any, name: str) -> Preprocessing:
    """Return the preprocessing that open_clip has for a model.

    Args:
        config: `mean`, `std`, `interpolation`, `resize_mode` and perhaps `size`, as open_clip's configurations have.
        size: The size of pictures in the architecture's configuration.
        name: The model's name, for errors.

    Raises:
        UserError: a setting is not known here.
    """
    size = config.get("size") or size or 224
    height, width = (size, size) if isinstance(size, int) else size
    mode, filter_ = config.get("resize_mode") or "shortest", config.get("interpolation") or "bicubic"
    mean, std = config.get("mean") or _CLIP_MEAN, config.get("std") or _CLIP_STD
    fits = all(isinstance(n, int) and 0 < n <= LARGEST for n in (height, width))
    if not fits or mode not in ("shortest", "squash") or (mode == "shortest" and height != width):
        raise UserError(
            f"model {name}: pictures are resized as '{str(mode)[:40]}' to {str(size)[:40]}: known here are squash, and "
            "shortest to a square: use another model"
        )
    if filter_ not in ("bicubic", "bilinear", "nearest") or not _are_numbers(mean) or not _are_numbers(std, above=0):
        raise UserError(f"model {name}: preprocessing {dict(config)!r:.120} is not known here: use another model")
    return Preprocessing(
        "open_clip", height, width, height if mode == "shortest" else None, filter_, tuple(mean), tuple(std)
    )


def of_imagebind() -> Preprocessing:
    """Return the preprocessing of ImageBind, which has no settings."""
    return Preprocessing("imagebind", 224, 224, 224, "bicubic", _CLIP_MEAN, _CLIP_STD)


_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_HALF = (0.5, 0.5, 0.5)


def _are_numbers(values: Any, *, above: float = -math.inf) -> bool:
    """Return whether these are three finite numbers."""
    if not isinstance(values, Sequence) or len(values) != 3:
        return False
    return all(isinstance(v, int | float) and math.isfinite(v) and v > above for v in values)
