"""The layout of a card's file: a record for each task type, by which YAML is parsed and docs/schemas/ are made."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType, defstruct

from instructor_eval.core.schema import WrongValue, optional_record
from instructor_eval.core.values import FAMILIES
from instructor_eval.tasks.types import TYPES
from instructor_eval.tasks.types.base import Name

LONGEST_INSTRUCTION = 100_000
"""Characters of an instruction at most: no model reads more, and every score file would have them."""
_LONGEST_PATH = 4096

Path = Annotated[str, Meta(min_length=1, max_length=_LONGEST_PATH)]
Words = Annotated[list[str], Meta(min_length=1, max_length=2, description="[text type] or [text type, objective]")]
Instruction = Annotated[str, Meta(max_length=LONGEST_INSTRUCTION)]


class DataFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The place of a task's data: a folder, or a data set's id on a hub."""

    folder: Path | None = None
    id: Name | None = None
    revision: Name | None = None
    mirror: Name | None = None

    def __post_init__(self) -> None:
        if (self.id is None) == (self.folder is None):
            raise WrongValue((), "give either a folder or an id")
        if self.folder is not None and (self.revision is not None or self.mirror is not None):
            raise WrongValue((), "a folder has no revision and no mirror")
        if self.folder is not None:
            _check_path(("folder",), self.folder)
        for key in ("id", "revision", "mirror"):
            _check_name(key, getattr(self, key))


class CardFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The fields of every task's card."""

    name: Name
    type: str
    data: Path | DataFile | UnsetType = UNSET
    """A folder's path is short for `{folder: PATH}`."""
    benchmark: Name | UnsetType = UNSET
    metric: Name | UnsetType = UNSET
    split: Name = "test"
    subset: Name = "default"
    domain: Name | UnsetType = UNSET
    """Its subject, for `evaluate study domains`: medical, news, ..."""
    show_texts: bool = False
    """True where the data's licence lets its texts stand in a page (`evaluate report --texts`)."""
    template: Any = UNSET
    instructions: Any = UNSET
    parts: tuple[str, ...] = ()
    part_of: Name | UnsetType = UNSET
    options: Any = UNSET
    notes: tuple[str, ...] = ()
    source: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        for key in ("name", "benchmark", "metric", "split", "subset", "domain", "part_of"):
            _check_name(key, getattr(self, key))
        for key in ("split", "subset"):
            value = getattr(self, key)
            if value in (".", "..") or "/" in value or "\\" in value:
                raise WrongValue(key, f"'{value}' cannot be part of a file's name")
        if self.parts and self.data is not UNSET:
            raise WrongValue("data", "a task has either parts or data of its own")
        if not self.parts and self.data is UNSET:
            raise WrongValue("data", "it is missing: expected a folder, or {id: ..., revision: ...}")
        if isinstance(self.data, str):
            _check_path(("data",), self.data)
        self._check_instructions()

    def _check_instructions(self) -> None:
        for role, entries in given(self.instructions).items():
            for key in entries if isinstance(entries, dict) else ():
                if "/" not in key and key not in ("default", *FAMILIES):
                    expected = "expected a model id (org/name), a family, or default as the key"
                    raise WrongValue(("instructions", role, key), expected)


class CardsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of several cards."""

    tasks: Annotated[list[dict[Any, Any]], Meta(min_length=1)]
    benchmark: Name | UnsetType = UNSET
    """The default of its cards."""
    source: str = ""


def _check_name(key: str, value: str | UnsetType | None) -> None:
    if not isinstance(value, str):
        return
    if not value.strip():
        raise WrongValue(key, "expected a text, it is empty")
    if not value.isprintable():
        raise WrongValue(key, "it has line breaks or other characters that cannot be printed")


def _check_path(keys: tuple[str, ...], text: str) -> None:
    if not text.strip():
        raise WrongValue(keys, "expected a text, it is empty")
    if "\0" in text:
        raise WrongValue(keys, f"{text[:60]!r} cannot be a folder's name")


def given(record: object) -> dict[str, Any]:
    """Return a record's fields that the file has."""
    fields = msgspec.structs.asdict(record) if isinstance(record, msgspec.Struct) else {}
    return {key: value for key, value in fields.items() if value is not None and value is not UNSET}


@cache
def shape_of(type_: str) -> type[CardFile]:
    """Return the record of a type's cards: its roles, options and columns are the keys that they can have."""
    kind = TYPES[type_]
    template = optional_record(f"{type_}Template", {"domain": str, **dict.fromkeys(kind.wording, str | Words)})
    instructions = dict.fromkeys(kind.wording, Instruction | dict[str, Instruction])
    options = kind.options()
    fields: list[Any] = [
        ("type", Literal[type_]),
        ("template", template | UnsetType, UNSET),
        ("instructions", optional_record(f"{type_}Instructions", instructions) | UnsetType, UNSET),
        ("options", options) if kind.is_prompted else ("options", options | UnsetType, UNSET),
    ]
    made = defstruct(f"{type_}Card", fields, bases=(CardFile,), frozen=True, forbid_unknown_fields=True, kw_only=True)
    return cast(type[CardFile], made)
