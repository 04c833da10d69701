"""PairClassification: are two sentences a pair?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from instructor_eval.core.values import Items
from instructor_eval.tasks.mteb.light import AllSeen, LightTask, Rows, table_of
from instructor_eval.tasks.mteb.rows import cut_lists, first_of, pairs_of, split_of
from instructor_eval.tasks.mteb.table import Data
from instructor_eval.tasks.own.labelled_data import read_pairs
from instructor_eval.tasks.rows import Row
from instructor_eval.tasks.task import Card, RunSettings, TaskEncoder
from instructor_eval.tasks.types.base import ANY_LENGTH, COSINE, FindTexts
from instructor_eval.tasks.types.item_texts import of_pairs
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
    light_attributes: ClassVar = {
        "input1_column_name": "sentence1", "input2_column_name": "sentence2", "label_column_name": "labels",
    }  # fmt: skip
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
        encoder.calibrate(pairs_of(split_of(task, card), _columns(task)[:2]), "text")

    def parts(self, task: Any, card: Card) -> dict[str, Any]:
        """Return the pairs, a row each: some data sets have one row of lists."""
        rows = split_of(task, card)
        columns = list(_columns(task))
        if len(rows) == 1 and isinstance(rows[0][columns[2]], list):
            return {card.split: Rows.of_columns({name: rows[0][name] for name in columns}).table}
        return {card.split: table_of(rows, columns)}

    def measure(self, task: LightTask, card: Card, bridge: Any, settings: RunSettings, caught: dict[str, Any]) -> Any:
        """Return figures of five similarities, and the best of each, as mteb's `AbsTaskPairClassification` does."""
        rows, (*texts, label) = split_of(task, card), _columns(task)
        first, second = (bridge.encode([str(text) for text in rows[name]], "text") for name in texts)
        if settings.texts_only:
            raise AllSeen
        from instructor_eval.metrics.distances import (
            cosine_distances,
            dot_products,
            euclidean_distances,
            manhattan_distances,
        )
        from instructor_eval.metrics.pair_figures import figures_of_similarities
        from instructor_eval.tasks.mteb.encoder import is_binary, paired_cosines, paired_similarities

        binary = is_binary(bridge.variant)
        found = {
            "similarity": paired_similarities(bridge.variant, first, second),
            "cosine": 1 - (1 - paired_cosines(first, second) if binary else cosine_distances(first, second)),
            "manhattan": manhattan_distances(first, second),
            "euclidean": euclidean_distances(first, second),
            "dot": dot_products(first, second),
        }
        columns = {name: values.tolist() for name, values in found.items()}
        caught["predictions"] = {_SIMILARITIES[name]: values for name, values in columns.items()}
        return figures_of_similarities(rows[label], columns)

    def items(self, task: Any, card: Card, caught: Mapping[str, Any], scores: Any) -> tuple[Items, Iterable[Any]]:
        gold = [int(x) for x in pairs_of(split_of(task, card), [task.label_column_name])]
        ids = [str(i) for i in range(len(gold))]
        values = {name: [float(x) for x in caught["predictions"][key]] for name, key in _SIMILARITIES.items()}
        return {"id": ids, "gold": gold, **values}, zip(ids, gold, strict=True)

    def texts_of(self, card: Card) -> FindTexts | None:
        return of_pairs(self.own_data(card)[0][card.split], "labels", "similarity")


def _columns(task: Any) -> tuple[str, str, str]:
    """Return the names of the columns of first and second texts and labels."""
    return task.input1_column_name, task.input2_column_name, task.label_column_name


def _label(reader: RowReader, line: int, row: Row) -> int:
    label = reader.number(line, row, "label", "labels", is_flag=True)
    if label not in (0, 1):
        raise reader.fail(line, f"'label' should be 0 or 1, found {label:g}")
    return int(label)
