"""Folders that this user may not read or write, and caches that are none."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from hostile_case import Case
from hostile_results import results, score_file
from made_hostile_gates import _baseline
from made_hostile_names import ESCAPES

NOBODY = 65534
GATE = ("gate", "--baseline", "minilm", "--candidate", "minilm@int8", "--output", "out")
COMPARE = ("compare", "minilm", "minilm@int8")
READERS: dict[str, tuple[str, ...]] = {
    "leaderboard": ("leaderboard",),
    "report": ("report", "-o", "/dev/null"),
    "models": ("models",),
    "compare": COMPARE,
    "validate": ("validate", "--results", "results"),
    "baseline set": ("baseline", "set", "minilm"),
}
Lock = Callable[[Path], Path]
"""Takes a results folder and gives what nobody else may look into."""
LOCKED: dict[str, Lock] = {
    "the results": lambda root: root,
    "scores": lambda root: root / "scores",
    "a model's folder": lambda root: next(root.glob("scores/*")),
    "a score": score_file,
}


def _locked(lock: Lock, *command: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        lock(results(folder)).chmod(0)
        return command

    return make


def _read_only(*command: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        results(folder)
        return command

    return make


FOLDERS = [
    Case(
        f"{name}: {what} may not be read",
        _locked(lock, *command),
        () if name == "validate" and what == "a score" else ("results", "permission denied"),
        tells=("permission denied",) if name == "validate" and what == "a score" else (),
        lines=0 if name == "validate" and what == "a score" else 1,
        user=NOBODY,
    )
    for what, lock in LOCKED.items()
    for name, command in READERS.items()
]
OTHERS_FOLDERS = [
    Case(f"{command[0]}: another user's folder", _read_only(*command), says, code=code, user=NOBODY)
    for command, code, says in (
        (("leaderboard",), 0, ()),
        (("models",), 0, ()),
        (("report",), 2, ("cannot write the page to report.html", "permission denied")),
        (COMPARE, 0, ()),
        (("validate", "--results", "results"), 0, ()),
        (("baseline", "set", "minilm"), 2, ("cannot write baseline", "permission denied")),
        (GATE, 2, ("cannot write", "permission denied", "--output")),
    )
]


def _parts(part: str, mode: int, *command: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        _baseline(folder)
        (folder / "results" / "baselines" / part).chmod(mode)
        return command

    return make


BASELINES = [
    Case(
        f"{command[0]} {command[1]}: {part} may not be read",
        _parts(part, 0, *command),
        ("baselines", "permission denied"),
        user=NOBODY,
    )
    for part in ("", "main", "main/last.json", "main/items")
    for command in (("baseline", "show"), ("compare", "baseline:main", "minilm@int8"))
]


def _cache(content: bytes | Callable[[Path], object], mode: int, *command: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        place = folder / "cache"
        place.mkdir()
        for name in ("vectors.v1.sqlite3", "answers.v1.sqlite3"):
            if callable(content):
                content(place / name)
            else:
                (place / name).write_bytes(content)
            if not (place / name).is_symlink():
                (place / name).chmod(mode)
        return command

    return make


def _database(path: Path) -> None:
    """A database whose names, numbers and times are of other kinds."""
    from instructor_eval.cache.blocks import VECTORS
    from instructor_eval.cache.database import prepare
    from instructor_eval.readers.answers import ANSWERS

    with sqlite3.connect(path) as connection:
        connection.isolation_level = None
        if path.name.startswith("vectors"):
            prepare(connection, VECTORS)
            connection.execute(
                "INSERT INTO spaces(fingerprint, name, revision, variant, dim, dtype) VALUES (?, ?, ?, ?, ?, ?)",
                (ESCAPES, ESCAPES, b"\x1b[1m", 10**18, "wide", ESCAPES),
            )
            connection.execute("INSERT INTO uses VALUES (1, 1, 'many', 'large', 'never')")
        else:
            prepare(connection, ANSWERS)
    connection.close()


CACHES: dict[str, bytes | Callable[[Path], object]] = {
    "text": b"not a database at all " * 100,
    "empty": b"",
    "a FIFO": os.mkfifo,
    "a folder": Path.mkdir,
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path.name),
}
ACTIONS = (("info",), ("verify",), ("prune", "--size", "1M"), ("clear",))
CACHE = [
    *(
        Case(
            f"cache {action[0]}: the cache may not be {what}",
            _cache(b"", 0o600, "cache", *action),
            ("cache",),
            user=NOBODY,
        )
        for what in ("read",)
        for action in ACTIONS
    ),
    *(
        Case(f"cache {action[0]}: the cache is {what}", _cache(content, 0o644, "cache", *action), ("cache",))
        for what, content in CACHES.items()
        for action in ACTIONS
        if (what, action[0])
        not in {("text", "verify"), ("empty", "verify"), ("empty", "info"), ("empty", "prune"), ("empty", "clear")}
    ),
    *(
        Case(f"cache {' '.join(action)}: names of other kinds", _cache(_database, 0o644, "cache", *action), code=0)
        for action in (("info",), ("info", "--format", "json"))
    ),
    *(
        Case(
            f"cache {action[0]}: there is none",
            lambda _f, action=action: ("cache", *action, "--cache", "nowhere"),
            ("no cache in nowhere",),
        )
        for action in ACTIONS
    ),
]


def _whole_cache_locked(*command: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        (folder / "cache").mkdir(mode=0o700)
        return command

    return make


CACHE += [
    Case(
        f"cache {action[0]}: its folder may not be read",
        _whole_cache_locked("cache", *action),
        ("cache", "permission denied"),
        user=NOBODY,
    )
    for action in ACTIONS
]
CASES = [*FOLDERS, *OTHERS_FOLDERS, *BASELINES, *CACHE]
