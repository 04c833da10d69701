"""The results folder: one JSON file a score, its items beside it as Parquet, one manifest a run.

    DIR/scores/<model>/<instruction set>/<task>.<identity>.json     the score (types.Score)
    DIR/scores/<model>/<instruction set>/<task>.<identity>.parquet  its items, one row each
    DIR/runs/<time>-<hash>.json                                     what one invocation planned and how it ended
    DIR/.gitignore                                                  all of these but baselines/

Beside these lie costs/ (`results/costs.py`), probes/ (`results/probe.py`), and what `analysis/` stores: statistics/ and
baselines/.

Files appear whole or not at all (temporary file, fsync, rename, items before the JSON that names them); a file that
cannot be read as a whole, or was edited since (`checksums`), is an error, never a guess.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import DamagedFileError, UserError, reason
from instructor_eval.core.outside import read_bytes, why
from instructor_eval.core.paths import file_sha256, slug
from instructor_eval.core.stored_files import files_below, refuse_forbidden
from instructor_eval.core.values import Items
from instructor_eval.core.whole_files import atomic_write, check_writable, remove_left_behind
from instructor_eval.results import items_files
from instructor_eval.results.checksums import ITEMS, edit_in_items, json_bytes, read_sealed, sealed, sums_of
from instructor_eval.results.reading import read, written
from instructor_eval.results.score import SCHEMA_VERSION, Score
from instructor_eval.tasks.types.ranking import RANKINGS

_READ = (1, SCHEMA_VERSION)
"""Versions that are read."""
_FOLDERS = ("scores", "runs", "costs", "probes", "statistics", "baselines", "imported")
_GITIGNORE = b"""\
# Written by instructor-eval's first run here. What it files can be computed again; baselines are for git (docs/ci.md).
# Change it, or leave it empty, to commit more: it is not written a second time.
*
!/baselines/
!/baselines/**
.*.tmp
"""
_GO_ON = "correct that and run the same command again, finished results are filed"


class Store:
    """One results folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_writable(self) -> None:
        """See that results can be filed, before any model is loaded; remove what killed writes left in the folder.

        Where there is none yet, none is made: a flag may still be wrong.

        Raises:
            UserError: it cannot be made or written.
        """
        try:
            check_writable(self.root)
        except OSError as e:
            raise UserError(f"cannot write results to {self.root}: {reason(e)}: choose another with --results") from e
        remove_left_behind(self.root, below=_FOLDERS)

    def _base(self, score: Score) -> Path:
        folder = self.root / "scores" / slug(score.model.name) / slug(score.instructions.set)
        return folder / f"{slug(score.task)}.{score.identity}"

    def path(self, score: Score) -> Path:
        """Return the path of a score's file."""
        return Path(f"{self._base(score)}.json")

    def find(self, score: Score, *, rankings: bool = False) -> Score | None:
        """The finished result with this score's identity, if there is one. Failed ones do not count.

        Args:
            score: The score.
            rankings: It must have been filed with whole rankings.
        """
        path = self.path(score)
        if not path.exists():
            return None
        try:
            found = read_score(path)
        except DamagedFileError:
            return None  # run again: the new result takes its place
        if rankings and not has_rankings(found):
            return None
        return found if found.status == "ok" and self._has_items(found) else None

    def _has_items(self, score: Score) -> bool:
        """Return whether a stored score's items are there, as they were filed."""
        if score.items_file is None:
            return True
        path = Path(f"{self._base(score)}.parquet")
        return path.exists() and score.items_sha256 in (None, file_sha256(path))

    def write(self, score: Score, items: Items | None = None) -> Score:
        """File a score, and its items first; an older file of the same identity is replaced.

        Returns:
            The score as it was filed, with what names its items.

        Raises:
            UserError: the folder cannot be written, or the disk is full.
        """
        path = self.path(score)
        score = dataclasses.replace(score, schema_version=SCHEMA_VERSION)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if items is not None:
                items_path = path.with_suffix(".parquet")
                content, filed = items_files.pack(items)
                atomic_write(items_path, lambda f: f.write(content))
                score = dataclasses.replace(
                    score,
                    items_file=items_path.name,
                    items_sha256=hashlib.sha256(content).hexdigest(),
                    sums=sums_of(filed, ITEMS),
                )
            atomic_write(path, lambda f: f.write(sealed(written(score))))
        except OSError as e:
            raise UserError(f"cannot write {path.name} to {path.parent}: {reason(e)}: {_GO_ON}") from e
        return score

    def remove_failed(self, score: Score) -> None:
        """Remove the failed result that was filed under this identity, if there is one."""
        with contextlib.suppress(OSError):
            self.path(score).unlink()

    def write_run(self, name: str, manifest: Mapping[str, Any]) -> None:
        """File the manifest of one invocation under `runs/`; the first one puts a `.gitignore` beside `runs/`.

        Raises:
            UserError: the folder cannot be written, or the disk is full.
        """
        path = self.root / "runs" / f"{slug(name)}.json"
        try:
            if not path.parent.exists():  # and never again: who deletes or changes it has a reason
                self.root.mkdir(parents=True, exist_ok=True)
                _write_gitignore(self.root)  # before what says that it was: a kill may come between
            path.parent.mkdir(exist_ok=True)
            atomic_write(path, lambda f: f.write(json_bytes(manifest)))
        except OSError as e:
            raise UserError(f"cannot write {path}: {reason(e)}: {_GO_ON}") from e

    def scores(self) -> Iterator[Score]:
        """Every stored score, ordered by path.

        Raises:
            UserError: a file that is not a whole score of a known schema version, or a folder that cannot be read.
        """
        for path in files_below(self.root / "scores", ".json"):
            yield read_score(path)

    def items(self, score: Score, *, without: Container[str] = RANKINGS) -> Items:
        """The items of a stored score, all columns but those named: whole rankings are left out unless asked for.

        Raises:
            UserError: they are missing, cut short, or not those that were filed.
        """
        return read_items(Path(f"{self._base(score)}.parquet"), score, without=without)

    def items_stamp(self, score: Score) -> str:
        """Size and time of a score's items file, which change when it does; empty where there is none."""
        try:
            found = Path(f"{self._base(score)}.parquet").stat()
        except OSError:
            return ""
        return f"{found.st_size} {found.st_mtime_ns}"


def _write_gitignore(root: Path) -> None:
    """Keep what can be computed again out of git, as a virtual environment does; one that is there stays."""
    path = root / ".gitignore"
    if not os.path.lexists(path):
        atomic_write(path, lambda f: f.write(_GITIGNORE))


def has_rankings(score: Score) -> bool:
    """Return whether a score was filed with all that was found and judged (`--rankings`)."""
    return f"{ITEMS}{RANKINGS[0]}" in score.sums


def read_score(path: Path) -> Score:
    """Read one score file.

    Raises:
        UserError: it cannot be read, is not whole, was edited, or has an unknown schema version.
    """
    raw = read_sealed(path, "score file", _READ, "run the task again", without_checksum=True)
    try:
        return read(raw)
    except ValueError as e:
        raise DamagedFileError(f"{path}: not a whole score file ({e}): delete it and run the task again") from e


def read_items(path: Path, score: Score | None = None, *, without: Container[str] = ()) -> Items:
    """Read an items file: column name -> one value an item.

    Args:
        path: The file.
        score: The score that it was filed with, if it has to be what it was then.
        without: Columns that are left out.

    Raises:
        UserError: it is missing, cut short, or was changed.
    """
    try:
        content = read_bytes(path, items_files.LARGEST)
        if score and score.items_sha256 not in (None, hashlib.sha256(content).hexdigest()):
            edit = edit_in_items(items_files.unpack(content), score.sums)
            raise UserError(f"{path}: not the items that were filed ({edit}): restore it, or run the task again")
        return items_files.unpack(content, without=without)
    except (OSError, ValueError) as e:
        refuse_forbidden(path, e)
        said = why(e) if isinstance(e, OSError) and e.strerror else e
        raise UserError(f"{path}: items missing or cut short ({said}): run the task again") from e
