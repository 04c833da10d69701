"""The search of retrieval tasks whose queries or documents are pictures."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.core.pictures import Item, Picture
from instructor_eval.tasks.mteb.rows import documents_of
from instructor_eval.tasks.mteb.search import MtebSearch
from instructor_eval.tasks.mteb.texts import TextsOfSearch
from instructor_eval.tasks.own.pictures import PATH

IMAGE = "image"
"""The column of pictures in mteb's data."""


def pictures_of(rows: Any, column: str = IMAGE) -> Iterator[Picture]:
    """Yield the pictures of a column of `datasets`, which are read again when they are opened: no memory for them.

    Raises:
        UserError: a row has none.
    """
    from datasets import Image

    raw = rows.select_columns([column]).cast_column(column, Image(decode=False))
    for number in range(len(raw)):
        yield Picture.stored(partial(_bytes_of, raw, number, column), f"{column} of row {number + 1}")


def _bytes_of(raw: Any, number: int, column: str) -> bytes:
    value = raw[number][column]
    if value and isinstance(value.get("bytes"), bytes):
        return bytes(value["bytes"])
    raise UserError(f"row {number + 1} holds no picture in '{column}': copy the data set again")


def items_of(rows: Any) -> Iterator[Item]:
    """Yield the items of own rows, of a column of paths pictures, else texts; and of mteb's documents."""
    if PATH in rows.column_names:
        yield from (Picture.of(Path(found)) for found in rows[PATH])
    elif IMAGE in rows.column_names:
        yield from pictures_of(rows)
    else:
        yield from documents_of(rows)


class PictureSearch(MtebSearch):
    """A search in mteb's form; documents or queries are pictures."""

    def query_items(self, queries: Any, task_metadata: Any) -> list[Item]:
        """Return what is embedded for a data set of queries."""
        if {PATH, IMAGE} & set(queries.column_names):
            return list(items_of(queries))
        return super().query_items(queries, task_metadata)

    def document_items(self, corpus: Any) -> list[Item]:
        """Return what is embedded for a part of the corpus."""
        return list(items_of(corpus))


class PicturesOfSearch(TextsOfSearch, PictureSearch):
    """The same, ended after queries and documents: a dry run."""
