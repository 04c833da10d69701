"""Checks of imported scores, for `evaluate validate --results`: whole, unedited, of known tasks, in their own place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from instructor_eval.analysis.check.check import Checked
from instructor_eval.core.errors import UserError
from instructor_eval.core.stored_files import files_below
from instructor_eval.results.imported import FOLDER, read
from instructor_eval.tasks.cards import shipped_cards


@dataclass
class CheckedImport(Checked):
    """One file of imported scores and what was found; there is nothing to check its numbers by."""

    what: str = ""
    """How many scores of which model, and where they are from."""

    @property
    def verdict(self) -> str:
        """`ok: ...` or `ERROR ...`."""
        return super().verdict if self.errors else f"ok: {self.what}"


def check_imported(root: Path) -> list[CheckedImport]:
    """Check every file of imported scores below a results folder, ordered by path."""
    found: list[CheckedImport] = []
    known = shipped_cards()
    for path in files_below(root / FOLDER):
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        checked = CheckedImport(path.relative_to(root).as_posix(), type=FOLDER)
        found.append(checked)
        if path.suffix != ".json":
            checked.errors.append("no file of imported scores: delete it, or move it elsewhere")
            continue
        try:
            imported = read(path)
        except UserError as e:
            checked.errors.append(str(e))
            continue
        n = len(imported.scores)
        checked.task = imported.scores[0].task if n == 1 else f"{n} tasks"
        checked.what = f"{n} score{'s' * (n != 1)} of {imported.label}, imported, {imported.origin}"
        if path != imported.path(root):
            checked.errors.append(f"its place should be {imported.path(root).relative_to(root)}: it was renamed")
        strange = [score.task for score in imported.scores if score.task not in known]
        if strange:
            checked.errors.append(f"task {strange[0]} has no card here: delete it and import again")
    return found
