"""Checked values of a card: each error names file, task and key."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError, did_you_mean

LONGEST_NAME = 200


class Where:
    """The place of a card, file and task: it checks values, and its errors name file, task and key."""

    def __init__(self, file: Path, task: str) -> None:
        self.file, self.task = file, task

    def error(self, key: str, message: str) -> UserError:
        """Return an error about one key."""
        return UserError(f"{self.file}: task '{self.task}': {key}: {message}")

    def text(self, raw: Mapping[str, Any], key: str, default: str | None = None) -> str:
        """Return a text."""
        value = raw.get(key, default)
        if not isinstance(value, str):
            found = f"found {type(value).__name__} {reprlib.repr(value)}, put it in quotes"
            raise self.error(key, f"expected a text, {'it is missing' if value is None else found}")
        return value

    def name(self, raw: Mapping[str, Any], key: str, default: str | None = None) -> str:
        """Return a text that fits tables and file names."""
        value = self.text(raw, key, default)
        if not value.strip() or len(value) > LONGEST_NAME:
            raise self.error(key, f"expected 1 to {LONGEST_NAME} characters, it has {len(value):,}")
        if not value.isprintable():
            raise self.error(key, "it has line breaks or other characters that cannot be printed")
        return value

    def file_name(self, raw: Mapping[str, Any], key: str, default: str) -> str:
        """Return a text that can be part of a file's name and cannot name another folder."""
        value = self.name(raw, key, default)
        if value in (".", "..") or "/" in value or "\\" in value:
            raise self.error(key, f"'{value}' cannot be part of a file's name")
        return value

    def known(self, raw: Mapping[str, Any], keys: Iterable[str], at: str = "") -> None:
        """Refuse a key that is not one of these."""
        keys = tuple(keys)
        for key in raw:
            if key not in keys:
                close = difflib.get_close_matches(str(key)[:LONGEST_NAME], keys, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(keys)}"
                raise self.error(f"{at}{key}", f"unknown key: {hint}")

    def one_of(self, key: str, value: str, known: Iterable[str]) -> str:
        """Refuse a value that is not one of these, or return it."""
        known = tuple(known)
        if value not in known:
            hint = did_you_mean(value, known) or f": known are {', '.join(known[:12])}"
            raise self.error(key, f"unknown value '{value}'{hint}")
        return value

    def mapping(self, key: str, value: object) -> dict[str, Any]:
        """Return a mapping."""
        if not isinstance(value, dict):
            raise self.error(key, f"expected a mapping, found {type(value).__name__}")
        return value
