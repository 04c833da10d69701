"""STS: how similar are two sentences?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.tasks.mteb.light import AllSeen, LightTask, table_of
from instructor_eval.tasks.mteb.rows import first_of, pairs_of, split_of
from instructor_eval.tasks.mteb.table import Data
from instructor_eval.tasks.own.labelled_data import read_pairs
from instructor_eval.tasks.task import Card, RunSettings, TaskEncoder
from instructor_eval.tasks.types.base import COSINE, Filed, FindTexts
from instructor_eval.tasks.types.item_texts import of_pairs
from instructor_eval.tasks.types.mteb_type import SEPARATION, MtebType


class STS(MtebType):
    """Pairs of sentences with a grade."""

    name = category = "STS"
    wording: ClassVar = {"text": ("sentence", "")}
    mteb_class = "AbsTaskSTS"
    metrics = ("cosine_spearman", "cosine_pearson")
    further = SEPARATION
    columns = ("sentence1", "sentence2", "score")
    light_attributes: ClassVar = {"column_names": ("sentence1", "sentence2"), "min_score": 0, "max_score": 5}
    purpose = "similarity"
    least = 2
    bounds: ClassVar = {"cosine": COSINE}

    def read(self, card: Card, folder: Path) -> tuple[Any, list[str]]:
        path, columns, warnings = read_pairs(card, folder, "score", lambda r, line, row: r.number(line, row, "score"))
        pairs = {frozenset(pair) for pair in zip(columns["sentence1"], columns["sentence2"], strict=True)}
        if len(pairs) < 2 or all(len(pair) == 1 for pair in pairs):
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

    def parts(self, task: Any, card: Card) -> dict[str, Any]:
        return {card.split: table_of(split_of(task, card), [*task.column_names, "score"])}

    def measure(self, task: LightTask, card: Card, bridge: Any, settings: RunSettings, caught: dict[str, Any]) -> Any:
        """Return correlations of grades with similarities as mteb's `AbsTaskSTS` does.

        The similarity that a model brings along is here the cosine.
        """
        rows = split_of(task, card)
        first, second = (bridge.encode([str(text) for text in rows[name]], "text") for name in task.column_names)
        if settings.texts_only:
            raise AllSeen
        from instructor_eval.metrics.correlation import pearson, spearman
        from instructor_eval.metrics.distances import cosine_distances, euclidean_distances, manhattan_distances
        from instructor_eval.tasks.mteb.encoder import is_binary, paired_cosines

        binary = is_binary(bridge.variant)
        far = {
            "cosine": 1 - (1 - paired_cosines(first, second) if binary else cosine_distances(first, second)),
            "manhattan": -manhattan_distances(first, second),
            "euclidean": -euclidean_distances(first, second),
        }
        caught["predictions"] = {"cosine_scores": far["cosine"].tolist()}
        gold = _scaled(task, rows)
        found = {}
        for name, values in far.items():
            found[f"{name}_pearson"], found[f"{name}_spearman"] = pearson(gold, values), spearman(gold, values)
        return {"pearson": found["cosine_pearson"], "spearman": found["cosine_spearman"], **found}

    def items(self, task: Any, card: Card, caught: Mapping[str, Any], scores: Any) -> tuple[Items, Iterable[Any]]:
        gold = _scaled(task, split_of(task, card))
        ids = [str(i) for i in range(len(gold))]
        cosine = [float(x) for x in caught["predictions"]["cosine_scores"]]
        return {"id": ids, "gold": gold, "cosine": cosine}, zip(ids, gold, strict=True)

    def texts_of(self, card: Card) -> FindTexts | None:
        return of_pairs(self.own_data(card)[0][card.split], "score", "cosine")

    def check_items(self, filed: Filed, items: Items) -> Iterator[str]:
        """Check grades: they are scaled by the range that mteb's own tasks have; own data may have any."""
        from instructor_eval.tasks.types.item_checks import within

        if filed.card is not None:
            yield from within(items, "gold", (0.0, 1.0))


def _scaled(task: Any, rows: Any) -> list[float]:
    """Return the grades, scaled to 0 to 1."""
    return [(float(x) - task.min_score) / (task.max_score - task.min_score) for x in rows["score"]]
