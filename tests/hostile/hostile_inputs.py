"""The good inputs that hostile cases begin with, a tiny checkpoint, a card with its data; one thing is then spoilt."""

from __future__ import annotations

import functools
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tiny
from hostile_case import Case

ROWS = [
    {"sentence1": "the river", "sentence2": "a river", "score": 3},
    {"sentence1": "a city", "sentence2": "the storm", "score": 0},
    {"sentence1": "one", "sentence2": "two", "score": 1},
]
CARD = "name: Own\ntype: STS\ndata: data\n"
RUN = ("--task", "card.yaml", "--device", "cpu", "--no-cache", "--cost", "off", "--quiet")
Spoil = Callable[[Path], object]


@functools.cache
def _built(kind: str) -> Path:
    """A good checkpoint, made once in a process; its place is left to the system."""
    folder = Path(tempfile.mkdtemp(prefix="hostile-")) / kind
    build = {"bert": tiny.build_plain, "t5": tiny.build_instructor}[kind]
    return build(folder, layers=1)


def checkpoint(folder: Path, kind: str = "bert") -> Path:
    """A copy of a good checkpoint, as `m`."""
    return Path(shutil.copytree(_built(kind), folder / "m"))


def data(folder: Path, card: str = CARD, **files: str | bytes) -> None:
    """A good card with good data, or other files in place of them: `test__csv` for test.csv."""
    (folder / "card.yaml").write_text(card, encoding="utf-8")
    (folder / "data").mkdir()
    for name, content in (files or {"test__jsonl": "".join(json.dumps(row) + "\n" for row in ROWS)}).items():
        file = folder / "data" / name.replace("__", ".")
        file.write_bytes(content if isinstance(content, bytes) else content.encode())


def spoilt(name: str, spoil: Spoil, *says: str, kind: str = "bert", arguments: Sequence[str] = (), **more: Any) -> Case:
    """A run of a model whose checkpoint was good before `spoil` had it."""

    def make(folder: Path) -> list[str]:
        data(folder)
        spoil(checkpoint(folder, kind))
        return ["--model", "m", *RUN, *arguments]

    return Case(name, make, says, **more)


def edited(file: str, **changes: Any) -> Spoil:
    """Change keys of a JSON file."""

    def spoil(folder: Path) -> None:
        path = folder / file
        value = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        path.write_text(json.dumps(value | changes), encoding="utf-8")

    return spoil


def written(file: str, content: str | bytes) -> Spoil:
    """Write a file in place of what was there."""

    def spoil(folder: Path) -> None:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))

    return spoil


def linked(file: str, to: str) -> Spoil:
    """Put a link in place of what was there."""

    def spoil(folder: Path) -> None:
        path = folder / file
        path.unlink(missing_ok=True)
        path.symlink_to(to)

    return spoil


def sparse(file: str, size: int, begin: bytes = b"") -> Spoil:
    """A file that is long, and takes no room on disk."""

    def spoil(folder: Path) -> None:
        path = folder / file
        path.unlink(missing_ok=True)
        with path.open("wb") as f:
            f.write(begin)
            f.truncate(size)

    return spoil


def special(file: str, kind: str) -> Spoil:
    """Put a FIFO, a socket, a device or a folder in place of what was there."""

    def spoil(folder: Path) -> None:
        path = folder / file
        path.unlink(missing_ok=True)
        if kind == "a FIFO":
            os.mkfifo(path)
        elif kind == "a socket":
            here = Path.cwd()
            os.chdir(path.parent)  # a socket's path has a hundred characters at most
            try:
                with socket.socket(socket.AF_UNIX) as made:
                    made.bind(path.name)
            finally:
                os.chdir(here)
        elif kind == "a folder":
            path.mkdir()
        elif kind == "a link to itself":
            path.symlink_to(path.name)
        elif kind == "a link to nothing":
            path.symlink_to("nowhere")
        else:
            path.symlink_to(kind)

    return spoil


SPECIAL = {
    "a FIFO": "a FIFO",
    "a socket": "a socket",
    "/dev/zero": "a device",
    "/dev/full": "a device",
    "a link to itself": "too many levels of symbolic links",
    "a link to nothing": "no such file",
}
"""Kinds of what is no file -> what the error says of it."""
