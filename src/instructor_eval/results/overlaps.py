"""Which texts of tasks stood in the training data of a model, as `evaluate overlap` files it."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from instructor_eval.core.outside import read_json
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.models.description import TRAINED_ON

FOLDER = "overlaps"
_NOTE = re.compile(rf"{TRAINED_ON}(.*) \(SHA-256 ([0-9a-f]{{64}})\)", re.DOTALL)


def write(results: Path, sha256: str, threshold: float, shares: Sequence[Any]) -> Path:
    """File the shares of one training file, those of other tasks that were filed before beside them."""
    folder = results / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{sha256}.json"
    found = {(share["task"], share["role"]): share for share in _read(path)}
    for share in shares:
        found[share.task, share.role] = {**dataclasses.asdict(share), "threshold": threshold}
    content = json.dumps({"schema_version": 1, "sha256": sha256, "shares": list(found.values())}, indent=1)
    atomic_write(path, lambda file: file.write(content.encode()))
    return path


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        shares = read_json(path)["shares"]
        return [
            {**share, "texts": int(share["texts"]), "found": int(share["verbatim"]) + int(share["near"])}
            for share in shares
            if isinstance(share["task"], str) and isinstance(share["role"], str) and int(share["texts"]) > 0
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def marks(results: Path, rows: Iterable[tuple[str, Iterable[str], Iterable[str]]]) -> list[str]:
    """Return a sentence for each row whose model was trained on a file that holds texts of its tasks.

    Args:
        results: The results folder.
        rows: A row's label, the notes of its scores, and its tasks.
    """
    lines = []
    for label, notes, tasks in rows:
        for file, sha256 in dict.fromkeys(m.groups() for note in notes if (m := _NOTE.fullmatch(note))):
            shares = [s for s in _read(results / FOLDER / f"{sha256}.json") if s["task"] in set(tasks) and s["found"]]
            if shares:
                parts = ", ".join(f"{100 * s['found'] / s['texts']:.1f} % of {s['task']} ({s['role']})" for s in shares)
                lines.append(f"{label} was trained on {file}, which holds {parts}")
    return lines
