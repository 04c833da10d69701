"""Command lines nobody would type, but a script might."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hostile_case import Case
from hostile_results import results

HUGE = "x" * 5000


ESCAPES = "a\x1b]0;owned\x07\x1b[2J\x9b31mb\u202egpj\u2066x\u200b"
TEXTS = {
    "escapes": ESCAPES,
    "3,000 characters": "y" * 3000,
    "a byte that is no letter": "a\udcffb",
    "a way out": "../../nowhere-at-all",
}
RUN = ("--model", "minilm", "--task", "STS17", "--offline")


def _in_results(*arguments: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        results(folder)
        return arguments

    return make


def _given(*arguments: str) -> Callable[[Path], Sequence[str]]:
    return lambda _folder: arguments


CASES = [
    Case("a task of 5,000 characters", _given("tasks", HUGE), ("evaluate tasks",)),
    Case(
        "a model of 5,000 characters",
        _given("--model", HUGE, "--task", "STS17", "--offline"),
        ("is no model", "give a folder"),
    ),
    Case("a results folder of 5,000 characters", _given("leaderboard", "--results", HUGE), ("too long",)),
    Case("a mirror that is nowhere", _given(*RUN, "--hub", "nowhere"), ("--hub nowhere", "no such folder")),
    Case("a mirror that is a file", _given(*RUN, "--hub", "/etc/passwd"), ("--hub /etc/passwd", "no such folder")),
    *(
        Case(f"{' '.join(command)}: X is {what}", _in_results(*(text if a == "X" else a for a in command)))
        for i, (what, text) in enumerate(TEXTS.items())
        for j, command in enumerate(
            (
                ("tasks", "X"),
                ("tasks", "--benchmark", "X"),
                ("tasks", "ArguAna", "--model", "X"),
                ("models", "--results", "X"),
                ("leaderboard", "--baseline", "X"),
                ("leaderboard", "--task", "X"),
                ("leaderboard", "--protocol", "X"),
                ("leaderboard", "--limit", "X"),
                ("report", "--gate", "X"),
                ("report", "-o", "X/X"),
                ("compare", "X", "minilm"),
                ("compare", "baseline:X", "minilm"),
                ("compare", "published:X", "minilm"),
                ("compare", "minilm@fp32", "minilm@int8", "--task", "X"),
                ("gate", "--candidate", "X"),
                ("gate", "--baseline", "minilm@fp32", "--candidate", "minilm@int8", "--report", "X"),
                ("baseline", "show", "X"),
                ("baseline", "set", "minilm@fp32", "--name", "X"),
                ("validate", "--results", "X"),
                ("cache", "info", "--cache", "X"),
                ("cache", "prune", "--size", "X"),
                ("X",),
            )
        )
        if (i + j) % 2 == 0
    ),
]
