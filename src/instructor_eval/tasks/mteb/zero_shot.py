"""mteb's own data of zero-shot classification: pictures, and candidate labels that are prompts already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from instructor_eval.core.mteb import quiet_mteb
from instructor_eval.core.pictures import Picture
from instructor_eval.tasks.mteb import load as mirror
from instructor_eval.tasks.mteb.picture_search import pictures_of
from instructor_eval.tasks.mteb.rows import split_of
from instructor_eval.tasks.mteb.table import Data
from instructor_eval.tasks.own.pictures import LabelledPictures
from instructor_eval.tasks.task import Card, RunSettings


def labelled(card: Card, settings: RunSettings) -> tuple[LabelledPictures, list[Picture], tuple[str, ...]]:
    """Return the classes of a task of mteb, its pictures, and warnings.

    Raises:
        UserError: the data cannot be had, or does not fit the task.
    """
    with quiet_mteb():
        task, warnings = mirror.load(card, settings, check)
        rows = split_of(task, card)
        if settings.limit:
            rows = rows.select(range(min(settings.limit, len(rows))))
        prompts = [str(label) for label in task.get_candidate_labels()]
        classes = _named(prompts)
        places = _places(task, rows, prompts)
        pictures = list(pictures_of(rows, task.input_column_name))
    names = [f"{card.split}/{number}" for number in range(len(rows))]
    found = LabelledPictures(
        names=names, labels=[classes[place] for place in places], classes=dict(zip(classes, prompts, strict=True))
    )
    return found, pictures, warnings


def check(task: Any, card: Card, data: Data) -> Iterable[str]:
    """Check that a loaded task has pictures, and labels that its candidates know.

    Raises:
        ValueError: something is missing or wrong.
    """
    table = data.table(card.split)
    table.pictures(task.input_column_name)
    table.column(task.label_column_name)
    _places(task, table.rows, [str(label) for label in task.get_candidate_labels()])
    return ()


def _places(task: Any, rows: Any, candidates: Sequence[str]) -> list[int]:
    """Return the place of each row's label among the candidates: labels are places, or candidates themselves.

    Raises:
        ValueError: one is neither.
    """
    known = {label: place for place, label in enumerate(candidates)} | {i: i for i in range(len(candidates))}
    labels = list(rows[task.label_column_name])
    strange = next((label for label in labels if label not in known), None)
    if strange is not None:
        raise ValueError(f"label {strange!r:.60} in '{task.label_column_name}' is none of {len(candidates)} candidates")
    return [known[label] for label in labels]


def _named(prompts: list[str]) -> list[str]:
    """Return a name for each class: its prompt, with its number behind it where another class has the same."""
    return [f"{prompt} ({i})" if prompts.count(prompt) > 1 else prompt for i, prompt in enumerate(prompts)]
