"""Studies as they are filed: `studies/<kind>.<model>.json` of a results folder, read by `evaluate report`."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from instructor_eval.analysis.study.chunks import TaskChunks
from instructor_eval.analysis.study.domains import Domain
from instructor_eval.analysis.study.instructions import TaskStudy
from instructor_eval.core.errors import UserError, reason
from instructor_eval.core.outside import read_bytes
from instructor_eval.core.paths import slug
from instructor_eval.core.stored_files import files_below, parse_json
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.results.checksums import json_bytes
from instructor_eval.results.reading import plain, record
from instructor_eval.results.score import Percentiles

FOLDER = "studies"
SCHEMA_VERSION = 1
T = TypeVar("T")


@dataclass(frozen=True)
class InstructionStudy:
    """Instructions of one model on some tasks."""

    model: str
    variant: str
    seed: int
    tasks: tuple[TaskStudy, ...]
    limit: int | None = None
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class ChunkStudy:
    """Chunk sizes of one model on some tasks."""

    model: str
    variant: str
    margin: float
    tasks: tuple[TaskChunks, ...]
    limit: int | None = None
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class DomainStudy:
    """Tasks by domain, of one model or two."""

    models: tuple[str, ...]
    domains: tuple[Domain, ...]
    limit: int | None = None
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Timed:
    """One row of a model."""

    variant: str
    query: Percentiles
    """Of one text, a batch of one."""
    times_baseline: float
    """Median of its time over the first row's, text by text, the two in turns."""


@dataclass(frozen=True)
class Searched:
    """Exact search of one query among so many vectors in memory."""

    vectors: int
    dim: int
    query: Percentiles


@dataclass(frozen=True)
class LatencyStudy:
    """Time of single queries of one model's forms, and of exact search."""

    model: str
    device: str
    rounds: int
    rows: tuple[Timed, ...]
    searches: tuple[Searched, ...]
    schema_version: int = SCHEMA_VERSION


def write(results: Path, kind: str, model: str, study: Any) -> Path:
    """File a study, and return where.

    Raises:
        UserError: the folder cannot be written.
    """
    path = results / FOLDER / f"{kind}.{slug(model)}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, lambda f: f.write(json_bytes(plain(study))))
    except OSError as e:
        raise UserError(f"cannot write {path}: {reason(e)}: choose another folder with --results") from e
    return path


def read(results: Path, kind: str, form: type[T]) -> list[T]:
    """Return the studies of a kind in a results folder, ordered by their files' names.

    Raises:
        UserError: a file is no whole study, or of another version.
    """
    found = []
    for path in files_below(results / FOLDER, ".json"):
        if path.parent != results / FOLDER or not path.name.startswith(f"{kind}."):
            continue
        try:
            study: Any = record(form, parse_json(read_bytes(path)))
        except (OSError, ValueError, msgspec.ValidationError) as e:
            raise UserError(f"{path}: not a whole study ({e}): delete it, or run the study again") from e
        if study.schema_version != SCHEMA_VERSION:
            raise UserError(f"{path}: a study of version {study.schema_version}, not {SCHEMA_VERSION}: run it again")
        found.append(study)
    return found


@contextlib.contextmanager
def alone(results: Path) -> Iterator[None]:
    """Hold a results folder's lock for studies within the block; it goes with the process, whatever ends that.

    Raises:
        UserError: another study holds it, or the folder cannot be written.
    """
    folder = results / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(folder / ".lock", timeout=0, isolation_level=None)
    except (OSError, sqlite3.Error) as e:
        said = reason(e) if isinstance(e, OSError) else e
        raise UserError(f"cannot write {folder}: {said}: choose another folder with --results") from e
    with contextlib.closing(connection):
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as e:
            if e.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise UserError(
                    f"{folder / '.lock'}: {e}: delete it while no study runs, or choose another folder with --results"
                ) from e
            step = "wait for it to end, or choose another folder with --results"
            raise UserError(f"{results}: another study is running in this folder: {step}") from e
        yield
