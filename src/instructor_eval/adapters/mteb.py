"""MTEB's own tasks: located by hub id and revision or in a local mirror, loaded and scored by mteb."""

from __future__ import annotations

import warnings
from typing import Any

from instructor_eval.adapters.mteb_check import check_task
from instructor_eval.adapters.mteb_limit import limit_task
from instructor_eval.adapters.mteb_score import quiet_mteb, score_task
from instructor_eval.errors import UserError, one_line
from instructor_eval.hub import datasets_cache, files_key, mirror_folder, snapshot
from instructor_eval.types import Card, Outcome, RunSettings, TaskEncoder


class MtebAdapter:
    """Tasks of mteb's registry."""

    def data_key(self, card: Card, settings: RunSettings) -> str:
        """A hash of the mirror's files where it has the data set, else hub id and revision.

        Raises:
            UserError: `--hub` names no mirror.
        """
        folder = mirror_folder(settings.hub, str(card.data_id))
        return files_key(folder) if folder else f"hub:{card.data_id}@{card.data_revision}"

    def run(self, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Outcome:
        """Load the data through mteb and score it.

        Raises:
            UserError: the data cannot be had, or the model gives no usable vectors.
        """
        with quiet_mteb():
            task = self._load(card, settings)
            if settings.limit:
                limit_task(task, card, settings.limit)
            return score_task(task, card, encoder, settings)

    def _load(self, card: Card, settings: RunSettings) -> Any:
        folder = mirror_folder(settings.hub, str(card.data_id)) or snapshot(
            "dataset", str(card.data_id), card.data_revision, offline=settings.offline
        )
        import mteb  # four seconds
        from datasets.exceptions import DatasetsError

        subsets = None if card.subset == "default" else [card.subset]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "superseded by ...": the benchmark is pinned on purpose
            task = mteb.get_task(card.name, eval_splits=[card.split], hf_subsets=subsets)
        # A copy: mteb shares one dictionary among all objects of a task.
        where = {**task.metadata.dataset, "path": str(folder.resolve()), "revision": "local"}
        task.metadata = task.metadata.model_copy(update={"dataset": where})
        with datasets_cache(self.data_key(card, settings)):
            try:
                task.load_data()
                check_task(task, card)
            except (DatasetsError, ValueError, LookupError, TypeError, OSError, StopIteration) as e:
                why = one_line(str(e.__cause__ or e))[:200] or "a file is empty"
                raise UserError(f"{folder} does not hold {card.data_id} as mteb reads it ({why})") from e
        return task
