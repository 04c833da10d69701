"""Scores and their records as files have them: read and checked, written, and shown field by field."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from instructor_eval.core.escapes import finite
from instructor_eval.results.score import Score

OPTIONAL = ("reader", "search", "embedding", "cost")
"""Records that are empty in a file where they do not apply to the task."""
T = TypeVar("T")


def record(kind: type[T], raw: Mapping[str, Any]) -> T:
    """Return a record of what a mapping says; names that it does not know are left out.

    Raises:
        msgspec.ValidationError: a value is of another kind, too large or too long, or missing; it names the field.
    """
    return msgspec.convert(raw, kind)


def read(raw: Mapping[str, Any]) -> Score:
    """Return the score in a file of schema version 1 or 2, as JSON was parsed.

    A score that is no number (NaN, an infinity) stands for a task that failed: it is None.

    Raises:
        ValueError: it is not one; the text names the field.
    """
    raw = {name: None if name in OPTIONAL and value == {} else value for name, value in raw.items()}
    numbers: dict[str, Any] = {name: finite(raw[name]) for name in ("score", "metrics") if name in raw}
    score = record(Score, {**raw, **numbers})
    if not score.identity.isprintable():
        raise ValueError("identity cannot be a part of a file's name")
    return score


def written(score: Score) -> dict[str, Any]:
    """Return a score as its file has it: what does not apply to the task is empty."""
    fields: dict[str, Any] = plain(score)
    return {name: {} if name in OPTIONAL and value is None else value for name, value in fields.items()}


def plain(value: Any) -> Any:
    """Return a record as JSON has it."""
    return msgspec.to_builtins(value)


def names_of(kind: type[Any]) -> list[str]:
    """Return the names of a record's fields."""
    return [f.name for f in dataclasses.fields(kind)]


def known(value: Any) -> dict[str, Any]:
    """Return what is known of a record, by name; of None nothing is."""
    fields = {} if value is None else {name: getattr(value, name) for name in names_of(type(value))}
    return {name: plain(found) for name, found in fields.items() if found not in (None, "")}
