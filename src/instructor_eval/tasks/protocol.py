"""The protocol choices: points where the paper's code, mteb and common sense differ, each with a name and a default.

docs/protocol.md explains each and gives its source.
"""

from __future__ import annotations

from collections.abc import Sequence

from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.tasks import types

PROTOCOL_VERSION = "1"
"""A number that goes up when the same choices would give another score: part of every score's identity."""

CHOICES: dict[str, tuple[str, ...]] = {
    "summeval": ("v1", "v2"),
    "summeval_machine_instruction": ("on", "off"),
    "pair_ap": ("max", "cosine"),
    "clustering_256": ("off", "on"),
    "empty_text": ("encode", "error"),
    "rouge": ("mean", "bootstrap"),
    "amazon": ("all", "third-worst"),
}
"""Choice -> its values; the first is the default and mteb's way."""

# The choices of the authors' code of 2022 (github xlang-ai/instructor-embedding, commit 9a9742c).
PAPER = {
    "summeval": "v1",
    "summeval_machine_instruction": "off",
    "pair_ap": "cosine",
    "clustering_256": "on",
    "rouge": "bootstrap",
    "amazon": "third-worst",
}


def parse(given: Sequence[str]) -> dict[str, str]:
    """Parse the values of `--protocol`: `mteb`, `paper`, or CHOICE=VALUE; later ones win.

    Raises:
        UserError: an unknown choice or value.
    """
    chosen = {name: values[0] for name, values in CHOICES.items()}
    for text in given:
        if text == "mteb":
            chosen = {name: values[0] for name, values in CHOICES.items()}
        elif text == "paper":
            chosen |= PAPER
        else:
            name, sep, value = text.partition("=")
            if name in CHOICES and not sep:
                raise UserError(f"--protocol {name} needs a value: {' or '.join(f'{name}={v}' for v in CHOICES[name])}")
            if not sep or name not in CHOICES:
                hint = did_you_mean(name, CHOICES) or f": known are mteb, paper, and {', '.join(CHOICES)} with =VALUE"
                raise UserError(f"unknown protocol choice '{text}'{hint}")
            if value not in CHOICES[name]:
                raise UserError(f"--protocol {name}={value}: the values are {', '.join(CHOICES[name])}")
            chosen[name] = value
    return chosen


def relevant(choices: dict[str, str], task_type: str, task: str = "") -> dict[str, str]:
    """Return the choices that can change this task's score; only they are part of its identity."""
    concerned = {"empty_text", *types.get(task_type).choices_of(task)}
    return {name: value for name, value in choices.items() if name in concerned}
