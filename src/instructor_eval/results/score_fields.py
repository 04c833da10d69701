"""The kinds of a score's fields, checked where a file is read: no reader meets a list where it expects a name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from instructor_eval.results.score import Score

_LARGEST = 1e18
_LONGEST_NAME = 10_000
_LONGEST_IDENTITY = 200


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_NAME


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST


def _is_score(value: object) -> bool:
    """One that is no number (NaN, an infinity) stands in tables as a task that failed."""
    return value is None or _is_number(value) or (isinstance(value, float) and not math.isfinite(value))


def _each(kind: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, dict) and all(map(kind, value.values()))


def _or_none(kind: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or kind(value)


_KINDS: Mapping[str, Callable[[object], bool]] = {
    "str": _is_name,
    "str | None": _or_none(_is_text),
    "int": _is_count,
    "int | None": _or_none(_is_count),
    "float | None": _is_score,
    "dict[str, Any]": lambda value: isinstance(value, dict),
    "dict[str, str]": _each(_is_text),
    "dict[str, int]": _each(_is_number),
    "dict[str, float]": _each(_is_number),
    "list[str]": lambda value: isinstance(value, list) and all(map(_is_text, value)),
}
"""Annotation of a field of `Score` -> whether a value is of that kind."""
_METRICS = "metrics"


def check_fields(score: Score) -> None:
    """Make sure of what every reader relies on: fields are of their kinds, names are texts, an identity names a file.

    Raises:
        TypeError, LookupError: a field is not, or is missing.
    """
    for field in dataclasses.fields(score):
        kind = _each(_or_none(_is_score)) if field.name == _METRICS else _KINDS[str(field.type)]
        if not kind(getattr(score, field.name)):
            raise TypeError(f"{field.name} is of another kind than expected, or too large or too long")
    _check_identity(score.identity)
    _check_texts("model", score.model, "name", "family", "fingerprint", "variant")
    _check_texts("model", score.model, "revision", "base_fingerprint", needed=False)
    _check_texts("instructions", score.instructions, "set")
    if score.reader:
        _check_texts("reader", score.reader, "name", "fingerprint")
    if score.search:
        _check_texts("search", score.search, "backend")
    for name in ("hardware", "versions"):
        _check_mapping(f"environment: {name}", score.environment.get(name, {}))
    roles = score.instructions.get("roles", {})
    _check_mapping("instructions: roles", roles)
    for role, given in roles.items():
        _check_mapping(f"instructions: {role}", given)
        _check_texts(f"instructions: {role}", given, "text", "rule", needed=False)


def _check_mapping(what: str, value: object) -> None:
    if not isinstance(value, dict):
        raise TypeError(f"{what[:100]} is of another kind than expected")


def _check_identity(identity: str) -> None:
    """A file's name is made of it."""
    if not identity.isprintable() or "/" in identity or len(identity) > _LONGEST_IDENTITY:
        raise TypeError("identity cannot be a part of a file's name")


def _check_texts(what: str, where: Mapping[str, Any], *names: str, needed: bool = True) -> None:
    for name in names:
        value = where[name] if needed else where.get(name, "")
        if not _is_name(value):
            raise TypeError(f"{what[:100]}: {name} is of another kind than expected, or too long")
