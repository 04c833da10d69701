"""Hashes of values: the identity of a score, and the checksums by which every edit of a stored result shows.

A score file holds three:

    "items_sha256"   SHA-256 of the items file's bytes
    "sums"           a short hash of each field, and of each column of the items: they name what was edited
    "checksum"       the file's last entry: SHA-256 of its bytes above that line (`head -n -2 FILE | sha256sum`)

They find accidents and edits, not forgery: who changes a result may compute them again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import DamagedFileError
from instructor_eval.core.escapes import finite, json_text
from instructor_eval.core.stored_files import read_record
from instructor_eval.results.score import Score

ITEMS = "items."
"""The prefix of a column's name in `sums`."""
_FIELDS = ("items_sha256", "sums", "checksum")
_SIGN = b' "checksum": "'
_END = b"\n}\n"
_NAMED = 5


def identity(parts: object) -> str:
    """Return a hash (16 hex digits) of a value in its canonical form as JSON."""
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def identity_of(score: Score) -> str:
    """Return the hash of everything that changes a score's number, as far as it is known before its data is read."""
    data, reader, search = score.data, score.reader, score.search
    return identity(
        {
            "task": score.task,
            "type": score.type,
            "metric": score.metric_origin,
            "split": data.split,
            "subset": data.subset,
            "options": data.options,
            "fingerprint": score.model.fingerprint,
            "instructions": score.instructions.texts,
            "data": data.key,
            "protocol": score.protocol,
            "protocol_version": score.protocol_version,
            "seed": score.seed,
            "limit": score.limit,
            **({} if data.reading is None else {"reading": data.reading}),
            **({"reader": {"fingerprint": reader.fingerprint, "selection": reader.selection}} if reader else {}),
            **({"search": search.backend} if search else {}),
        }
    )


def sums_of(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the sum of each value by its name, `prefix` before it."""
    return {f"{prefix}{name}": identity(value) for name, value in values.items()}


def sealed(record: Mapping[str, Any]) -> bytes:
    """Return a score file's content: `record` as JSON, its fields' sums added to `sums`, its checksum in the last line.

    NaN and infinities are null.
    """
    plain = {name: finite(value) for name, value in record.items()}
    fields = {name: value for name, value in plain.items() if name != "sums"}
    plain["sums"] = sums_of(fields) | columns_in(record["sums"])
    head = json_bytes(plain).removesuffix(_END) + b",\n"
    return head + _SIGN + _sha256(head) + b'"' + _END


def columns_in(sums: Mapping[str, str]) -> dict[str, str]:
    """Return those of the sums that are of columns of the items."""
    return {name: value for name, value in sums.items() if name.startswith(ITEMS)}


def read_sealed(
    path: Path, kind: str, versions: Sequence[int], step: str, *, without_checksum: bool = False
) -> dict[str, Any]:
    """Return the record in a file that `sealed` wrote.

    Args:
        path: The file.
        kind: What it is, as "score file".
        versions: Schema versions that are read, today's last.
        step: How to get it again, as "run the task again".
        without_checksum: An earlier version had none, and is taken as it is.

    Raises:
        DamagedFileError: it cannot be read, or was edited.
        UserError: its schema version is unknown, or this user may not read it.
    """
    content, raw = read_record(path, kind, versions, step)
    edit = edit_in(content, raw) if without_checksum or "checksum" in raw else "checksum"
    if edit is not None:
        raise DamagedFileError(f"{path}: edited since it was filed ({edit}): restore it, or delete it and {step}")
    return raw


def edit_in(content: bytes, raw: Mapping[str, Any]) -> str | None:
    """Return what was edited in a score file since it was written, in words; None if nothing was.

    A file of an earlier version, which has no checksum, is taken as it is. Line ends that git changes are no edit.

    Args:
        content: The file's bytes.
        raw: The same as parsed.
    """
    head, sign, tail = content.replace(b"\r\n", b"\n").rpartition(_SIGN)
    if sign and tail == _sha256(head) + b'"' + _END:
        return None
    if not has_checksum(raw):
        return None
    sums = raw.get("sums")
    if not isinstance(sums, dict):
        return "sums"
    fields = {name: value for name, value in raw.items() if name not in ("sums", "checksum")}
    changed = _differing(sums_of(fields), {name: s for name, s in sums.items() if not name.startswith(ITEMS)})
    return changed or ("its checksum, or its spaces, order or doubled fields" if "checksum" in raw else "checksum")


def has_checksum(raw: Mapping[str, Any]) -> bool:
    """Return whether a score file says anything of checksums, which earlier versions did not."""
    return any(name in raw for name in _FIELDS)


def edit_in_items(items: Mapping[str, Any], sums: Mapping[str, str]) -> str:
    """Return which columns of an items file are not those that were filed, in words."""
    changed = _differing(sums_of(items, ITEMS), columns_in(sums)).replace(ITEMS, "")
    return changed or "not its values: written again by something else"


def _differing(found: Mapping[str, str], filed: Mapping[str, Any]) -> str:
    """Return the names whose sums differ, in words; what is missing or was added is said so."""
    names = [
        f"{name} is missing" if name not in found else f"{name} was added" if name not in filed else name
        for name in dict.fromkeys((*filed, *found))
        if found.get(name) != filed.get(name)
    ]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(name[:100] for name in names[:_NAMED]) + more


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def json_bytes(value: object) -> bytes:
    """Return `value` as JSON in UTF-8; NaN and infinities are null."""
    return f"{json_text(value)}\n".encode()
