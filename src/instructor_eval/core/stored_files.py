"""Results that anyone may have written: what `outside` says of a file holds, and JSON has the bounds of ours.

A number of 400 digits is no float, and lists a thousand deep end every recursion. All results, baselines, gates and
statistics are read here.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from instructor_eval.core import outside
from instructor_eval.core.errors import DamagedFileError, UserError, reason

LARGEST = 64 * 2**20
"""Bytes of a JSON file: a baseline of every task takes a thousandth of it."""
_DEEPEST = 40
_DIGITS = 18
"""Of a whole number: more is no count, no seed and no time."""


def read_json(path: Path, most: int = LARGEST) -> Any:
    """Return the value in a JSON file. NaN and infinities, which JSON does not have, are read as Python writes them.

    Raises:
        OSError: it cannot be read; see `read_bytes`.
        ValueError: it is no JSON, or names a key twice, nests deeper than `_DEEPEST`, or has a number too long.
    """
    return parse_json(outside.read_bytes(path, most))


def parse_json(content: bytes | str) -> Any:
    """Return the value that JSON text stands for.

    Raises:
        ValueError: see `read_json`.
    """
    text = content if isinstance(content, str) else content.removeprefix(codecs.BOM_UTF8).decode()
    value = outside.parse_json(text, parse_int=_whole, object_pairs_hook=_unique)
    _check_depth(value)
    return value


def read_record(path: Path, kind: str, versions: Sequence[int], step: str) -> tuple[bytes, dict[str, Any]]:
    """Return the bytes of a record that we filed as a JSON object, and the object.

    Args:
        path: The file.
        kind: What it is, as "score file".
        versions: The values of `schema_version` that are read; the last is today's.
        step: How to get it again, as "run the task again".

    Raises:
        DamagedFileError: it cannot be read, or is no JSON.
        UserError: its schema version is unknown, or this user may not read it.
    """
    try:
        content = outside.read_bytes(path)
        raw = parse_json(content)
    except (OSError, ValueError) as e:
        refuse_forbidden(path, e)
        raise DamagedFileError(f"{path}: not a readable {kind} ({outside.why(e)}): delete it and {step}") from e
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version not in versions or isinstance(version, bool | float):
        raise UserError(
            f"{path}: schema version {version!r} is not {versions[-1]}: it was written by another version of "
            f"instructor-eval, use that one or another --results folder, or delete it and {step}"
        )
    return content, raw


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > _DIGITS:
        raise ValueError(f"a number of {len(digits.lstrip('-')):,} digits")
    return int(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:60]!r} is there twice")
    return found


def _check_depth(value: Any) -> None:
    """Refuse what our own recursions, and those of others, would not get through."""
    level, depth = [value], 0
    while level:
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        inner = (v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list))
        level = [v for values in inner for v in values if isinstance(v, dict | list)]
        depth += 1


def refuse_forbidden(path: Path, e: Exception) -> None:
    """Say of a file that this user may not read just that: it may be whole, so that nothing has to be made again.

    Raises:
        UserError: `e` says so.
    """
    if isinstance(e, PermissionError):
        raise _forbidden(path, e) from e


def _forbidden(path: Path | str, e: OSError) -> UserError:
    return UserError(f"{path}: {reason(e)}: let this user read it, or name another folder")


def files_below(folder: Path, suffix: str = "") -> list[Path]:
    """Return the paths below a folder that end in `suffix`, sorted; nothing where there is no folder.

    Links to folders are not followed. What is no file is named too: reading it says what it is.

    Raises:
        UserError: a folder in it cannot be looked into: what is in there must not count as missing.
    """

    def fail(e: OSError) -> None:
        raise _forbidden(e.filename, e) from e

    if not is_folder(folder):
        return []
    found: list[Path] = []
    for at, folders, names in os.walk(folder, onerror=fail):
        found += (Path(at, name) for name in (*folders, *names) if name.endswith(suffix))
    return sorted(path for path in found if suffix or not path.is_dir())


def is_folder(path: Path) -> bool:
    """Return whether there is a folder, or a link to one.

    Raises:
        UserError: this user may not know.
    """
    try:
        return path.is_dir()
    except OSError as e:
        raise _forbidden(path, e) from e


def names_in(folder: Path) -> Iterator[Path]:
    """Yield what a folder holds, sorted; nothing where there is none.

    Raises:
        UserError: it cannot be looked into.
    """
    if not is_folder(folder):
        return
    try:
        yield from sorted(folder.iterdir())
    except OSError as e:
        raise _forbidden(folder, e) from e
