"""Does a loaded task hold what its type needs? mteb finds out late, or scores something else, and says so to nobody."""

from __future__ import annotations

from typing import Any

from instructor_eval.types import Card


def check_task(task: Any, card: Card) -> None:
    """Look for the scored split (the training split too, for classification), its columns and missing values.

    Raises:
        ValueError: what is missing.
    """
    data = task.dataset.get(card.subset, task.dataset)
    splits = (task.train_split, card.split) if card.type == "Classification" else (card.split,)
    for name in splits:
        if name not in data:
            raise ValueError(f"no split '{name}'")
    if card.type in ("Retrieval", "Reranking"):
        _check_ranking(data[card.split], card)
        return
    for name in splits:
        _check_rows(data[name], name, _columns(task, card))


def _columns(task: Any, card: Card) -> tuple[str, ...]:
    if card.type == "STS":
        return (*task.column_names, "score")
    if card.type == "PairClassification":
        return (task.input1_column_name, task.input2_column_name, task.label_column_name)
    if card.type == "Summarization":
        return (task.human_summaries_column_name, task.machine_summaries_column_name, task.relevancy_column_name)
    return (task.input_column_name, task.label_column_name)


def _check_rows(rows: Any, what: str, columns: tuple[str, ...]) -> None:
    if not len(rows):
        raise ValueError(f"no rows in {what}")
    for column in columns:
        if column not in rows.column_names:
            raise ValueError(f"no column '{column}' in {what}, it has {', '.join(rows.column_names)}")
        if rows.data.column(column).null_count:
            raise ValueError(f"missing values in column '{column}' of {what}")


def _check_ranking(split: Any, card: Card) -> None:
    titled = ("title",) if "title" in split["corpus"].column_names else ()
    _check_rows(split["corpus"], "corpus", ("id", "text", *titled))
    _check_rows(split["queries"], "queries", ("id", "text"))
    if card.type != "Reranking":
        return
    if not split["top_ranked"]:
        raise ValueError("no configuration 'top_ranked' with the candidates to rerank")
    unknown = {d for docs in split["top_ranked"].values() for d in docs} - set(split["corpus"]["id"])
    if unknown:
        raise ValueError(f"candidate '{min(unknown)}' is not in the corpus")
