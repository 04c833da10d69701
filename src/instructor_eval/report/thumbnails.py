"""Small pictures of the lowest items, where `--texts` asks for them and a card lets its data be shown.

They are drawn again from pixels, so that nothing of a file's own bytes stands in the page: no metadata, no profile, no
comment. Their number and their size are bounded. The files must be what was scored, by the data's key.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.core.pictures import Picture
from instructor_eval.report.shown_data import Source, source
from instructor_eval.results.score import ReadItems, Score
from instructor_eval.tasks import types
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.types.base import FindPictures

SIDE = 96
"""Pixels of a thumbnail's longer side."""
MOST = 200
"""Thumbnails of a page."""
PER_ITEM = 3
_QUALITY = 70


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of an item."""

    item: str
    what: str
    """The part that it plays: picture, wanted, found."""
    uri: str
    """`data:image/jpeg;base64,...`"""
    width: int
    height: int


@dataclass(frozen=True)
class Shown:
    """The thumbnails of a score's items."""

    pictures: list[Thumbnail] = field(default_factory=list)
    why_not: str = ""
    """Why some, or all, are not shown."""


class Thumbnails:
    """Thumbnails of items by task; each file is drawn once.

    Args:
        cards: Task -> its card.
        read_items: Reads a score's items.
    """

    def __init__(self, cards: Mapping[str, Card], read_items: ReadItems) -> None:
        self._cards = cards
        self._read_items = read_items
        self._known: dict[str, Source[FindPictures]] = {}
        self._drawn: dict[Path, tuple[str, int, int]] = {}
        self._left = MOST

    def of(self, score: Score, ids: Collection[str]) -> Shown:
        """Return thumbnails of some of a score's items, or why there are none; nothing for tasks of texts."""
        if not types.get(score.type).reads_pictures:
            return Shown()
        if score.task not in self._known:
            self._known[score.task] = source(
                self._cards, score.task, lambda card: types.get(card.type).pictures_of(card)
            )
        found_by = self._known[score.task]
        if found_by.find is None or score.data.key != found_by.key:
            return Shown(why_not=found_by.why_not or "its data is not what was scored")
        try:
            paths = found_by.find(self._read_items(score), ids)
        except (UserError, LookupError, TypeError, ValueError):  # damaged items, or those of another version
            return Shown(why_not="its items are missing or damaged")
        shown = Shown()
        for item, what, path in [(one, *part) for one in ids for part in paths.get(one, [])[:PER_ITEM]]:
            if not self._left:
                return replace(shown, why_not=f"a page has {MOST} pictures at most")
            try:
                shown.pictures.append(Thumbnail(item, what, *self._thumbnail(path)))
            except UserError as e:
                return replace(shown, why_not=str(e))
            self._left -= 1
        return shown

    def _thumbnail(self, path: Path) -> tuple[str, int, int]:
        if path not in self._drawn:
            self._drawn[path] = draw(Picture.of(path, path.name))
        return self._drawn[path]


def draw(picture: Picture) -> tuple[str, int, int]:
    """Return a picture drawn again in small: its data URI, width and height.

    Raises:
        UserError: it cannot be opened (`Picture.open`).
    """
    from PIL import Image, ImageOps

    image: Any = ImageOps.exif_transpose(picture.open())
    image.thumbnail((SIDE, SIDE), reducing_gap=2.0)
    layered = image.convert("RGBA")
    white = Image.new("RGBA", layered.size, "white")
    flat = Image.alpha_composite(white, layered).convert("RGB")
    fresh = Image.frombytes("RGB", flat.size, flat.tobytes())  # without what the file said of itself
    file = io.BytesIO()
    fresh.save(file, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}", fresh.width, fresh.height
