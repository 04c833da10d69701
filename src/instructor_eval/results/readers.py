"""Names of readers: in tables, and by `--reader` where results are looked up. No reader is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from instructor_eval.core.errors import UserError
from instructor_eval.readers.contract import PAPER_READER
from instructor_eval.results.score import Reader, Score

Readers: TypeAlias = dict[str, Reader]
"""Fingerprint -> the reader."""


def readers_of(scores: Iterable[Score]) -> Readers:
    """Those that answered these scores' prompts."""
    return {s.reader.fingerprint: s.reader for s in scores if s.reader}


def reader_label(reader: Reader) -> str:
    """Return a reader's name in tables, with the numeric form where that is not float32."""
    return reader.name if reader.dtype in (None, "float32") else f"{reader.name} ({reader.dtype})"


def default_reader(known: Readers) -> str | None:
    """The fingerprint of the one whose scores are shown unasked: `nearest`, or else the first by its label."""
    labels = {key: reader_label(reader) for key, reader in known.items()}
    return min(labels, key=lambda key: (labels[key] != "nearest", labels[key], key), default=None)


def find_reader(text: str, known: Readers) -> str:
    """The fingerprint of the reader that `text` names: by its label, its name or the fingerprint itself.

    Raises:
        UserError: none of them, or several.
    """
    name = PAPER_READER if text == "paper" else text
    labels = {key: reader_label(reader) for key, reader in known.items()}
    found = [key for key, label in labels.items() if name in (key, label)] or [
        key for key, reader in known.items() if name in (reader.name, reader.name.partition("#")[0])
    ]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(sorted(f"{labels[key]} ({key})" for key in found or known))
    if found:
        raise UserError(f"--reader {text[:100]}: several readers go by that name, {listed}: give the fingerprint")
    there = f"there are {listed}" if listed else "there are no such results yet"
    raise UserError(f"--reader {text[:100]}: no prompt-retrieval result was answered by it: {there}")
