"""MTEB's own data: located by hub id and revision or in a local mirror, loaded by mteb."""

from __future__ import annotations

import warnings as warnings_module
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.hub import datasets_cache, files_key, mirror_folder, snapshot
from instructor_eval.core.progress import doing
from instructor_eval.tasks.mteb.mirror_files import diagnose, literal_csv
from instructor_eval.tasks.mteb.table import Data
from instructor_eval.tasks.task import Card, RunSettings


def data_key(card: Card, settings: RunSettings) -> str:
    """Return a hash of the mirror's files if it has the data set, else hub id and revision.

    Raises:
        UserError: `--hub` is not a mirror.
    """
    folder = mirror_folder(settings.hub, str(card.data_id))
    return files_key(folder) if folder else f"hub:{card.data_id}@{card.data_revision}"


def load(
    card: Card, settings: RunSettings, check: Callable[[Any, Card, Data], Iterable[str]]
) -> tuple[Any, tuple[str, ...]]:
    """Return a loaded task of mteb, and warnings for a reader of the score.

    Args:
        card: The card of the task.
        settings: The run's.
        check: Given the loaded task, returns warnings, or raises a ValueError.

    Raises:
        UserError: the data cannot be had, or `check` refuses it.
    """
    folder = mirror_folder(settings.hub, str(card.data_id)) or snapshot(
        "dataset", str(card.data_id), card.data_revision, offline=settings.offline
    )
    folder = folder.resolve()
    with doing("importing mteb"):
        import mteb  # four seconds

    subsets = None if card.subset == "default" else [card.subset]
    with warnings_module.catch_warnings():
        warnings_module.simplefilter("ignore")  # "superseded by ...": the benchmark is pinned on purpose
        task = mteb.get_task(card.name, eval_splits=[card.split], hf_subsets=subsets)
    # A copy: mteb shares one dictionary among all objects of a task.
    where = {**task.metadata.dataset, "path": str(folder), "revision": "local"}
    task.metadata = task.metadata.model_copy(update={"dataset": where})
    with datasets_cache(data_key(card, settings)), literal_csv():
        try:
            with doing(f"reading data of {card.name}"):
                task.load_data()
        except Exception as e:  # from `datasets`, polars or a task's own code: the files are the cause
            raise _unreadable(folder, card, diagnose(folder, e)) from e
        try:
            return task, tuple(map(one_line, check(task, card, Data(task, card, folder))))
        except ValueError as e:
            raise _unreadable(folder, card, one_line(str(e))[:300]) from e


def _unreadable(folder: Path, card: Card, why: str) -> UserError:
    return UserError(f"{folder} does not hold {card.data_id} as mteb reads it ({why})")
