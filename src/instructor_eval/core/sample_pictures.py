"""The pictures of the speed measurement: drawn here, the same on every machine and in every version.

JPEGs of 640 x 480, as photographs come: opening and resizing them is a part of what a picture costs. Picture i depends
on i alone, so a smaller sample is a prefix of a larger one.
"""

from __future__ import annotations

import io
from functools import lru_cache

from instructor_eval.core.libraries import require
from instructor_eval.core.pictures import Picture

SAMPLE_VERSION = 1
"""Raised when a picture changes: part of a cost's identity."""
SIZE = (640, 480)
_REMEMBERED = 256


def sample(count: int) -> list[Picture]:
    """The first `count` pictures, no two the same.

    Raises:
        UserError: Pillow is not installed.
    """
    require(["PIL"], "clip", "drawing pictures")
    return [_picture(i) for i in range(count)]


@lru_cache(maxsize=_REMEMBERED)
def _picture(number: int) -> Picture:
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(number)
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    waves = [127 + 90 * np.sin(x / (9 + number % 31 + channel) + y / (7 + channel)) for channel in range(3)]
    rows = np.stack(waves, axis=-1) + random.normal(0, 12, (SIZE[1], SIZE[0], 1))
    file = io.BytesIO()
    Image.fromarray(rows.clip(0, 255).astype(np.uint8)).save(file, "JPEG")
    return Picture.of(file.getvalue(), f"picture {number} of the sample")
