"""Classification: a logistic regression learns from a few texts a label, several times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from instructor_eval.core.errors import UserError
from instructor_eval.core.mteb import score_any_two_labels
from instructor_eval.core.values import Items
from instructor_eval.tasks.labels import Labels, unseen
from instructor_eval.tasks.mteb.light import AllSeen, LightTask, table_of
from instructor_eval.tasks.mteb.rows import split_of
from instructor_eval.tasks.mteb.table import Data
from instructor_eval.tasks.own.labelled_data import read_labelled
from instructor_eval.tasks.task import Card, RunSettings
from instructor_eval.tasks.types.base import Filed, FindTexts
from instructor_eval.tasks.types.item_texts import of_labels
from instructor_eval.tasks.types.mteb_type import MtebType


class Classification(MtebType):
    """Texts with a label; its items are the texts of the test split."""

    name = category = "Classification"
    wording: ClassVar = {"text": ("text", "classification")}
    mteb_class = "AbsTaskClassification"
    metrics = ("accuracy",)
    numbers = ("samples_per_label", "n_experiments")
    columns = ("text", "label")
    light_attributes: ClassVar = {
        "input_column_name": "text", "label_column_name": "label", "train_split": "train", "samples_per_label": 8,
        "n_experiments": 10, "seed": 42,
    }  # fmt: skip
    purpose = "classification"
    bounds: ClassVar = {"value": (0.0, 1.0)}

    def read(self, card: Card, folder: Path) -> tuple[Any, list[str]]:
        if card.split == "train":
            raise UserError(f"task {card.name}: split: 'train' is what the classifier learns from: name the test split")
        labels, data, warnings = Labels(), {}, []
        for split in ("train", card.split):
            data[split], found = read_labelled(card, folder, split, labels)
            warnings += found
        return data, warnings + labels.warnings(train="train", test=card.split)

    def attributes(self, card: Card) -> dict[str, Any]:
        """Return the numbers in the card's options."""
        return {k: card.options[k] for k in self.numbers if k in card.options}

    def fill(self, task: Any, card: Card, data: Any) -> None:
        """Put labels in as numbers: mteb's metrics for two classes need 0 and 1, and the items get the names back."""
        task.label_names, numbered = _numbered(data)
        super().fill(task, card, numbered)

    def fill_light(self, task: LightTask, card: Card, data: Any) -> None:
        """Put labels in as numbers, and the numbers in the card's options."""
        task.label_names, numbered = _numbered(data)
        super().fill_light(task, card, numbered)
        vars(task).update(self.attributes(card))

    def check(self, task: Any, card: Card, data: Data) -> list[str]:
        names = (task.train_split, card.split)
        tables = [data.table(name) for name in names]
        found = [warning for table in tables for warning in table.texts(task.input_column_name)]
        train, test = (Counter(map(str, table.labels(task.label_column_name).to_pylist())) for table in tables)
        if len(train) < 2:
            raise ValueError(f"fewer than two different labels in {names[0]}")
        return found + unseen(train, test, *names)

    def parts(self, task: Any, card: Card) -> dict[str, Any]:
        columns = (task.input_column_name, task.label_column_name)
        return {split: table_of(split_of(task, card, split), columns) for split in (task.train_split, card.split)}

    def measure(self, task: LightTask, card: Card, bridge: Any, settings: RunSettings, caught: dict[str, Any]) -> Any:
        """Return the figures of classifiers that learn from the drawn texts, as mteb's `AbsTaskClassification` does."""
        from instructor_eval.metrics.classifier import draw, figures_of_labels, predict

        seed = task.seed if card.folder is None else settings.seed
        learnt, asked = split_of(task, card, task.train_split), split_of(task, card)
        texts, labels = learnt[task.input_column_name], learnt[task.label_column_name]
        draws = list(draw(labels, task.samples_per_label, task.n_experiments, seed))
        drawn = sorted(set().union(*draws))
        train = bridge.encode([str(texts[place]) for place in drawn], "text")
        test = bridge.encode([str(text) for text in asked[task.input_column_name]], "text")
        if settings.texts_only:
            raise AllSeen
        row = {place: i for i, place in enumerate(drawn)}
        predictions = [
            predict(train[[row[i] for i in places]], [labels[i] for i in places], test, seed) for places in draws
        ]
        caught["predictions"] = [found.tolist() for found in predictions]
        return figures_of_labels(asked[task.label_column_name], predictions)

    def prepare(self, task: Any, protocol: Mapping[str, str], caught: dict[str, Any]) -> None:
        """Let mteb score any two labels, and leave its predictions in `caught`."""
        super().prepare(task, protocol, caught)
        score_any_two_labels(task)

    def items(self, task: Any, card: Card, caught: Mapping[str, Any], scores: Any) -> tuple[Items, Iterable[Any]]:
        names: list[str] | None = getattr(task, "label_names", None)

        def label(value: Any) -> str:
            return names[int(value)] if names else str(value)

        gold = [label(x) for x in split_of(task, card)[task.label_column_name]]
        draws = caught["predictions"]
        ids = [str(i) for i in range(len(gold))]
        predictions = [[label(draw[i]) for draw in draws] for i in range(len(gold))]
        correct = [sum(p == g for p in row) / len(row) for row, g in zip(predictions, gold, strict=True)]
        items: Items = {"id": ids, "gold": gold, "value": correct, "predictions": predictions}
        return items, zip(ids, gold, strict=True)

    def texts_of(self, card: Card) -> FindTexts | None:
        return of_labels(self.own_data(card)[0][card.split])

    def check_items(self, filed: Filed, items: Items) -> Iterator[str]:
        """Check that every item has as many predictions, and the share of right ones as its value."""
        from instructor_eval.tasks.types.item_checks import equal, numbers, report

        draws = [len(row) for row in items["predictions"]]
        bad = [n != draws[0] or not n for n in draws]
        yield from report(items, bad, lambda i: f"{draws[i]} predictions, the first item {draws[0]}")
        rows = zip(items["predictions"], items["gold"], strict=True)
        right = numbers([sum(p == g for p in row) / max(len(row), 1) for row, g in rows])
        yield from equal(items, numbers(items["value"]), right, "value", "the share of correct predictions")


def _numbered(data: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Return the names of labels, and the data with their numbers."""
    names = sorted({label for columns in data.values() for label in columns["label"]})
    number = {name: i for i, name in enumerate(names)}
    return names, {
        split: {**columns, "label": [number[label] for label in columns["label"]]} for split, columns in data.items()
    }
