"""Parse what a user's file holds into typed records; an error names the file, the line, the key and the next step.

A record is a `msgspec.Struct` with `forbid_unknown_fields`; its annotations are the schema, for the parser and for
`docs/schemas/`. A record's `__post_init__` raises `WrongValue` for what annotations cannot say.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from instructor_eval.core.errors import UserError, did_you_mean

T = TypeVar("T")
Keys = tuple[str, ...]
_KINDS = {
    "str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "a list",
    "object": "a mapping",
}  # fmt: skip
_NO_TEXT = "a key should be a text: put it in quotes"
_LISTED = 40
"""Known keys that an error lists at most."""


class WrongValue(ValueError):
    """A record's own rule is broken at one of its keys."""

    def __init__(self, keys: str | Keys, message: str) -> None:
        super().__init__(message)
        self.keys = (keys,) if isinstance(keys, str) else keys


@dataclass(frozen=True)
class Document:
    """A file's value, with the line of every key and list item."""

    file: Path
    value: Any
    lines: Mapping[Keys, int] = field(default_factory=dict)

    def error(self, keys: Keys, message: str, subject: str = "") -> UserError:
        """Return an error about one key: `FILE, line 3: task 'X': options.pool: ...`."""
        found = (self.lines.get(keys[:n]) for n in range(len(keys), 0, -1))
        line = next((n for n in found if n is not None), None)
        return UserError(f"{self.file}{f', line {line}' if line else ''}: {subject}{message}")

    def without_empty(self, *sections: str) -> Document:
        """Return the document without sections whose every line is a comment: YAML reads `margins:` as null."""
        return replace(self, value={} if self.value is None else _filled(self.value, sections))

    def parse(self, shape: type[T], keys: Keys = (), *, below: int = 0, subject: str = "") -> T:
        """Return the value below `keys` as a record.

        Args:
            shape: The record's class.
            keys: The way to the value.
            below: So many of `keys` are left out where an error names the key.
            subject: Words that an error puts before the key.

        Raises:
            UserError: it is not of that shape.
        """
        value = self.value
        for key in keys:
            value = value[int(key)] if isinstance(value, list) else value[key]
        try:
            return msgspec.convert(value, shape)
        except msgspec.ValidationError as e:
            found = _problem(e, value, shape)
            name = ".".join((*keys[below:], *found.keys))
            raise self.error(
                (*keys, *found.keys), f"{name[:200]}: {found.message}" if name else found.message, subject
            ) from e


def _filled(value: Any, sections: tuple[str, ...]) -> Any:
    if not isinstance(value, dict):
        return value
    filled = {k: v for k, v in value.items() if v is not None or k not in sections}
    return {k: _filled(v, sections) if k in sections else v for k, v in filled.items()}


def optional_record(name: str, fields: Mapping[str, Any]) -> type[msgspec.Struct]:
    """Return a record whose every field may be missing."""
    made = [(field, kind | msgspec.UnsetType, msgspec.UNSET) for field, kind in fields.items()]
    return msgspec.defstruct(name, made, frozen=True, forbid_unknown_fields=True)


@dataclass(frozen=True)
class _Problem:
    keys: Keys
    message: str


def _problem(error: msgspec.ValidationError, value: Any, shape: Any) -> _Problem:
    """Return the place of an error and its words; msgspec names neither a mapping's key nor the value found."""
    text, at, path = str(error).rpartition(" - at ")
    text, path = (text, path) if at else (path, "`$`")
    is_key = path.startswith("`key` in ")
    steps = re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path)
    keys: list[Any] = []
    node = value
    for name, place in steps:
        step: Any = name or place
        if place == "...":
            step = next(k for k in node if _fails(value, shape, keys, {k: node[k]}, path))
        elif place:
            step = int(place)
        keys.append(step)
        node = node[step]
    if is_key:
        culprit = next(k for k in node if _fails(value, shape, keys, {k: node[k]}, path))
        known = [
            n for b in _branches(_kind_at(inspect.type_info(shape), keys)) for n in _names(getattr(b, "key_type", b))
        ]
        wrong = f"unknown key{_hint(culprit, tuple(known))}" if known and isinstance(culprit, str) else _NO_TEXT
        return _Problem(_texts([*keys, culprit]), wrong)
    if isinstance(error.__cause__, WrongValue):
        return _Problem(_texts([*keys, *error.__cause__.keys]), str(error.__cause__))
    kind = _kind_at(inspect.type_info(shape), keys)
    unknown = re.match(r"Object contains unknown field `(.*)`$", text, re.DOTALL)
    missing = re.match(r"Object missing required field `(.*)`$", text)
    if unknown:
        return _Problem(_texts([*keys, unknown[1]]), f"unknown key{_hint(unknown[1], _names(kind))}")
    if missing:
        return _Problem(_texts([*keys, missing[1]]), "it is missing")
    return _Problem(_texts(keys), _say(text, node, kind))


def _texts(keys: list[Any]) -> Keys:
    return tuple(str(key)[:100] for key in keys)


def _fails(value: Any, shape: Any, keys: list[Any], only: dict[Any, Any], path: str) -> bool:
    """Return whether the same error comes if the mapping at `keys` holds one entry only."""

    def put(node: Any, rest: list[Any]) -> Any:
        if not rest:
            return only
        if isinstance(node, list):
            return [put(x, rest[1:]) if i == rest[0] else x for i, x in enumerate(node)]
        return {k: put(x, rest[1:]) if k == rest[0] else x for k, x in node.items()}

    try:
        msgspec.convert(put(value, keys), shape)
    except msgspec.ValidationError as e:
        return str(e).endswith(path)
    return False


def _kind_at(kind: inspect.Type, keys: list[Any]) -> inspect.Type:
    """Return the type of what stands below `keys`."""
    for key in keys:
        for branch in _branches(kind):
            if isinstance(branch, inspect.StructType):
                kind = next((f.type for f in branch.fields if f.encode_name == key), kind)
            elif isinstance(branch, inspect.DictType) and isinstance(key, str):
                kind = branch.value_type
            elif isinstance(branch, inspect.ListType | inspect.VarTupleType) and isinstance(key, int):
                kind = branch.item_type
    return kind


def _branches(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    if isinstance(kind, inspect.Metadata):
        return _branches(kind.type)
    return tuple(b for t in kind.types for b in _branches(t)) if isinstance(kind, inspect.UnionType) else (kind,)


def _names(kind: inspect.Type) -> tuple[str, ...]:
    """Return the keys that a record has, or the texts that a value may be."""
    for branch in _branches(kind):
        if isinstance(branch, inspect.StructType):
            return tuple(f.encode_name for f in branch.fields)
        if isinstance(branch, inspect.LiteralType):
            return tuple(str(v) for v in branch.values)
    return ()


def _hint(name: str, known: tuple[str, ...]) -> str:
    return did_you_mean(name, known) or f": known are {', '.join(known[:_LISTED])}"


def _say(text: str, value: Any, kind: inspect.Type) -> str:
    """Return msgspec's message in plain words."""
    if text.startswith("Invalid enum value"):
        return f"unknown value {_short(value)}{_hint(str(value), _names(kind))}"
    wanted = re.match(r"Expected `([^`]*)`(.*)", text)
    if wanted is None and text != "Number out of range":
        return text
    for branch in _branches(kind) if isinstance(value, int | float) and not isinstance(value, bool) else ():
        if isinstance(branch, inspect.IntType | inspect.FloatType) and (branch.ge is not None or branch.le is not None):
            low, high = branch.ge, branch.le
            bounds = f"at least {low:g}" if high is None else f"from {low or 0:g} to {high:g}"  # no type has only a top
            if not isinstance(value, float) or isinstance(branch, inspect.FloatType):
                return f"{_short(value)} is not {bounds}{_unit(kind)}"
    if wanted is None:
        return f"{_short(value)} is too large"
    if " of length " in wanted[2] and isinstance(value, str | list):
        what = "a text" if isinstance(value, str) else "a list"
        most = wanted[2].split()[-1] if "<=" in wanted[2] else ""
        one = "characters" if isinstance(value, str) else "values"
        return (
            f"expected at most {int(most):,} {one}, it has {len(value):,}" if most else f"expected {what}, it is empty"
        )
    kinds = [_KINDS.get(name, name) for name in wanted[1].split(" | ") if name != "null"]
    return f"expected {' or '.join(kinds)}, found {_found(value)}{_quotes(value, kinds)}"


def _unit(kind: inspect.Type) -> str:
    """Return the description of an annotated number, in brackets."""
    extra = kind.extra_json_schema if isinstance(kind, inspect.Metadata) else None
    return f" ({extra['description']})" if extra and "description" in extra else ""


def _quotes(value: object, kinds: list[str]) -> str:
    """Return the hint about quotes: YAML reads `yes` and `1.0` as no texts, and `1e-4` as one."""
    if "a text" in kinds and value is not None and not isinstance(value, list | dict):
        return ": put it in quotes"
    if "a number" not in kinds or not isinstance(value, str):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    if math.isfinite(number) and "e" not in repr(number):
        return f": write {number!r} without quotes"
    return ": write it with a decimal point and without quotes, as 1.0e-4"


def _short(value: object) -> str:
    """Return `value` for a message: a number of thousands of digits has no decimal text in Python."""
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of more than 70 digits"
    return reprlib.repr(value)


def _found(value: object) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {_short(value)}"
