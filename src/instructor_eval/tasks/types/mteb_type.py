"""The common part of the types that mteb scores: MTEB's own tasks, and own data in mteb's task classes.

mteb is the reference. It reads every data set, and computes every number but those of types with a scorer of their own
(`light_attributes`). Tests hold that scorer equal to mteb's; its tasks run without importing mteb, once mteb has read
the data. Per-query values, similarities and predictions are caught in addition, so that the number can be computed
again from stored items; `score` checks that it can.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.hub import files_key
from instructor_eval.core.mteb import catch_predictions, own_metadata, quiet_mteb, scores_as
from instructor_eval.core.values import Items
from instructor_eval.tasks.mteb import light
from instructor_eval.tasks.mteb import load as mirror
from instructor_eval.tasks.mteb.light import AllSeen, LightTask, Rows
from instructor_eval.tasks.mteb.table import Data
from instructor_eval.tasks.task import Card, Outcome, RunSettings, TaskEncoder
from instructor_eval.tasks.types.base import TaskType
from instructor_eval.tasks.values import folder_of, gold_hash, refuse_if_strict

SEPARATION = ("fpr_at_95", "fnr_at_95", "threshold", "separation")
"""Of types whose similarities tell relevant items from others: false positives (`metrics/separation.py`)."""


class MtebType(TaskType):
    """A type that mteb scores."""

    mteb_class: str = ""
    """mteb's class for own data, in `mteb.abstasks`."""
    further: tuple[str, ...] = ()
    """Metrics to compute beside the score; mteb does not know them."""
    light_attributes: ClassVar[Mapping[str, Any] | None] = None
    """Attributes of mteb's task object that our own scorer reads -> their values for own data; None: mteb scores."""
    calls: int | None = 2
    """Calls of `encode` in an evaluation: first and second sentences, training and test texts, human and machine
    summaries; None: a dry run ends by itself."""

    def data_key(self, card: Card, settings: RunSettings) -> str:
        return mirror.data_key(card, settings) if card.folder is None else files_key(folder_of(card))

    def run(self, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Outcome:
        own = None if card.folder is None else self.own_data(card)  # before the import of mteb: four seconds
        found = self.light_task(card, own, settings)
        if found is not None:
            return self._finish(found, card, encoder, settings)
        with quiet_mteb():
            if own is None:
                found = mirror.load(card, settings, self.check)
                found = self.keep(card, settings, *found) or found
            else:
                found = self.task_of(card, own[0], settings.seed), own[1]
            return self._finish(found, card, encoder, settings)

    def _finish(
        self, found: tuple[Any, tuple[str, ...]], card: Card, encoder: TaskEncoder, settings: RunSettings
    ) -> Outcome:
        task, warnings = found
        refuse_if_strict(card, warnings, strict=settings.strict)
        if settings.limit:
            splits = task.dataset.get(card.subset, task.dataset)
            splits[card.split] = self.first(task, card, splits[card.split], settings.limit)
        return dataclasses.replace(self.score(task, card, encoder, settings), warnings=warnings)

    # Our own scorer

    def light_task(
        self, card: Card, own: tuple[Any, tuple[str, ...]] | None, settings: RunSettings
    ) -> tuple[LightTask, tuple[str, ...]] | None:
        """Return a task that needs no mteb, and warnings; None if our scorer, or data for it, is not there."""
        if self.light_attributes is None or _is_chunked(settings):
            return None
        if own is None:
            return light.read(card, mirror.data_key(card, settings))
        task = LightTask(dataset={}, **self.light_attributes)
        self.fill_light(task, card, own[0])
        return task, own[1]

    def fill_light(self, task: LightTask, card: Card, data: Any) -> None:
        """Put own data into a task that needs no mteb."""
        task.dataset = {split: Rows.of_columns(columns) for split, columns in data.items()}

    def keep(
        self, card: Card, settings: RunSettings, task: Any, warnings: tuple[str, ...]
    ) -> tuple[LightTask, tuple[str, ...]] | None:
        """Store a task of mteb for runs without it, and return what they will read.

        None: it is scored as its type is not, or it is too large.
        """
        if self.light_attributes is None or _is_chunked(settings) or not scores_as(task, self.mteb_class):
            return None
        key, attributes = mirror.data_key(card, settings), {name: getattr(task, name) for name in self.light_attributes}
        light.write(card, key, self.parts(task, card), attributes, warnings)
        return light.read(card, key)

    def parts(self, task: Any, card: Card) -> dict[str, Any]:
        """Return what a scorer reads of the data: Arrow tables, and values as JSON has them."""
        raise NotImplementedError

    def measure(self, task: LightTask, card: Card, bridge: Any, settings: RunSettings, caught: dict[str, Any]) -> Any:
        """Return the figures that mteb would, and leave in `caught` what they are made of.

        Raises:
            AllSeen: in a dry run, after the last text.
        """
        raise NotImplementedError

    # Own data

    def read(self, card: Card, folder: Path) -> tuple[Any, list[str]]:
        """Read and check own data; return it, by split and column if it is a table, and warnings for its owner.

        Raises:
            UserError: something is missing or broken; the line has file and line.
        """
        raise NotImplementedError

    def own_data(self, card: Card) -> tuple[Any, tuple[str, ...]]:
        """Read and check the data of a card with a folder.

        Raises:
            UserError: there is no such folder, or as `read`.
        """
        data, warnings = self.read(card, folder_of(card))
        return data, tuple(map(one_line, warnings))

    def describe(self, card: Card, *, shipped: bool) -> tuple[str, tuple[str, ...]]:
        data, warnings = self.own_data(card)
        return self.summary(card, data), warnings

    def summary(self, card: Card, data: Any) -> str:
        """Return own data in words."""
        return ", ".join(f"{split}: {len(next(iter(columns.values()))):,} rows" for split, columns in data.items())

    def count_items(self, card: Card, limit: int | None) -> int:
        n = self.size(card, self.own_data(card)[0], limit)
        return n if limit is None else min(n, max(limit, self.least))

    def size(self, card: Card, data: Any, limit: int | None) -> int:
        """Return how many items own data has to choose the first from."""
        return len(next(iter(data[card.split].values())))

    def task_of(self, card: Card, data: Any, seed: int) -> Any:
        """Return a loaded mteb task with own data, scored by the same code as the built-in tasks."""
        from mteb import abstasks

        metadata = own_metadata(self.name, split=card.split, main_score=self.metrics[0])
        attributes = {"metadata": metadata, **self.attributes(card)}
        task = type("OwnTask", (getattr(abstasks, self.mteb_class),), attributes)(seed=seed)
        self.fill(task, card, data)
        task.data_loaded = True
        return task

    def attributes(self, card: Card) -> dict[str, Any]:
        """Return what a card's options change in mteb's class."""
        return {}

    def fill(self, task: Any, card: Card, data: Any) -> None:
        """Put own data into a task of mteb."""
        from datasets import Dataset, DatasetDict

        task.dataset = DatasetDict({split: Dataset.from_dict(columns) for split, columns in data.items()})

    # MTEB's data

    def check(self, task: Any, card: Card, data: Data) -> list[str]:
        """Check that a loaded task has what the type needs, and return warnings for a reader of the score.

        Raises:
            ValueError: something is missing or wrong.
        """
        raise NotImplementedError

    # The score

    def first(self, task: Any, card: Card, rows: Any, n: int) -> Any:
        """Return the first `n` rows of the scored split, such that they have a score if all rows do.

        Raises:
            UserError: the data has one gold value only.
        """
        return rows.select(range(min(n, len(rows))))

    def calibrate(self, task: Any, card: Card, encoder: TaskEncoder) -> None:
        """Calibrate int8 on the texts that an index would have; else it takes those that mteb embeds first."""

    def prepare(self, task: Any, protocol: Mapping[str, str], caught: dict[str, Any]) -> None:
        """Let mteb score as the protocol says, and leave in `caught` what it scores."""
        catch_predictions(task, caught)

    def bridge(self, task: Any, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Any:
        """Return the model in mteb's form; in a dry run one that ends the evaluation after the last text."""
        if isinstance(task, LightTask):
            return encoder
        from instructor_eval.tasks.mteb.encoder import MtebEncoder
        from instructor_eval.tasks.mteb.texts import TextsOnly

        return TextsOnly(encoder, calls=self.calls) if settings.texts_only else MtebEncoder(encoder)

    def items(self, task: Any, card: Card, caught: Mapping[str, Any], scores: Any) -> tuple[Items, Iterable[Any]]:
        """Return the items behind mteb's scores, and the gold values with their ids."""
        raise NotImplementedError

    def score(self, task: Any, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Outcome:
        """Score a loaded task; in a dry run, pass its texts on.

        Raises:
            UserError: there is no score, since all similarities are equal.
            RuntimeError: the items do not give mteb's own number: an error in this package, which is never filed.
        """
        from instructor_eval import metrics as scorers
        from instructor_eval.tasks.mteb.encoder import exact_cosines

        metric = self.metric_of(card, settings.protocol)
        bridge = self.bridge(task, card, encoder, settings)
        caught: dict[str, Any] = {"rankings": settings.rankings}
        is_light = isinstance(task, LightTask)
        if not is_light:
            self.prepare(task, settings.protocol, caught)
        self.calibrate(task, card, encoder)
        try:
            if is_light:
                scores = self.measure(task, card, bridge, settings, caught)
            else:
                with exact_cosines(encoder.variant):
                    scores = _evaluate(task, card, bridge)
        except AllSeen:
            scores = None
        if settings.texts_only:
            return Outcome(metric=metric, score=0.0, items={"id": []})
        items, gold = self.items(task, card, caught, scores)
        figures = {k: float(v) for k, v in scores.items() if isinstance(v, int | float) and math.isfinite(v)}
        figures = {k: v for k, v in figures.items() if not k.startswith("nauc") and k != "main_score"}
        # mteb has no number for a package's metric: the items must give the number of the type's own metric instead.
        known = metric if card.metric in self.metrics else self.metrics[0]
        value, reference = scorers.compute(known, items), float(scores[scorers.get(known).mteb or known])
        if not math.isfinite(value):
            raise UserError(f"task {card.name}: there is no {known}: all similarities, or all gold values, are equal")
        if value != reference:
            raise RuntimeError(f"{card.name}: {known} over the items is {value!r}, mteb computes {reference!r}")
        score = value if known == metric else scorers.compute(metric, items)
        further = {name: scorers.compute(name, items) for name in self.further}
        figures |= {name: value for name, value in further.items() if math.isfinite(value)}
        outcome = Outcome(metric=metric, score=score, items=items, metrics=figures, gold_hash=gold_hash(gold))
        return self.finished(outcome, task, card, bridge, caught)

    def finished(self, outcome: Outcome, task: Any, card: Card, bridge: Any, caught: Mapping[str, Any]) -> Outcome:
        """Return the outcome with what the model in mteb's form knows beside it."""
        return outcome


def _evaluate(task: Any, card: Card, bridge: Any) -> Any:
    """Return mteb's figures of the scored split."""
    return task.evaluate(
        bridge,
        split=card.split,
        subsets_to_run=[card.subset],
        encode_kwargs={"show_progress_bar": False},
        prediction_folder=Path("unused"),
    )[card.subset]


def _is_chunked(settings: RunSettings) -> bool:
    """Return whether documents are cut: that search is mteb's form alone."""
    return settings.search is not None and settings.search.chunk is not None
