"""The rows of a loaded mteb task: their texts, and which of them stay with `--limit N`.

A score of some items is filed as limited, apart from whole ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.task import Card


def split_of(task: Any, card: Card, split: str = "") -> Any:
    """Return the data of a split: `dataset[subset][split]`, or `dataset[split]` without subsets.

    Args:
        task: A loaded task.
        card: Its card.
        split: Its name; the scored one without.
    """
    return task.dataset.get(card.subset, task.dataset)[split or card.split]


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


def first_of(golds: Sequence[Any], card: Card, n: int) -> list[int]:
    """Return the places of the first n values, two different ones among them.

    If the first n are equal, the first other value replaces the last; of a single item there are two then.

    Raises:
        UserError: all values are equal.
    """
    if len(set(golds[:n])) > 1:
        return list(range(min(n, len(golds))))
    other = next((i for i, gold in enumerate(golds) if gold != golds[0]), None)
    if other is None:
        raise UserError(f"task {card.name}: there is a single gold value, which gives no score")
    return [*range(max(n, 2) - 1), other]


def first_with(wanted: Sequence[bool], n: int) -> list[int]:
    """Return the first n places; if none of them is wanted, the first wanted one replaces the last."""
    places = list(range(min(n, len(wanted))))
    if any(wanted[:n]) or not any(wanted):
        return places
    return [*places[:-1], wanted.index(True)]


def cut_lists(rows: Any, column: str, card: Card, n: int) -> Any:
    """Cut every list of every row to the same places, by the gold values in `column`.

    Raises:
        UserError: all values of a row are equal.
    """

    def cut(row: dict[str, Any]) -> dict[str, Any]:
        places = first_of(row[column], card, n)
        return {k: [v[i] for i in places] if isinstance(v, list) else v for k, v in row.items()}

    return rows.map(cut)
