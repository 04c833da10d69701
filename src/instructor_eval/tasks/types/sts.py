"""STS: how similar are two sentences?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.tasks.mteb.rows import first_of, pairs_of, split_of
from instructor_eval.tasks.mteb.table import Data
from instructor_eval.tasks.own.labelled_data import read_pairs
from instructor_eval.tasks.task import Card, TaskEncoder
from instructor_eval.tasks.types.base import COSINE, Filed
from instructor_eval.tasks.types.mteb_type import SEPARATION, MtebType


class STS(MtebType):
    """Pairs of sentences with a grade."""

    name = category = "STS"
    wording: ClassVar = {"text": ("sentence", "")}
    mteb_class = "AbsTaskSTS"
    metrics = ("cosine_spearman", "cosine_pearson")
    further = SEPARATION
    columns = ("sentence1", "sentence2", "score")
    purpose = "similarity"
    least = 2
    bounds: ClassVar = {"cosine": COSINE}

    def read(self, card: Card, folder: Path) -> tuple[Any, list[str]]:
        path, columns, warnings = read_pairs(card, folder, "score", lambda r, line, row: r.number(line, row, "score"))
        pairs = set(zip(columns["sentence1"], columns["sentence2"], strict=True))
        if len(pairs) < 2 or all(a == b for a, b in pairs):
            what = "every row has the same pair" if len(pairs) < 2 else "the two texts of every pair are equal"
            raise UserError(f"{path}: no variety: {what}, so that all similarities are equal")
        return {card.split: columns}, warnings

    def check(self, task: Any, card: Card, data: Data) -> list[str]:
        table = data.table(card.split)
        found = table.texts(*task.column_names)
        table.numbers("score")
        return found

    def first(self, task: Any, card: Card, rows: Any, n: int) -> Any:
        """Return the first `n` rows, two different grades among them."""
        return rows.select(first_of(list(rows["score"]), card, n))

    def calibrate(self, task: Any, card: Card, encoder: TaskEncoder) -> None:
        """Calibrate on the texts of all pairs."""
        encoder.calibrate(pairs_of(split_of(task, card), task.column_names), "text")

    def items(self, task: Any, card: Card, caught: Mapping[str, Any], scores: Any) -> tuple[Items, Iterable[Any]]:
        gold = [(float(x) - task.min_score) / (task.max_score - task.min_score) for x in split_of(task, card)["score"]]
        ids = [str(i) for i in range(len(gold))]
        cosine = [float(x) for x in caught["predictions"]["cosine_scores"]]
        return {"id": ids, "gold": gold, "cosine": cosine}, zip(ids, gold, strict=True)

    def check_items(self, filed: Filed, items: Items) -> Iterator[str]:
        """Check grades: they are scaled by the range that mteb's own tasks have; own data may have any."""
        from instructor_eval.tasks.types.item_checks import within

        if filed.card is not None:
            yield from within(items, "gold", (0.0, 1.0))
