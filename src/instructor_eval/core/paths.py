"""Paths: shipped data, safe file names, content hashes of folders."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from instructor_eval.core.outside import open_outside

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped(name: str) -> Path:
    """The folder `name` ("tasks" or "results/reference") as shipped.

    A wheel carries it in `instructor_eval/_data`; a checkout has it at the top of the repository.

    Raises:
        FileNotFoundError: the installation is broken.
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parents[1]):
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(f"{name} is missing from this installation of instructor-eval: install it again")


def slug(name: str) -> str:
    """`name` as one file name that stays in its folder and cannot be mistaken for another's.

    Letters, digits, `.`, `_` and `-` stay, `/` becomes `__`. Where anything else had to be replaced, or the name is
    empty, long, starts with a dot, or looks like another's slug, a short hash of the whole name is added: two names
    never share a slug by accident.
    """
    plain = name.replace("/", "__")
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip(".")[:80]
    if safe == plain and safe and not re.search(r"__|_/|/_|-[0-9a-f]{8}$", name):
        return safe
    return f"{safe}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open_outside(path) as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def folder_sha256(folder: Path) -> str:
    """SHA-256 over the relative names and the contents of all files below `folder`; hidden files do not count."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts):
            continue
        total.update(os.fsencode(relative.as_posix()) + f"\0{file_sha256(path)}\0".encode())
    return total.hexdigest()
