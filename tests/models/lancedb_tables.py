"""LanceDB tables made with our embedding function, of a few texts."""

from pathlib import Path
from typing import Any

import lancedb
import numpy as np
from lancedb.embeddings import get_registry
from lancedb.pydantic import LanceModel, Vector

SOURCE, QUERY = "Represent the document for retrieval: ", "Represent the question for retrieving supporting documents: "
TEXTS = [
    f"{what} {where}"
    for what in ("the old river", "a new book", "good music", "the red bird", "bread and yeast")
    for where in ("in the city", "by the bank", "at night", "of the year", "and the moon")
]
QUESTIONS = ["where is the river", "what is good to read", "why does dough rise"]


def function(**settings: Any) -> Any:
    return get_registry().get("instructor-eval").create(**settings)


def table_of(function: Any, folder: Path, texts: list[str] = TEXTS) -> Any:
    class Row(LanceModel):
        id: int
        text: str = function.SourceField()
        vector: Vector(function.ndims()) = function.VectorField()

    table = lancedb.connect(folder).create_table("rows", schema=Row)
    table.add([{"id": i, "text": text} for i, text in enumerate(texts)])
    return table


def exact(documents: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances: LanceDB's default."""
    return np.square(documents.astype(np.float64) - query.astype(np.float64)).sum(axis=1)
