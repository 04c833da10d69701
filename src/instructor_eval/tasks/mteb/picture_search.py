"""The search of retrieval tasks whose queries or documents are pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from instructor_eval.core.pictures import Item, Picture
from instructor_eval.tasks.mteb.search import MtebSearch
from instructor_eval.tasks.mteb.texts import TextsOfSearch
from instructor_eval.tasks.own.pictures import PATH


def items_of(rows: Any, path: str = PATH) -> Iterator[Item]:
    """Yield the items of rows: of a column of paths pictures, else texts."""
    if path in rows.column_names:
        yield from (Picture.of(Path(found)) for found in rows[path])
    else:
        yield from rows["text"]


class PictureSearch(MtebSearch):
    """A search in mteb's form; documents or queries are pictures."""

    def query_items(self, queries: Any, task_metadata: Any) -> list[Item]:
        """Return what is embedded for a data set of queries."""
        return list(items_of(queries))

    def document_items(self, corpus: Any) -> list[Item]:
        """Return what is embedded for a part of the corpus."""
        return list(items_of(corpus))


class PicturesOfSearch(TextsOfSearch, PictureSearch):
    """The same, ended after queries and documents: a dry run."""
