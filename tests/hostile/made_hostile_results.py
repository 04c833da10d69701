"""Results folders that anyone may have made: every reading command meets a file that is none of ours."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from hostile_case import Case
from hostile_results import DEEP, ENDLESS, HUGE, JUST_DEEP, results, score_file

REPORT = ("report", "-o", "page.html")
READERS: dict[str, tuple[str, ...]] = {
    "leaderboard": ("leaderboard",),
    "report": REPORT,
    "models": ("models",),
    "compare": ("compare", "minilm", "minilm@int8"),
    "gate": ("gate", "--baseline", "minilm", "--candidate", "minilm@int8"),
    "baseline": ("baseline", "set", "minilm"),
}
"""The commands that read every score of a folder and end at the first that is not whole."""
VALIDATE = ("validate", "--results", "results")
Harm = Callable[[Path], object]
"""A change to a file."""


def _in_its_place(make: Harm) -> Harm:
    def harm(path: Path) -> None:
        path.unlink()
        make(path)

    return harm


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path has 107 characters at most
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _endless(path: Path) -> None:
    with path.open("r+b") as f:
        f.truncate(2**40)


def _text(text: str) -> Harm:
    return lambda path: path.write_text(text)


WRONG_FILES: dict[str, tuple[Harm, str]] = {
    "a FIFO": (_in_its_place(os.mkfifo), "no regular file"),
    "a socket": (_in_its_place(_socket), "a socket"),
    "/dev/zero": (_in_its_place(lambda path: path.symlink_to("/dev/zero")), "no regular file"),
    "/dev/stdin": (_in_its_place(lambda path: path.symlink_to("/dev/tty")), "("),
    "a folder": (_in_its_place(Path.mkdir), "a folder"),
    "a dangling link": (_in_its_place(lambda path: path.symlink_to("nowhere")), "no such file"),
    "a link to itself": (_in_its_place(lambda path: path.symlink_to(path.name)), "symbolic links"),
    "of a terabyte": (_endless, "larger than"),
    "empty": (_text(""), "Expecting value"),
    "lists 100,000 deep": (_text(DEEP), "nested too deeply"),
    "lists 800 deep": (_text(f'{{"schema_version": 1, "x": {JUST_DEEP}}}'), "nested too deeply"),
    "a number of 400 digits": (_text(f'{{"schema_version": {HUGE}}}'), "a number of 400 digits"),
    "a number of 4,500 digits": (_text(f'{{"schema_version": {ENDLESS}}}'), "a number of 4,500 digits"),
    "a key twice": (_text('{"schema_version": 1, "schema_version": 1}'), "'schema_version' is there twice"),
    "UTF-16 without a mark": (lambda path: path.write_bytes('{"a": 1}'.encode("utf-16-be")[1:]), "not a readable"),
    "not UTF-8": (lambda path: path.write_bytes(b'{"a": "\xff\xfe"}'), "not a readable"),
    "a list": (_text("[]"), "schema version None"),
    "a text": (_text('"\\u001b[31m"'), "schema version None"),
    "escapes for a version": (_text('{"schema_version": "\\u001b[31m\\u202e"}'), "is not 2"),
    "a version of a million letters": (_text(f'{{"schema_version": "{"v" * 10**6}"}}'), "another version"),
}
"""Of a score file: what is done to it, and what the error says of it."""


def _read(command: Sequence[str], harm: Harm, suffix: str = ".json") -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        harm(score_file(results(folder)).with_suffix(suffix))
        return command

    return make


_EVERY = ("a FIFO", "/dev/zero", "a number of 4,500 digits", "lists 800 deep")
"""Tried with every command; of the others, each with the next one."""


def _cases() -> list[Case]:
    found = []
    commands = list(READERS.items())
    for i, (kind, (harm, said)) in enumerate(WRONG_FILES.items()):
        for name, command in commands if kind in _EVERY else [commands[i % len(commands)]]:
            found.append(Case(f"{name}: a score file is {kind}", _read(command, harm), ("SciFact", said)))
        # It is one of many for `validate`, which goes on with the others.
        found.append(Case(f"validate: a score file is {kind}", _read(VALIDATE, harm), lines=0, tells=("SciFact", said)))
    return found


def _run_of(text: str, *command: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        results(folder)
        (folder / "results/runs").mkdir()
        (folder / "results/runs/run.json").write_text(text)
        return command

    return make


_RUN = "results/runs/run.json"
RUNS = [
    Case(
        f"compare: a run's manifest {what}",
        _run_of(text, "compare", _RUN, "minilm"),
        (_RUN, said),
    )
    for what, text, said in (
        ("of entries that are none", '{"command": [], "scores": [1, "x", null, [], {}]}', "the run has no results"),
        (
            "whose identity leads out",
            '{"command": [], "scores": [{"identity": "../../../etc/passwd"}]}',
            "no longer in",
        ),
        ("with a list for an identity", '{"command": [], "scores": [{"identity": [1]}]}', "the run has no results"),
        ("with escapes in an identity", '{"command": [], "scores": [{"identity": "\\u001b[2J"}]}', "no longer in"),
        ("with a NUL in an identity", '{"command": [], "scores": [{"identity": "\\u0000"}]}', "no longer in"),
        ("that is a list", "[]", "neither a score nor"),
        ("100,000 deep", DEEP, "nested too deeply"),
    )
]


def _places(make: Callable[[Path], object], *command: str) -> Callable[[Path], Sequence[str]]:
    def made(folder: Path) -> Sequence[str]:
        make(folder)
        return command

    return made


def _results_is(make: Harm) -> Harm:
    return lambda folder: make(folder / "results")


FOLDERS = [
    Case(f"{name}: the results folder is {what}", _places(_results_is(make), *command), ("results", said))
    for what, make, said in (
        ("a file", lambda path: path.write_text(""), "it is no folder"),
        ("a FIFO", os.mkfifo, "it is no folder"),
        ("a link to itself", lambda path: path.symlink_to("results"), "no results folder"),
    )
    for name, command in (("leaderboard", READERS["leaderboard"]), ("report", REPORT))
] + [
    Case(f"{command[0]}: {what}", _places(make, *command), says)
    for what, make, command, says in (
        ("--results is a file", lambda f: (f / "x").write_text(""), ("models", "--results", "x"), ("it is no folder",)),
        ("--results is nowhere", lambda _f: None, ("models", "--results", "x"), ("no results folder at x",)),
        ("results is a file", _results_is(lambda p: p.write_text("")), ("models",), ("it is no folder",)),
        ("a side is a FIFO", lambda f: os.mkfifo(f / "x"), ("compare", "x", "x"), ("x", "no regular file")),
        ("a side is /dev/zero", lambda _f: None, ("compare", "/dev/zero", "x"), ("/dev/zero", "no regular file")),
        (
            "no such folder",
            lambda _f: None,
            ("baseline", "show", "--baselines", "x"),
            ("--baselines x", "no such folder"),
        ),
        (
            "no folder",
            lambda f: (f / "x").write_text(""),
            ("baseline", "show", "--baselines", "x"),
            ("no such folder",),
        ),
        (
            "a model nobody knows",
            lambda _f: None,
            ("tasks", "ArguAna", "--model", "no/such"),
            ("unknown model 'no/such'",),
        ),
        ("a model without a task", lambda _f: None, ("tasks", "--model", "no/such"), ("--model", "name the task")),
        ("a task and a filter", lambda _f: None, ("tasks", "ArguAna", "--type", "STS"), ("--type", "leave it out")),
    )
]
CASES = [*_cases(), *RUNS, *FOLDERS]
