"""ImageTextRetrieval: pictures searched for a caption, or captions for a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from instructor_eval.core.schema import optional_record
from instructor_eval.tasks.mteb.rows import split_of
from instructor_eval.tasks.own.pictures import DIRECTIONS, PATH, TO_TEXT, read_captions
from instructor_eval.tasks.task import Card, RunSettings, TaskEncoder
from instructor_eval.tasks.types.base import FindTexts, Name
from instructor_eval.tasks.types.retrieval import Retrieval, depth_of


class ImageTextRetrieval(Retrieval):
    """Captions that search pictures, or (option `direction`) pictures that search captions."""

    name = "ImageTextRetrieval"
    category = ""
    light_attributes = None
    is_cut = False
    wording: ClassVar = {"query": ("caption", "retrieving pictures"), "document": ("caption", "retrieval")}
    columns = ("image", "caption")

    def options(self) -> type[msgspec.Struct]:
        """Return the record of its cards' options."""
        columns = optional_record(f"{self.name}Columns", dict.fromkeys(self.columns, Name))
        return optional_record(f"{self.name}Options", {"columns": columns, "direction": Literal[DIRECTIONS]})

    def card_lines(self, card: Card) -> list[str]:
        return [f"  searches {'captions' if card.options.get('direction') == TO_TEXT else 'pictures'}"]

    def read(self, card: Card, folder: Path) -> tuple[Any, list[str]]:
        return read_captions(card, folder)

    def summary(self, card: Card, data: Any) -> str:
        pictures, captions = data.corpus, data.queries
        if card.options.get("direction") == TO_TEXT:
            pictures, captions = captions, pictures
        return f"{len(pictures):,} pictures, {len(captions):,} captions"

    def texts_of(self, card: Card) -> FindTexts | None:
        """Return None: pictures have no text."""
        return None

    def calibrate(self, task: Any, card: Card, encoder: TaskEncoder) -> None:
        """Calibrate on what is searched."""
        from instructor_eval.tasks.mteb.picture_search import items_of

        encoder.calibrate(items_of(split_of(task, card)["corpus"], PATH), "document")

    def bridge(self, task: Any, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Any:
        """Return a search of pictures in mteb's form; a dry run ends after queries and documents."""
        from instructor_eval.tasks.mteb.picture_search import PictureSearch, PicturesOfSearch

        search = PicturesOfSearch if settings.texts_only else PictureSearch
        return search(encoder, card.name, settings.search, depth=depth_of(self.metric_of(card, settings.protocol)))
