"""The command that makes one score again, rendered from the score's fields."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import PurePath

from instructor_eval.results.score import Score
from instructor_eval.tasks.instructions import SETS
from instructor_eval.tasks.protocol import CHOICES

_EMBEDDED = "minilm"
_ONLY_FOLDERS = (".", "..", "./")
"""Folders that a model is not called after as they are given."""


def command_of(score: Score) -> list[str]:
    """Return the argument vector that makes this score again, and nothing else where its task has a name.

    Paths stand in no field: that of an own card, a file of instructions, a folder of data or results is looked up in
    the command that made the score. Empty where one that is needed is not there.
    """
    task, instructions = _task(score), _instructions(score)
    if not task or instructions is None:
        return []
    words = ["evaluate", *_model(score)]
    for card in task:
        words += _flag("--task", card)
    if instructions:
        words += _flag("--instructions", instructions)
    for name, value in score.protocol.items():
        if value != CHOICES.get(name, ("",))[0]:
            words += _flag("--protocol", f"{name}={value}")
    if score.limit is not None:
        words += ["--limit", str(score.limit)]
    if score.search:
        words += _search(score.search.backend)
    words += _reader(score)
    for flag in ("--hub", "--results"):
        for value in _given(score.command, flag)[-1:]:
            words += _flag(flag, value)
    return words


def _search(backend: str) -> list[str]:
    """Return the flags of a search, and of how its documents were cut."""
    store, cut, chunk = backend.rpartition("chunk=")
    if not cut:
        return _flag("--search", backend)
    size, *others = chunk.split(",")
    words = _flag("--search", store.removesuffix("+")) if store else []
    words += _flag("--chunk", size)
    for word in others:
        words += _flag("--chunk-by" if word == "sentences" else "--chunk-score", word)
    return words


def _flag(flag: str, value: str) -> list[str]:
    """Return a flag with its value; one that begins with a dash would be read as a flag of its own."""
    return [f"{flag}={value}"] if value.startswith("-") else [flag, value]


def _given(command: Sequence[str], flag: str) -> list[str]:
    """Return the values that a flag, written in full, has in a command."""
    found = []
    for word, after in pairwise([*command, ""]):
        if word == flag:
            found.append(after)
        elif word.startswith(f"{flag}="):
            found.append(word.removeprefix(f"{flag}="))
    return found


def _model(score: Score) -> list[str]:
    """Return the flags of the model; none where demonstrations were chosen without one."""
    model = score.model
    if model.fingerprint.startswith("selection-"):
        return []
    words = [*_flag("--model", _model_text(score)), *_flag("--variant", model.variant)]
    if model.family_rule.startswith("--family"):
        words += _flag("--family", model.family)
    for label in _given(score.command, "--label")[-1:]:
        words += _flag("--label", label)
    return [*words, *(["--trust-remote-code"] if "--trust-remote-code" in score.command else [])]


def _model_text(score: Score) -> str:
    """Return what `--model` takes for this very model."""
    name, revision = score.model.name, score.model.revision
    if revision.startswith("pypi:"):
        return _EMBEDDED
    if revision == "local":
        short = [text for text in _given(score.command, "--model") if text in _ONLY_FOLDERS]
        return short[0] if short else name if name.startswith(("/", ".")) else f"./{name}"
    is_on_hub = revision and ":" not in name  # endpoint:URL, hosted:NAME and mteb:NAME have no revisions
    return f"{name}@{revision}" if is_on_hub else name


def _task(score: Score) -> list[str]:
    """Return what `--task` takes: the name, or the own card; all of them where none is called like the task."""
    from instructor_eval.tasks import by_name
    from instructor_eval.tasks.cards import known_cards, shipped_cards

    if score.benchmark == by_name.BENCHMARK and f"{by_name.PREFIX}{score.task}" in _given_tasks(score.command):
        return [f"{by_name.PREFIX}{score.task}"]
    if score.task in shipped_cards() or score.task in known_cards():
        return [score.task]
    cards = [text for text in _given(score.command, "--task") if text.endswith((".yaml", ".yml"))]
    called = [card for card in cards if PurePath(card).stem.casefold() == score.task.casefold()]
    return called if len(called) == 1 else cards


def _given_tasks(command: Sequence[str]) -> list[str]:
    """Return what `--task` was given, lists taken apart."""
    return [task for value in _given(command, "--task") for task in value.split(",")]


def _instructions(score: Score) -> str | None:
    """Return what `--instructions` takes; "" for its default, None for a file whose path is not known."""
    name = score.instructions.set
    if name in ("paper", "own") or not _model(score):
        return ""
    if name.partition(":")[0] in SETS:
        return name
    return next((text for text in _given(score.command, "--instructions") if PurePath(text).stem == name), None)


def _reader(score: Score) -> list[str]:
    """Return the flags of prompt retrieval; none of what is the default."""
    if not score.reader:
        return []
    name, selection = score.reader.name, score.reader.selection
    words = [] if name == "nearest" else _flag("--reader", name)
    if name.startswith("hf:") and score.reader.dtype:
        words += _flag("--reader-dtype", score.reader.dtype)
    return words if selection == "similar" else [*words, *_flag("--selection", selection)]
