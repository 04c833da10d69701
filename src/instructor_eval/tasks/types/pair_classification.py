"""PairClassification: are two sentences a pair?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from instructor_eval.core.values import Items
from instructor_eval.tasks.mteb.rows import cut_lists, first_of, pairs_of, split_of
from instructor_eval.tasks.mteb.table import Data
from instructor_eval.tasks.own.labelled_data import read_pairs
from instructor_eval.tasks.rows import Row
from instructor_eval.tasks.task import Card, TaskEncoder
from instructor_eval.tasks.types.base import ANY_LENGTH, COSINE
from instructor_eval.tasks.types.mteb_type import SEPARATION, MtebType
from instructor_eval.tasks.values import RowReader, cut

_SIMILARITIES = {"similarity": "similarity_scores", "cosine": "cosine_scores", "manhattan": "manhattan_distances",
                 "euclidean": "euclidean_distances", "dot": "dot_scores"}  # fmt: skip
"""Column of the items -> mteb's name."""


class PairClassification(MtebType):
    """Pairs of sentences with a label, 1 or 0."""

    name = category = "PairClassification"
    wording: ClassVar = {"text": ("sentence", "retrieving duplicate sentences")}
    mteb_class = "AbsTaskPairClassification"
    metrics = ("max_ap", "cosine_ap")
    further = SEPARATION
    columns = ("sentence1", "sentence2", "label", "labels")
    choices = ("pair_ap",)
    purpose = "similarity"
    least = 2
    bounds: ClassVar = {"cosine": COSINE, "manhattan": ANY_LENGTH, "euclidean": ANY_LENGTH}
    flags = ("gold",)

    def chosen_metric(self, card: Card, protocol: Mapping[str, str]) -> str:
        """Return the average precision of the cosine alone if the protocol says so."""
        return "cosine_ap" if protocol["pair_ap"] == "cosine" else card.metric

    def read(self, card: Card, folder: Path) -> tuple[Any, list[str]]:
        _, columns, warnings = read_pairs(card, folder, "labels", _label)
        return {card.split: columns}, warnings

    def check(self, task: Any, card: Card, data: Data) -> list[str]:
        table = data.table(card.split)
        first, second, label = task.input1_column_name, task.input2_column_name, task.label_column_name
        found = table.texts(first, second, lists=True)
        table.numbers(label)
        table.same_lengths(first, second)
        table.same_lengths(first, label)
        values = table.rows[label]
        known = {v for row in values for v in row} if isinstance(values[0], list) else set(values)
        if known != {0, 1}:
            raise ValueError(f"'{label}' of {table.what} should be 0 and 1, found {cut(sorted(known)[:10])}")
        return found

    def first(self, task: Any, card: Card, rows: Any, n: int) -> Any:
        """Return the first `n` pairs, both labels among them."""
        column = task.label_column_name
        if len(rows) == 1 and isinstance(rows[0][column], list):
            return cut_lists(rows, column, card, n)
        return rows.select(first_of(list(rows[column]), card, n))

    def calibrate(self, task: Any, card: Card, encoder: TaskEncoder) -> None:
        """Calibrate on the texts of all pairs."""
        columns = (task.input1_column_name, task.input2_column_name)
        encoder.calibrate(pairs_of(split_of(task, card), columns), "text")

    def items(self, task: Any, card: Card, caught: Mapping[str, Any], scores: Any) -> tuple[Items, Iterable[Any]]:
        data = split_of(task, card)
        labels = data[0][task.label_column_name] if len(data) == 1 else data[task.label_column_name]
        gold = [int(x) for x in labels]
        ids = [str(i) for i in range(len(gold))]
        values = {name: [float(x) for x in caught["predictions"][key]] for name, key in _SIMILARITIES.items()}
        return {"id": ids, "gold": gold, **values}, zip(ids, gold, strict=True)


def _label(reader: RowReader, line: int, row: Row) -> int:
    label = reader.number(line, row, "label", "labels", is_flag=True)
    if label not in (0, 1):
        raise reader.fail(line, f"'label' should be 0 or 1, found {label:g}")
    return int(label)
