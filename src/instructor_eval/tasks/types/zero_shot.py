"""ZeroShotClassification: each picture gets the class whose words, under a prompt, are nearest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import msgspec

from instructor_eval.core.errors import one_line
from instructor_eval.core.hub import files_key
from instructor_eval.core.schema import optional_record
from instructor_eval.core.values import Items
from instructor_eval.tasks.mteb import load as mirror
from instructor_eval.tasks.own.pictures import LabelledPictures, read_classes
from instructor_eval.tasks.task import Card, Outcome, RunSettings, TaskEncoder
from instructor_eval.tasks.types.base import Filed, FindPictures, Name, TaskType
from instructor_eval.tasks.values import folder_of, gold_hash, refuse_if_strict

_WINDOW = 10_000
"""Pictures embedded and compared at once."""


class ZeroShotClassification(TaskType):
    """Pictures in classes that have words; the instruction is the prompt: "a photo of a {}."."""

    name = "ZeroShotClassification"
    wording: ClassVar = {"text": ("label", "classifying pictures")}
    metrics = ("accuracy",)
    columns = ("image", "label")
    purpose = "classification"
    unit = "picture"
    flags = ("value",)
    reads_pictures = True

    def options(self) -> type[msgspec.Struct]:
        """Return the record of its cards' options."""
        columns = optional_record(f"{self.name}Columns", dict.fromkeys(self.columns, Name))
        return optional_record(f"{self.name}Options", {"columns": columns, "labels": dict[str, Name]})

    def data_key(self, card: Card, settings: RunSettings) -> str:
        return mirror.data_key(card, settings) if card.folder is None else files_key(folder_of(card))

    def read(self, card: Card) -> tuple[LabelledPictures, tuple[str, ...]]:
        """Read and check the data.

        Raises:
            UserError: something is missing or broken.
        """
        data, warnings = read_classes(card, folder_of(card))
        return data, tuple(map(one_line, warnings))

    def describe(self, card: Card, *, shipped: bool) -> tuple[str, tuple[str, ...]]:
        data, warnings = self.read(card)
        return f"{len(data.paths):,} pictures in {len(data.classes):,} classes", warnings

    def pictures_of(self, card: Card) -> FindPictures:
        """Return what finds each picture itself."""
        data = self.read(card)[0]
        places = dict(zip(data.names, data.paths, strict=True))
        return lambda _items, ids: {name: [("picture", places[name])] for name in ids if name in places}

    def count_items(self, card: Card, limit: int | None) -> int:
        return len(self.read(card)[0].paths[:limit])

    def run(self, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Outcome:
        import numpy as np

        from instructor_eval import metrics
        from instructor_eval.core.pictures import Picture

        if card.folder is None:
            from instructor_eval.tasks.mteb.zero_shot import labelled

            data, pictures, warnings = labelled(card, settings)
        else:
            data, warnings = self.read(card)
            pictures = [Picture.of(path) for path in data.paths[: settings.limit]]
        refuse_if_strict(card, warnings, strict=settings.strict)
        names, gold = data.names[: settings.limit], data.labels[: settings.limit]
        words = list(data.classes.values())
        encoder.calibrate([*pictures, *words], "text")
        labels = list(data.classes)
        nearest: list[int] = []
        prompts = None
        for start in range(0, len(pictures), _WINDOW):
            # Pictures first: a model that reads none says so before anything is computed.
            vectors = encoder.encode(pictures[start : start + _WINDOW], "text", bare=True)
            if prompts is None:
                prompts = encoder.encode(words, "text")
                if settings.texts_only:  # these are no numbers
                    continue
                prompts = prompts / np.maximum(np.linalg.norm(prompts, axis=1, keepdims=True), 1e-12)
            if not settings.texts_only:
                nearest += (vectors @ prompts.T).argmax(axis=1).tolist()
        if settings.texts_only:
            return Outcome("accuracy", 0.0, {"id": []})
        found = [labels[place] for place in nearest]
        items: Items = {
            "id": names,
            "gold": gold,
            "value": [float(a == b) for a, b in zip(found, gold, strict=True)],
            "predictions": [[label] for label in found],
        }
        score = metrics.compute(card.metric, items)
        hashed = gold_hash(zip(names, gold, strict=True))
        return Outcome(card.metric, score, items, gold_hash=hashed, warnings=warnings)

    def check_items(self, filed: Filed, items: Items) -> Iterator[str]:
        """Check that every picture has one prediction, and its value says whether it is right."""
        from instructor_eval.tasks.types.item_checks import equal, numbers, report

        counts = [len(row) for row in items["predictions"]]
        yield from report(items, [n != 1 for n in counts], lambda i: f"{counts[i]} predictions, a picture has one")
        rows = zip(items["predictions"], items["gold"], strict=True)
        right = numbers([float(bool(row) and row[0] == g) for row, g in rows])
        yield from equal(items, numbers(items["value"]), right, "value", "whether the prediction is right")
