"""Scores that others measured, taken in from their files: `imported/<model>/<hash>.json` of a results folder.

They have no items: no interval, no test, and nothing to check the number by. So they are no `Score`s. They stand on
boards in rows of their own, marked and without a rank, as published ones do, and no gate takes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from instructor_eval.core.errors import DamagedFileError, UserError, reason
from instructor_eval.core.paths import slug
from instructor_eval.core.stored_files import files_below
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.results.checksums import identity, read_sealed, sealed
from instructor_eval.results.published import Published
from instructor_eval.results.reading import plain
from instructor_eval.results.score import Name

FOLDER = "imported"
_VERSION = 1
Value = Annotated[float, Meta(ge=-1, le=1)]


@dataclass(frozen=True)
class ImportedScore:
    """One task's score, a fraction of 1, and what its file says of it."""

    task: Name
    score: Value
    metric: Name
    file: Name
    """Relative to the folder that was imported."""
    mteb_version: Name = ""
    data_revision: Name = ""
    split: Name = ""
    subset: Name = ""


@dataclass(frozen=True)
class Imported:
    """The scores of one model in one folder."""

    model: Name
    source: Name
    """The place the files are from, in the importer's words."""
    revision: Name = ""
    experiment: Name = ""
    """mteb's word for what differs from the model as it is."""
    created: Name = ""
    """The time of the import."""
    scores: tuple[ImportedScore, ...] = ()
    schema_version: int = _VERSION

    @property
    def label(self) -> str:
        """Return the model's name, with the experiment."""
        return f"{self.model} ({self.experiment})" if self.experiment else self.model

    @property
    def origin(self) -> str:
        """Return revision and source, for people."""
        return f"revision {self.revision or 'not known'} of {self.source}"

    def path(self, root: Path) -> Path:
        """Return the path of its file: the same for the same model, revision and source."""
        name = identity([self.model, self.revision, self.experiment, self.source])
        return root / FOLDER / slug(self.model) / f"{name}.json"


def write(root: Path, imported: Imported) -> Path:
    """File imported scores; what was imported from the same place before stays, task by task, unless it is replaced.

    Raises:
        UserError: the folder cannot be written, or what is there is damaged.
    """
    path = imported.path(root)
    before = {score.task: score for score in read(path).scores} if path.exists() else {}
    scores = before | {score.task: score for score in imported.scores}
    imported = replace(imported, scores=tuple(scores[task] for task in sorted(scores)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, lambda f: f.write(sealed({**plain(imported), "sums": {}})))
    except OSError as e:
        raise UserError(f"cannot write {path}: {reason(e)}: choose another --results") from e
    return path


def read(path: Path) -> Imported:
    """Read a file of imported scores.

    Raises:
        UserError: it cannot be read, is not whole, was edited, or has an unknown schema version.
    """
    raw = read_sealed(path, "file of imported scores", (_VERSION,), "import again")
    try:
        return msgspec.convert(raw, Imported)
    except ValueError as e:
        raise DamagedFileError(f"{path}: not a whole file of imported scores ({e}): delete it and import again") from e


def imported_in(root: Path) -> list[Imported]:
    """Return all that was imported into a results folder, ordered by path.

    Raises:
        UserError: as `read`.
    """
    return [read(path) for path in files_below(root / FOLDER, ".json")]


def rows_of(root: Path) -> list[Published]:
    """Return what was imported as rows for a board, each of a name of its own.

    Raises:
        UserError: as `read`.
    """
    found = imported_in(root)
    return [
        Published(name, {s.task: s.score for s in one.scores}, sources=[one.origin], kind="imported")
        for one, name in zip(found, _names(found), strict=True)
    ]


def _names(found: Iterable[Imported]) -> list[str]:
    """Return the labels, with the revision and then the file's name where two are the same."""
    found = list(found)
    longer = [f"{one.label} @{one.revision[:8]}" if one.revision else one.label for one in found]
    plainly, exactly = Counter(one.label for one in found), Counter(longer)
    return [
        one.label if plainly[one.label] == 1 else name if exactly[name] == 1 else f"{name} of {one.source}"
        for one, name in zip(found, longer, strict=True)
    ]
