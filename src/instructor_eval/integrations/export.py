"""Files for other tools: what is to be written, and the writing of it. Nothing that is there is lost unasked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from instructor_eval.core.errors import UserError, reason
from instructor_eval.core.whole_files import atomic_write


@dataclass
class Export:
    """Files to be written, by their path below the output folder, and what was left out."""

    files: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    """Path -> what makes its content."""
    left_out: list[str] = field(default_factory=list)
    """A line each, with the reason."""
    no_place: list[str] = field(default_factory=list)
    """Tasks of a kind that the form does not have."""

    def write(self, output: Path, *, force: bool) -> None:
        """Write all files below a folder, each whole or not at all.

        Args:
            output: The folder; it is made.
            force: Write over what is there.

        Raises:
            UserError: a file is there already with other content, or cannot be written.
        """
        refuse_existing({output / name: content for name, content in self.files.items()}, force=force)
        for name, content in self.files.items():
            write_file(output / name, content())


def refuse_existing(files: Mapping[Path, Callable[[], bytes]], *, force: bool) -> None:
    """Refuse to write over files; not over those of an export of the same that was killed, which goes on then.

    Args:
        files: Path -> what makes its content.
        force: Refuse nothing.

    Raises:
        UserError: one is there with other content, and `force` is not given.
    """
    there = [] if force else [path for path, content in files.items() if _is_other(path, content)]
    if there:
        others = f" and {len(there) - 1} more are" if len(there) > 1 else " is"
        raise UserError(f"{there[0]}{others} already there: give --force to write over, or another --output")


def _is_other(path: Path, content: Callable[[], bytes]) -> bool:
    if not os.path.lexists(path):
        return False
    try:
        return not path.is_file() or path.read_bytes() != content()
    except OSError:
        return True


def write_file(path: Path, content: bytes) -> None:
    """Write a file, and the folders that it lies in.

    Raises:
        UserError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, lambda f: f.write(content))
    except OSError as e:
        raise UserError(f"cannot write {path}: {reason(e)}: choose another --output") from e
