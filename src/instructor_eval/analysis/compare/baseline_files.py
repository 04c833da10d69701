"""The files of a baseline: manifests and items with their checksums, written whole, read as they were written or not.

`baselines.py` has the layout and what goes in.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from instructor_eval.analysis.compare.compact import from_parquet, to_parquet
from instructor_eval.core.errors import UserError, reason
from instructor_eval.core.outside import read_bytes, why
from instructor_eval.core.paths import file_sha256, slug
from instructor_eval.core.stored_files import read_json, refuse_forbidden
from instructor_eval.core.values import Items
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.results import probe
from instructor_eval.results.items_files import LARGEST
from instructor_eval.results.score import Score

SCHEMA_VERSION = 2
_READ = (1, SCHEMA_VERSION)
"""Versions that are read."""
LAST, PINNED = "last", "pinned"
KIND = "instructor-eval baseline"
ITEMS = "items"
_FILE = re.compile(r"[A-Za-z0-9._-]+\.[0-9a-f]{12}\.parquet")
_UNREADABLE = (OSError, ValueError, KeyError, RuntimeError)
"""Errors of reading an items file, pyarrow's among them."""


def manifest_path(folder: Path, which: str) -> Path:
    """Return the path of a baseline's `last` or `pinned` manifest."""
    return folder / f"{which}.json"


def read_manifest(path: Path) -> dict[str, Any]:
    """A manifest whose checksum holds.

    Raises:
        UserError: it is missing, of another version, or not as it was written.
    """
    try:
        raw = read_json(path)
    except FileNotFoundError as e:
        raise UserError(f"{path}: no such baseline: make it with `evaluate baseline set SIDE`") from e
    except (OSError, ValueError) as e:
        refuse_forbidden(path, e)
        raise UserError(f"{path}: edited by hand or damaged ({why(e)}): {again(path)}") from e
    if not isinstance(raw, dict) or raw.get("kind") != KIND:
        raise UserError(f"{path}: not a baseline: make one with `evaluate baseline set SIDE`")
    if raw.get("schema_version") not in _READ:
        raise UserError(
            f"{path}: schema version {raw.get('schema_version')!r} is not {SCHEMA_VERSION}: it was written by another "
            "version of instructor-eval, use that one or set the baseline again"
        )
    content = {key: value for key, value in raw.items() if key != "checksum"}
    if raw.get("checksum") != _checksum(content):
        raise UserError(f"{path}: edited by hand or damaged, its checksum does not hold: {again(path)}")
    return raw


def write_manifest(folder: Path, content: Mapping[str, Any], names: Sequence[str]) -> None:
    """Write a manifest with its checksum, under each of these names.

    Raises:
        OSError: the folder cannot be written.
    """
    text = _text({**content, "checksum": _checksum(content)})
    for which in names:
        atomic_write(manifest_path(folder, which), lambda f: f.write(text))


def is_same(path: Path, manifest: Mapping[str, Any]) -> bool:
    """Return whether a manifest that is there says the same, whenever it was written."""
    try:
        there = read_manifest(path)
    except UserError:
        return False  # it is replaced
    return bool({k: v for k, v in there.items() if k not in ("created", "checksum")} == json.loads(_text(manifest)))


def clean(target: Path) -> None:
    """Remove the items and probes that neither manifest names."""
    named, probes = set(), set()
    for path in (manifest_path(target, LAST), manifest_path(target, PINNED)):
        if path.is_file():
            for entry in read_manifest(path)["tasks"].values():
                named.add(entry["items"]["file"])
                probes.add(f"{entry.get('environment', {}).get('probe')}{probe.SUFFIX}")
    for file in (target / ITEMS).iterdir():
        if _FILE.fullmatch(file.name) and file.name not in named:
            file.unlink(missing_ok=True)
    for file in (target / "probes").rglob(f"*{probe.SUFFIX}"):
        if file.name not in probes:
            file.unlink(missing_ok=True)


def write_items(target: Path, score: Score, items: Items) -> dict[str, Any]:
    """Write an items file, if there is none that holds the same; what a manifest says of it.

    The same items written by another version of pyarrow are other bytes: git would keep them twice.
    """
    folder, task = target / ITEMS, slug(score.task)
    for path in sorted(p for p in folder.iterdir() if p.name.startswith(f"{task}.") and _FILE.fullmatch(p.name)):
        digest = file_sha256(path)
        if path.name == _name(task, digest) and _holds(path, score.metric, items):
            return {"file": path.name, "sha256": digest}
    content = to_parquet(items)
    digest = hashlib.sha256(content).hexdigest()
    atomic_write(folder / _name(task, digest), lambda f: f.write(content))
    return {"file": _name(task, digest), "sha256": digest}


def _name(task: str, digest: str) -> str:
    return f"{task}.{digest[:12]}.parquet"


def _holds(path: Path, metric: str, items: Items) -> bool:
    try:
        return bool(from_parquet(metric, read_bytes(path, LARGEST)) == items)
    except _UNREADABLE:
        return False


def items_path(manifest: Path, items: Mapping[str, Any]) -> Path:
    """The items file that an entry of a manifest names.

    Raises:
        LookupError, ValueError: it names none.
    """
    name = str(items["file"])
    if not _FILE.fullmatch(name):
        raise ValueError(f"'{name[:100]}' is no name of an items file")
    return manifest.parent / ITEMS / name


def read_verified(manifest: Path, task: str, file: Path, sha256: str) -> bytes:
    """An items file's content.

    Raises:
        UserError: it is missing, cut short or another.
    """
    try:
        content = read_bytes(file, LARGEST)
    except OSError as e:
        refuse_forbidden(file, e)
        raise UserError(f"{file}: the items of {task} are missing ({reason(e)}): {again(manifest)}") from e
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"{file}: the items of {task} are cut short or changed: {again(manifest)}")
    return content


def items_of(metric: str, manifest: Path, task: str, file: Path, sha256: str) -> Items:
    """The items in a file.

    Raises:
        UserError: it is missing, cut short or another, or holds none.
    """
    try:
        return from_parquet(metric, read_verified(manifest, task, file, sha256))
    except _UNREADABLE as e:
        raise UserError(f"{file}: no items of {task} ({e}): {again(manifest)}") from e


def again(manifest: Path) -> str:
    """Return the next step where a manifest is not whole."""
    if manifest.stem == PINNED:
        return "restore it from git, or delete it and `evaluate baseline pin` the last one"
    return "restore it from git, or set it again (`evaluate baseline set`)"


def _checksum(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _text(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, sort_keys=True, ensure_ascii=True, indent=1, allow_nan=False) + "\n").encode()
