"""From the command that made many scores to the one that makes a single one again."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from instructor_eval.results.score import Score

_TASKS = ("--task", "--benchmark")
_NUMERIC = ("--variant", "--embedding", "--truncate-dim")
_SEVERAL = ("--b", "--s", "--se", "--t", "--v")
"""Beginnings of several flags, which argparse refuses."""
_EMBEDDED = {"minilm": "sentence-transformers/all-MiniLM-L6-v2"}


def single_task(command: Sequence[str], task: str) -> list[str]:
    """`command` with `task` in the place of all its tasks and benchmarks.

    What is no plain run stays as it is (`evaluate demo`), and so does one of a card of the user's own: which of its
    files that task is cannot be known.
    """
    return _with_task(command, task) if _is_run(command) else list(command)


def _with_task(command: Sequence[str], task: str) -> list[str]:
    from instructor_eval.tasks.cards import known_cards, shipped_cards

    known = task in shipped_cards() or task in known_cards()
    return [*_without(command, _TASKS), "--task", task] if known else list(command)


def single_score(score: Score) -> list[str]:
    """The command that makes this score alone: its task, its variant, its model and its instruction set.

    A flag that cannot be told apart stays as it was given; then others are made beside it. Empty where none was filed.
    """
    command = list(score.command)
    if not _is_run(command):
        return command
    if any(_values(command, (flag,)) for flag in _NUMERIC):
        command = [*_without(command, _NUMERIC), "--variant", str(score.model["variant"])]
    name, revision = str(score.model["name"]), str(score.model.get("revision", ""))
    for exact in (f"{name}@{revision}", name):
        command = _narrowed(command, "--model", _is(exact))
    command = _narrowed(command, "--instructions", lambda given: given == score.instructions["set"])
    if any(_values(command, ("--search",))):
        backend = score.search.get("backend")
        command = [*_without(command, ("--search",)), *(["--search", str(backend)] if backend else [])]
    if score.reader:
        command = _narrowed(command, "--selection", lambda given: given == score.reader.get("selection"))
    return _with_task(command, score.task)


def _is(name: str) -> Callable[[str], bool]:
    """Whether a model given on the command line has this name."""
    return lambda given: _EMBEDDED.get(given, given) == name


def _is_run(command: Sequence[str]) -> bool:
    return len(command) > 1 and command[1].startswith("-")


def _narrowed(command: list[str], flag: str, meant: Callable[[str], bool]) -> list[str]:
    """Only the one value of a repeated flag that is meant, if it is there."""
    given = _values(command, (flag,))
    wanted = next((value for value in given if meant(value)), None)
    if len(given) < 2 or wanted is None:
        return command
    return [*_without(command, (flag,)), flag, wanted]


def _values(command: Sequence[str], flags: Collection[str]) -> list[str]:
    return [value for flag, value in _flags(command) if flag in flags]


def _without(command: Sequence[str], flags: Collection[str]) -> list[str]:
    """The command without these flags and their values, however they were shortened."""
    kept: list[str] = []
    skip = False
    for word in command:
        name, equals, _ = word.partition("=")
        if skip:
            skip = False
        elif _meant(name, flags):
            skip = not equals
        else:
            kept.append(word)
    return kept


def _flags(command: Sequence[str]) -> list[tuple[str, str]]:
    """Each flag under its whole name where that is one of ours, with the value behind it."""
    every = (*_TASKS, *_NUMERIC, "--model", "--instructions", "--selection", "--search")
    found = []
    for place, word in enumerate(command):
        name, equals, value = word.partition("=")
        meant = _meant(name, every)
        if meant:
            after = command[place + 1] if place + 1 < len(command) else ""
            found.append((meant, value if equals else after))
    return found


def _meant(name: str, flags: Collection[str]) -> str | None:
    """The flag that a word stands for: argparse takes any beginning that is one flag's alone."""
    if name in _SEVERAL or not name.startswith("--") or not re.fullmatch(r"--[a-z-]+", name):
        return None
    return next((flag for flag in flags if flag == name), None) or next(
        (flag for flag in flags if flag.startswith(name)), None
    )
