"""Names from outside that drive a terminal, load an image, run a formula: shown everywhere, and nowhere as more."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hostile_case import Case
from hostile_results import change, put, results

ESCAPES = "a\x1b]0;owned\x07\x1b[2J\x9b31mb\u202egpj\u2066x\u200b\ufeff\x7f"
MARKDOWN = "![x](https://e.vil/p.png) [y](https://e.vil) <img src=https://e.vil/q> @octocat #1 `z` www.e.vil"
FORMULA = "=HYPERLINK(1)"
HTML = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
LATEX = r"\input{/etc/passwd} $x$ %&_#{}"
LONG = "n" * 3_000_000
NAMES = {
    "escapes": ESCAPES, "Markdown": MARKDOWN, "a formula": FORMULA, "HTML": HTML, "LaTeX": LATEX, "a NUL": "a\0b",
    "half a surrogate pair": "a\ud800b", "two lines": "a\nb\r\nc", "a path": "../../../../etc/passwd",
}  # fmt: skip
PLACES: dict[str, tuple[Any, ...]] = {
    "model": ("model", "name"),
    "task": ("task",),
    "instructions": ("instructions", "set"),
    "variant": ("model", "variant"),
}
NOT_MARKDOWN = ("![", "[x](", "[y](", "<img", "@octocat", " #1", " www.e", " https://e")
COMMANDS: dict[str, tuple[str, ...]] = {
    "leaderboard": ("leaderboard",),
    "leaderboard as Markdown": ("leaderboard", "--format", "md"),
    "leaderboard as CSV": ("leaderboard", "--format", "csv"),
    "leaderboard as JSON": ("leaderboard", "--format", "json"),
    "leaderboard as LaTeX": ("leaderboard", "--format", "latex"),
    "models": ("models",),
    "models as CSV": ("models", "--format", "csv"),
    "validate": ("validate", "--results", "results"),
    "report": ("report", "-o", "page.html"),
}
_OF_FORM = {
    ("Markdown", "leaderboard as Markdown"): NOT_MARKDOWN,
    ("a formula", "leaderboard as CSV"): ("\n=", ",=", ',"='),
    ("a formula", "models as CSV"): ("\n=", ",=", ',"='),
    ("HTML", "leaderboard as Markdown"): ("<script", "<img"),
    ("HTML", "report"): ("<script>alert", "<img src"),
    ("Markdown", "report"): ("<img src=https",),
    ("LaTeX", "leaderboard as LaTeX"): (r"\input",),
}
"""The parts of a name that must not be shown in a form."""


def _named(place: Sequence[Any], name: str) -> Callable[[Path], object]:
    """Give every score this name there, its file staying where it is."""

    def make(folder: Path) -> None:
        for file in results(folder).glob("scores/*/*/*.json"):
            change(file, put(*place, value=name))

    return make


def _case(command: str, where: str, what: str) -> Case:
    arguments = COMMANDS[command]
    name = _named(PLACES[where], NAMES[what])

    def make(folder: Path) -> Sequence[str]:
        name(folder)
        return arguments

    # A name that is not that of its file is an error of the result, and items are not found by it.
    code = 2 if command == "validate" and where != "variant" else 0
    writes = ["page.html"] if command == "report" else []
    shown = _OF_FORM.get((what, command), ())
    return Case(f"{command}: {what} for a {where}", make, code=code, lines=None, not_shown=shown, writes=writes)


def _turns() -> list[Case]:
    """Every name in every form, the place in turn."""
    places = list(PLACES)
    return [
        _case(command, places[(i + j) % len(places)] if j % 3 else "model", what)
        for i, what in enumerate(NAMES)
        for j, command in enumerate(COMMANDS)
        if (i + j) % 2 == 0 or (what, command) in _OF_FORM or what == "escapes"
    ]


def _sides(what: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        _named(PLACES["task"], NAMES[what])(folder)
        return ("compare", "minilm", "minilm@int8", "--format", "md")

    return make


def _gate(what: str) -> Callable[[Path], Sequence[str]]:
    """Of results whose model has this name: every file that a gate writes shows it."""

    def make(folder: Path) -> Sequence[str]:
        _named(PLACES["model"], NAMES[what])(folder)
        label = NAMES[what]
        return (
            "gate",
            "--baseline",
            f"{label}@fp32",
            "--candidate",
            f"{label}@int8",
            "--output",
            "gate",
            "--report",
            "x",
        )

    return make


def _folder(name: str, *command: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        results(folder).rename(folder / name)
        return [argument.replace("FOLDER", name) for argument in command]

    return make


def _long(command: Sequence[str], place: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        _named(PLACES[place], LONG)(folder)
        return command

    return make


_ODD = re.sub("[\0/]", "", ESCAPES)
FOLDERS = [
    Case(f"{' '.join(command)}: escapes in a folder's name", _folder(_ODD, *command), code=code, lines=None)
    for command, code in (
        (("leaderboard", "--results", "FOLDER"), 0),
        (("report", "--results", "FOLDER", "-o", "page.html"), 0),
        (("report", "--results", "FOLDER", "-o", "FOLDER/page.html"), 0),
        (("validate", "--results", "FOLDER"), 0),
        (("compare", "FOLDER#minilm@fp32", "FOLDER#minilm@int8"), 0),
        (("compare", "FOLDER#minilm@fp32", "FOLDER#minilm@int8", "--format", "json"), 0),
        (("compare", "FOLDER#nobody", "FOLDER#minilm@int8"), 2),
        (("baseline", "set", "FOLDER#minilm@fp32", "--baselines", "FOLDER/b", "--note", "FOLDER"), 0),
        (("gate", "--baseline", "FOLDER#minilm@fp32", "--candidate", "FOLDER#minilm@int8", "--output", "FOLDER/g"), 0),
    )
]
LONG_ONES = [
    Case(f"{command[0]}: three megabytes for a {place}", _long(command, place), says)
    for command, place, says in (
        (("leaderboard",), "model", ("length <= 10000",)),
        (("leaderboard",), "instructions", ("length <= 10000",)),
        (("models",), "model", ("length <= 10000",)),
        (("report", "-o", "page.html"), "variant", ("length <= 10000",)),
        (("leaderboard",), "task", ("length <= 10000",)),
    )
]
CASES = [
    *_turns(),
    *FOLDERS,
    *LONG_ONES,
    Case("compare: Markdown for a task", _sides("Markdown"), code=4, lines=None, not_shown=NOT_MARKDOWN),
    Case("compare: escapes for a task", _sides("escapes"), code=4, lines=None),
    Case("compare: HTML for a task", _sides("HTML"), code=4, lines=None, not_shown=("<script", "<img")),
    Case("gate: no address for its report", _gate("Markdown"), ("--report x", "not an address")),
]
