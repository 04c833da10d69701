"""Clustering: do clusters of vectors follow the labels?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from instructor_eval.core.mteb import one_cluster_evaluator
from instructor_eval.core.values import Items
from instructor_eval.tasks.labels import Labels, check_numbers
from instructor_eval.tasks.mteb.rows import cut_lists, split_of
from instructor_eval.tasks.mteb.table import Data
from instructor_eval.tasks.own.labelled_data import read_labelled
from instructor_eval.tasks.rows import find_file, read_rows
from instructor_eval.tasks.task import Card, RunSettings, TaskEncoder
from instructor_eval.tasks.types.base import Filed
from instructor_eval.tasks.types.mteb_type import MtebType
from instructor_eval.tasks.values import RowReader, similar_name


class Clustering(MtebType):
    """Sets of labelled texts; its items are the sets."""

    name = category = "Clustering"
    wording: ClassVar = {"text": ("text", "clustering")}
    mteb_class = "AbsTaskClusteringLegacy"
    metrics = ("v_measure",)
    columns = ("text", "label", "sentences", "labels")
    choices = ("clustering_256",)
    purpose = "clustering"
    calls = None
    bounds: ClassVar = {"v_measure": (0.0, 1.0)}

    def read(self, card: Card, folder: Path) -> tuple[Any, list[str]]:
        path = find_file(folder, card.split)
        labels = Labels()
        first = next(read_rows(path), None)
        reader = RowReader(path, card.options.get("columns", {}))
        sets = reader.columns.get("sentences", "sentences")
        if first is None or (sets not in first[1] and similar_name(first[1], sets) is None):
            rows, warnings = read_labelled(card, folder, card.split, labels)
            return {card.split: {"sentences": [rows["text"]], "labels": [rows["label"]]}}, warnings + labels.warnings()
        columns: dict[str, list[Any]] = {"sentences": [], "labels": []}
        written: list[tuple[int, str]] = []
        for line, row in read_rows(path):
            sentences = reader.texts(line, row, "sentences")
            names = reader.labels(line, row, "labels")
            written += [(line, name) for name in names]
            names = [labels.add(card.split, name) for name in names]
            if len(sentences) != len(names):
                raise reader.fail(line, f"{len(sentences)} sentences but {len(names)} labels")
            if len(set(names)) < 2:
                raise reader.fail(line, "fewer than two different labels")
            columns["sentences"].append(sentences)
            columns["labels"].append(names)
        check_numbers(reader, "labels", written)
        return {card.split: columns}, reader.warnings() + labels.warnings()

    def summary(self, card: Card, data: Any) -> str:
        sets = data[card.split]["sentences"]
        return f"{card.split}: {len(sets):,} {'set' if len(sets) == 1 else 'sets'}, {sum(map(len, sets)):,} texts"

    def check(self, task: Any, card: Card, data: Data) -> list[str]:
        table = data.table(card.split)
        found = table.texts(task.input_column_name, lists=True)
        table.labels(task.label_column_name, lists=True)
        table.same_lengths(task.input_column_name, task.label_column_name)
        return found

    def first(self, task: Any, card: Card, rows: Any, n: int) -> Any:
        """Return the first `n` sets, of `n` texts each."""
        return cut_lists(super().first(task, card, rows, n), task.label_column_name, card, n)

    def calibrate(self, task: Any, card: Card, encoder: TaskEncoder) -> None:
        """Calibrate on the texts of all sets."""
        encoder.calibrate(chain.from_iterable(split_of(task, card)[task.input_column_name]), "text")

    def bridge(self, task: Any, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Any:
        """Return the model in mteb's form; in a dry run no set is clustered."""
        if settings.texts_only:
            task.evaluator = one_cluster_evaluator()  # the task calls it once for each set
        return super().bridge(task, card, encoder, settings)

    def items(self, task: Any, card: Card, caught: Mapping[str, Any], scores: Any) -> tuple[Items, Iterable[Any]]:
        values = [float(v) for v in scores["v_measures"]]
        ids = [str(i) for i in range(len(values))]
        labels = [row[task.label_column_name] for row in split_of(task, card)]
        items: Items = {"id": ids, "v_measure": values, "size": [len(x) for x in labels]}
        return items, ((i, list(map(str, x))) for i, x in zip(ids, labels, strict=True))

    def check_items(self, filed: Filed, items: Items) -> Iterator[str]:
        """Check that every set has a text."""
        from instructor_eval.tasks.types.item_checks import numbers, report

        size = numbers(items["size"])
        yield from report(items, ~(size >= 1), lambda i: f"size is {size[i]:.7g}, a split has at least one text")
