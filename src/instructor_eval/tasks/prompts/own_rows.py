"""Checks of a user's prompt-retrieval rows before anything is made of them; errors have file, line, column, value."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.labels import unseen
from instructor_eval.tasks.prompts.files import Split
from instructor_eval.tasks.prompts.recipe import Recipe, fields_of
from instructor_eval.tasks.values import MISSING, absent, count, name_of

PlaceOf = Callable[[str, int], str]
"""(split's name, row's number in it from 0) -> the file with its line or row."""


def check_rows(recipe: Recipe, pool: Split, test: Split, place_of: PlaceOf, *, numbers: bool) -> list[str]:
    """Check every text and label that prompts are made of.

    Args:
        recipe: The recipe of prompts.
        pool: The rows of the pool.
        test: The test rows.
        place_of: The place of a row; called only for an error, and once for each warning.
        numbers: A number may be used as a text.

    Returns:
        Warnings for the data's owner, a line each.

    Raises:
        UserError: a text is null, NaN, a list or a number; a label is not one of the card's; every text is empty.
    """
    warnings: list[str] = []
    shown = (recipe.input, recipe.embed, *(() if recipe.has_options else (recipe.output,)))
    labels: dict[str, Counter[str]] = {}
    for split, templates in ((pool, shown), (test, (*shown, recipe.query, recipe.preamble))):
        wanted = list(dict.fromkeys(field for template in templates for field in fields_of(template)))
        for field, place in wanted:
            warnings += _check_column(split, field, place, place_of, numbers=numbers)
        if recipe.has_options:
            labels[split.name] = Counter(_answer(recipe, split, i, place_of) for i in range(len(split.rows)))
    if recipe.labels is not None and pool.name != test.name:
        warnings += unseen(labels[pool.name], labels[test.name], pool.name, test.name, counts="no example shows it")
    return warnings


def check_centre(recipe: Recipe, texts: set[str]) -> None:
    """Refuse test items that are all one text: nothing is left of them without their mean.

    Args:
        recipe: The recipe of the ranking.
        texts: The different texts that are embedded.

    Raises:
        UserError: they are all one text.
    """
    if recipe.centre == "both" and len(texts) < 2:
        raise UserError(
            f"task {recipe.task}: every test item is the same text, so nothing is left of it without the "
            "mean: give more test items, or set options.centre to pool in the card"
        )


def _check_column(
    split: Split, field: str, place: int | None, place_of: PlaceOf, *, numbers: bool
) -> list[str]:  # fmt: skip
    column = field if place is None else f"{field}.{place}"
    texts = [_text(split, i, field, place, place_of, numbers=numbers) for i in range(len(split.rows))]
    empty = [i for i, text in enumerate(texts) if not text.strip()]
    if texts and len(empty) == len(texts):
        raise UserError(f"{place_of(split.name, 0)}: every '{column}' is empty")
    missing = [i for i, text in enumerate(texts) if text in MISSING]
    found = []
    for places, *what in ((empty, "empty text"), (missing, "word for a missing value", "words for a missing value")):
        if places:
            first = place_of(split.name, places[0]).rpartition("/")[2]
            found.append(f"{split.name}: {count(len(places), *what)} in '{column}' (the first in {first})")
    return found


def _text(split: Split, i: int, field: str, place: int | None, place_of: PlaceOf, *, numbers: bool) -> str:
    """Return a row's text, or raise an error with its place."""
    row = split.rows[i]
    if field not in row:
        raise UserError(f"{place_of(split.name, i)}: {absent(row, field)}")
    value = row[field]
    column = field if place is None else f"{field}.{place}"
    if place is not None:
        if not isinstance(value, list) or place >= len(value):
            raise UserError(f"{place_of(split.name, i)}: '{field}' should be a list of {place + 1} or more")
        value = value[place]
    is_number = numbers and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not isinstance(value, str) and not is_number:
        raise UserError(f"{place_of(split.name, i)}: {name_of(value)} in '{column}': it should be a text")
    return str(value)


def _answer(recipe: Recipe, split: Split, i: int, place_of: PlaceOf) -> str:
    """Return a row's right answer, or raise an error with its place."""
    row = split.rows[i]
    if "label" not in row:
        raise UserError(f"{place_of(split.name, i)}: {absent(row, 'label')}")
    value = row["label"]
    if value is None or isinstance(value, list | dict) or (isinstance(value, float) and not math.isfinite(value)):
        raise UserError(f"{place_of(split.name, i)}: {name_of(value)} in 'label': it should be a label")
    if not str(value).strip():
        raise UserError(f"{place_of(split.name, i)}: an empty label in 'label'")
    try:
        return recipe.answer(row, f"{split.name}/{i}")
    except UserError as e:
        raise UserError(f"{place_of(split.name, i)}: {e}") from e
