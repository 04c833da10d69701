"""Command lines nobody would type, but a script might."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hostile_case import Case

HUGE = "x" * 5000


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
]
