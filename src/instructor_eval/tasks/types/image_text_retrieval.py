"""ImageTextRetrieval: pictures searched for a caption, or captions for a picture."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from instructor_eval.core.schema import optional_record
from instructor_eval.core.values import Items
from instructor_eval.tasks.mteb.rows import split_of
from instructor_eval.tasks.mteb.table import Data
from instructor_eval.tasks.own.pictures import DIRECTIONS, PATH, TO_TEXT, read_captions
from instructor_eval.tasks.task import Card, RunSettings, TaskEncoder
from instructor_eval.tasks.types.base import FindPictures, Name
from instructor_eval.tasks.types.ranking import judged
from instructor_eval.tasks.types.retrieval import Retrieval, depth_of


class ImageTextRetrieval(Retrieval):
    """Captions that search pictures, or (option `direction`) pictures that search captions."""

    name = "ImageTextRetrieval"
    category = ""
    light_attributes = None
    is_cut = False
    reads_pictures = True
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

    def check(self, task: Any, card: Card, data: Data) -> list[str]:
        """Check mteb's data, and leave of each side the column that the task's category names: pictures or texts."""
        from instructor_eval.tasks.mteb.picture_search import IMAGE

        split = data.split(card.split)
        found = []
        for part, letter in zip(("queries", "corpus"), str(task.metadata.category).split("2"), strict=True):
            table = data.part(part)
            table.column("id")
            if letter == "i":
                table.pictures(IMAGE)
                others = {"text", "title"}
            else:
                titled = ("title",) if part == "corpus" and "title" in table.rows.column_names else ()
                found += table.texts("text", *titled, optional="title" if titled else "")
                others = {IMAGE}
            split[part] = table.rows.remove_columns(sorted(others & set(table.rows.column_names)))
        return found + judged(split["relevant_docs"], set(split["queries"]["id"]), set(split["corpus"]["id"]))

    def summary(self, card: Card, data: Any) -> str:
        pictures, captions = data.corpus, data.queries
        if card.options.get("direction") == TO_TEXT:
            pictures, captions = captions, pictures
        return f"{len(pictures):,} pictures, {len(captions):,} captions"

    def pictures_of(self, card: Card) -> FindPictures:
        """Return what finds a picture that searches captions, or those wanted and found for a caption."""
        data = self.own_data(card)[0]
        places = {row["id"]: Path(row[PATH]) for row in (*data.corpus, *data.queries) if PATH in row}

        def find(items: Items, ids: Collection[str]) -> dict[str, list[tuple[str, Path]]]:
            top = dict(zip(items["id"], items["top"], strict=True))
            found = {}
            for name in ids:
                wanted = [("wanted", document) for document in data.qrels.get(name, {})][:1]
                parts = [("picture", name), *wanted, *(("found", document) for document in top.get(name, [])[:1])]
                found[name] = [(what, places[picture]) for what, picture in parts if picture in places]
            return found

        return find

    def calibrate(self, task: Any, card: Card, encoder: TaskEncoder) -> None:
        """Calibrate on what is searched."""
        from instructor_eval.tasks.mteb.picture_search import items_of

        encoder.calibrate(items_of(split_of(task, card)["corpus"]), "document")

    def bridge(self, task: Any, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Any:
        """Return a search of pictures in mteb's form; a dry run ends after queries and documents."""
        from instructor_eval.tasks.mteb.picture_search import PictureSearch, PicturesOfSearch

        search = PicturesOfSearch if settings.texts_only else PictureSearch
        return search(encoder, card.name, settings.search, depth=depth_of(self.metric_of(card, settings.protocol)))
