"""The texts of a loaded mteb task that an index would have: int8 takes its ranges from them.

mteb embeds queries first, so the first texts are not these.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from instructor_eval.tasks.task import Card, TaskEncoder


def calibrate(task: Any, card: Card, encoder: TaskEncoder) -> None:
    """Calibrate on a task's documents, or, in tasks of pairs and of clustering, on all its texts.

    Classification and summarization use their first texts: the training texts, and the human summaries.
    """
    if card.type in ("Retrieval", "Reranking"):
        encoder.calibrate(documents_of(split_of(task, card)["corpus"]), "document")
    elif card.type == "Clustering":
        encoder.calibrate(_sets(split_of(task, card)[task.input_column_name]), "text")
    elif card.type == "STS":
        encoder.calibrate(_pairs(split_of(task, card), task.column_names), "text")
    elif card.type == "PairClassification":
        columns = (task.input1_column_name, task.input2_column_name)
        encoder.calibrate(_pairs(split_of(task, card), columns), "text")


def split_of(task: Any, card: Card) -> Any:
    """Return the data of the scored split: `dataset[subset][split]`, or `dataset[split]` without subsets."""
    data = task.dataset
    return data[card.subset][card.split] if card.subset in data else data[card.split]


# These are generators: if nothing needs calibration, no text is read.


def documents_of(corpus: Any) -> Iterator[str]:
    """Yield titles and texts joined as in mteb (`_corpus_to_dict`), by columns: rows cost 0.1 ms each."""
    titles = corpus["title"] if "title" in corpus.column_names else [""] * len(corpus)
    for title, text in zip(titles, corpus["text"], strict=True):
        yield f"{title} {text}".strip() if title else text.strip()


def _sets(sets: Any) -> Iterator[str]:
    for texts in sets:
        yield from texts


def _pairs(rows: Any, columns: tuple[str, str]) -> Iterator[str]:
    for column in columns:
        values = rows[column]
        yield from values[0] if len(rows) == 1 and isinstance(values[0], list) else values
