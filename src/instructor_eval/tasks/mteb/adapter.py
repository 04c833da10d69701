"""MTEB's own tasks: located by hub id and revision or in a local mirror, loaded and scored by mteb."""

from __future__ import annotations

import dataclasses
import warnings as warnings_module
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.hub import datasets_cache, files_key, mirror_folder, snapshot
from instructor_eval.core.mteb import quiet_mteb
from instructor_eval.tasks.mteb.check import check_task
from instructor_eval.tasks.mteb.limit import limit_task
from instructor_eval.tasks.mteb.mirror_files import diagnose, literal_csv
from instructor_eval.tasks.mteb.scoring import score_task
from instructor_eval.tasks.task import Card, Outcome, RunSettings, TaskEncoder
from instructor_eval.tasks.values import refuse_if_strict


class MtebAdapter:
    """Tasks of mteb's registry."""

    def data_key(self, card: Card, settings: RunSettings) -> str:
        """Return a hash of the mirror's files if it has the data set, else hub id and revision.

        Raises:
            UserError: `--hub` is not a mirror.
        """
        folder = mirror_folder(settings.hub, str(card.data_id))
        return files_key(folder) if folder else f"hub:{card.data_id}@{card.data_revision}"

    def run(self, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Outcome:
        """Load the data through mteb and score it.

        Raises:
            UserError: the data cannot be had, or the model gives no usable vectors.
        """
        with quiet_mteb():
            task, warnings = self._load(card, settings)
            refuse_if_strict(card, warnings, strict=settings.strict)
            if settings.limit:
                limit_task(task, card, settings.limit)
            outcome = score_task(task, card, encoder, settings)
        return dataclasses.replace(outcome, warnings=warnings)

    def _load(self, card: Card, settings: RunSettings) -> tuple[Any, tuple[str, ...]]:
        folder = mirror_folder(settings.hub, str(card.data_id)) or snapshot(
            "dataset", str(card.data_id), card.data_revision, offline=settings.offline
        )
        folder = folder.resolve()
        import mteb  # four seconds

        subsets = None if card.subset == "default" else [card.subset]
        with warnings_module.catch_warnings():
            warnings_module.simplefilter("ignore")  # "superseded by ...": the benchmark is pinned on purpose
            task = mteb.get_task(card.name, eval_splits=[card.split], hf_subsets=subsets)
        # A copy: mteb shares one dictionary among all objects of a task.
        where = {**task.metadata.dataset, "path": str(folder), "revision": "local"}
        task.metadata = task.metadata.model_copy(update={"dataset": where})
        with datasets_cache(self.data_key(card, settings)), literal_csv():
            try:
                task.load_data()
            except Exception as e:  # from `datasets`, polars or a task's own code: the files are the cause
                raise _unreadable(folder, card, diagnose(folder, e)) from e
            try:
                return task, tuple(map(one_line, check_task(task, card, folder)))
            except ValueError as e:
                raise _unreadable(folder, card, one_line(str(e))[:300]) from e


def _unreadable(folder: Path, card: Card, why: str) -> UserError:
    return UserError(f"{folder} does not hold {card.data_id} as mteb reads it ({why})")
