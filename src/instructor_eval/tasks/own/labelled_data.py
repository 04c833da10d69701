"""A user's pairs, labelled texts and clusters, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.labels import Labels
from instructor_eval.tasks.rows import find_file, read_rows
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.values import RowReader

Splits = dict[str, dict[str, list[Any]]]
"""Split -> column -> values."""


def read_pairs(card: Card, folder: Path) -> tuple[Splits, list[str]]:
    """Read pairs of sentences with a grade (STS) or a label 0 or 1 (PairClassification).

    Raises:
        UserError: something is missing or broken; the line has file and line.
    """
    path = find_file(folder, card.split)
    reader = RowReader(path, card.options.get("columns", {}))
    gold = "score" if card.type == "STS" else "labels"
    columns: dict[str, list[Any]] = {"sentence1": [], "sentence2": [], gold: []}
    for line, row in read_rows(path):
        for name in ("sentence1", "sentence2"):
            columns[name].append(reader.text(line, row, name))
        if card.type == "STS":
            columns[gold].append(reader.number(line, row, "score"))
        else:
            label = reader.number(line, row, "label", "labels", is_flag=True)
            if label not in (0, 1):
                raise reader.fail(line, f"'label' should be 0 or 1, found {label:g}")
            columns[gold].append(int(label))
    if len(set(columns[gold])) < 2:
        what = "rows" if not columns[gold] else f"variety: every '{gold}' is {columns[gold][0]}"
        raise UserError(f"{path}: no {what}")
    warnings = reader.warnings()
    pairs = set(zip(columns["sentence1"], columns["sentence2"], strict=True))
    if card.type == "STS" and (len(pairs) < 2 or all(a == b for a, b in pairs)):
        what = "every row has the same pair" if len(pairs) < 2 else "the two texts of every pair are equal"
        raise UserError(f"{path}: no variety: {what}, so that all similarities are equal")
    return {card.split: columns}, warnings


def read_classification(card: Card, folder: Path) -> tuple[Splits, list[str]]:
    """Read the labelled texts of training and test.

    Raises:
        UserError: something is missing or broken; the line has file and line.
    """
    if card.split == "train":
        raise UserError(f"task {card.name}: split: 'train' is what the classifier learns from: name the test split")
    labels, data, warnings = Labels(), {}, []
    for split in ("train", card.split):
        data[split], found = _labelled(card, folder, split, labels)
        warnings += found
    return data, warnings + labels.warnings(train="train", test=card.split)


def _labelled(card: Card, folder: Path, split: str, labels: Labels) -> tuple[dict[str, list[Any]], list[str]]:
    path = find_file(folder, split)
    reader = RowReader(path, card.options.get("columns", {}))
    columns: dict[str, list[Any]] = {"text": [], "label": []}
    for line, row in read_rows(path):
        columns["text"].append(reader.text(line, row, "text"))
        columns["label"].append(labels.add(split, reader.label(line, row, "label")))
    if len(set(columns["label"])) < 2:
        raise UserError(f"{path}: fewer than two different labels")
    return columns, reader.warnings()


def read_clustering(card: Card, folder: Path) -> tuple[Splits, list[str]]:
    """Read one set of labelled texts in rows, or several as lists.

    Raises:
        UserError: something is missing or broken; the line has file and line.
    """
    path = find_file(folder, card.split)
    labels = Labels()
    first = next(read_rows(path), None)
    reader = RowReader(path, card.options.get("columns", {}))
    if first is None or reader.columns.get("sentences", "sentences") not in first[1]:
        rows, warnings = _labelled(card, folder, card.split, labels)
        return {card.split: {"sentences": [rows["text"]], "labels": [rows["label"]]}}, warnings + labels.warnings()
    columns: dict[str, list[Any]] = {"sentences": [], "labels": []}
    for line, row in read_rows(path):
        sentences = reader.texts(line, row, "sentences")
        names = [labels.add(card.split, name) for name in reader.labels(line, row, "labels")]
        if len(sentences) != len(names):
            raise reader.fail(line, f"{len(sentences)} sentences but {len(names)} labels")
        if len(set(names)) < 2:
            raise reader.fail(line, "fewer than two different labels")
        columns["sentences"].append(sentences)
        columns["labels"].append(names)
    return {card.split: columns}, reader.warnings() + labels.warnings()
