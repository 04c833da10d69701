"""The texts of a loaded mteb task, read without mteb."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from instructor_eval.tasks.task import Card


def split_of(task: Any, card: Card) -> Any:
    """Return the data of the scored split: `dataset[subset][split]`, or `dataset[split]` without subsets."""
    data = task.dataset
    return data[card.subset][card.split] if card.subset in data else data[card.split]


# These are generators: int8 is calibrated on their texts, and if nothing needs calibration, no text is read.


def documents_of(corpus: Any) -> Iterator[str]:
    """Yield titles and texts joined as in mteb (`_corpus_to_dict`), by columns: rows cost 0.1 ms each."""
    titles = corpus["title"] if "title" in corpus.column_names else [""] * len(corpus)
    for title, text in zip(titles, corpus["text"], strict=True):
        yield f"{title} {text}".strip() if title else text.strip()


def pairs_of(rows: Any, columns: Sequence[str]) -> Iterator[str]:
    """Yield the texts of pairs, by columns: a text a row, or one row of lists."""
    for column in columns:
        values = rows[column]
        yield from values[0] if len(rows) == 1 and isinstance(values[0], list) else values
