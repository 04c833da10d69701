"""A user's pairs and labelled texts, read and checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.labels import Labels, check_numbers
from instructor_eval.tasks.rows import Row, find_file, read_rows
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.values import RowReader


def read_pairs(
    card: Card, folder: Path, gold: str, value: Callable[[RowReader, int, Row], Any]
) -> tuple[Path, dict[str, list[Any]], list[str]]:
    """Read pairs of sentences with a gold value.

    Args:
        card: The card.
        folder: Its data.
        gold: The column of gold values.
        value: Reads a row's gold value.

    Returns:
        The file, its columns, and warnings.

    Raises:
        UserError: something is missing or broken; the line has file and line.
    """
    path = find_file(folder, card.split)
    reader = RowReader(path, card.options.get("columns", {}))
    columns: dict[str, list[Any]] = {"sentence1": [], "sentence2": [], gold: []}
    for line, row in read_rows(path):
        for name in ("sentence1", "sentence2"):
            columns[name].append(reader.text(line, row, name))
        columns[gold].append(value(reader, line, row))
    if len(set(columns[gold])) < 2:
        what = "rows" if not columns[gold] else f"variety: every '{gold}' is {columns[gold][0]}"
        raise UserError(f"{path}: no {what}")
    return path, columns, reader.warnings()


def read_labelled(card: Card, folder: Path, split: str, labels: Labels) -> tuple[dict[str, list[Any]], list[str]]:
    """Read the labelled texts of one split; return its columns, and warnings.

    Raises:
        UserError: something is missing or broken, or there is one label only.
    """
    path = find_file(folder, split)
    reader = RowReader(path, card.options.get("columns", {}))
    columns: dict[str, list[Any]] = {"text": [], "label": []}
    written: list[tuple[int, str]] = []
    for line, row in read_rows(path):
        columns["text"].append(reader.text(line, row, "text"))
        written.append((line, reader.label(line, row, "label")))
    check_numbers(reader, "label", written)
    columns["label"] = [labels.add(split, label) for _, label in written]
    if len(set(columns["label"])) < 2:
        raise UserError(f"{path}: fewer than two different labels")
    return columns, reader.warnings()
