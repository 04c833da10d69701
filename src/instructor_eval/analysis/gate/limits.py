"""Limits of a gate: margins by task, the level of the tests, limits of drift and speed; from a small YAML file.

    margins:            # points (score x 100) that may be lost
      default: 1.0
      macro: 0.5        # by the mean of all tasks
      tasks:            # a name, or a pattern with *, ? and [...]; upper and lower case differ
        SciFact: 2.0
        "CQADupstack*": 1.5
    alpha: 0.05         # level of the tests
    drift:              # same model and data, other code or machine
      cosine: 1.0e-4    # largest 1 - cosine of a text's two vectors
      top10: 0.01       # share of queries whose ten nearest change
      score: 0.001      # change of a score, fraction of 1
    speed:
      slower: 1.10      # the candidate's time / the baseline's

Every key may be missing, and so may the file; the values above, without `tasks`, are the defaults. A task's margin is
that of its own name if it is listed, else of the first pattern from the top that matches, else the default. A typo must
not loosen a gate: unknown keys, and patterns that decide no task, are errors.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.yaml_file import read_yaml

_POINTS = 100
_MARGIN = (0.001, 50.0, "points, score x 100")
_LONGEST = 300


@dataclass(frozen=True)
class DriftLimits:
    """Limits of the drift gate: movement of the same model on the same data; it fails beyond any of them."""

    cosine: float = 1e-4
    """Largest 1 - cosine between the two vectors of a text."""
    top10: float = 0.01
    """Share of queries whose list of the ten nearest texts differs."""
    score: float = 0.001
    """Absolute difference of a score; fraction of 1."""


@dataclass(frozen=True)
class SpeedLimit:
    """Limit of the speed gate: how much longer than the baseline the candidate may take."""

    slower: float = 1.10
    """Ratio of times, candidate / baseline."""


@dataclass(frozen=True)
class Thresholds:
    """All a gate needs to know of what is tolerated. Margins are fractions of 1."""

    default: float = 0.01
    macro: float = 0.005
    tasks: tuple[tuple[str, float], ...] = ()
    """Names and patterns with their margins, in the order of the file."""
    alpha: float = 0.05
    drift: DriftLimits = field(default_factory=DriftLimits)
    speed: SpeedLimit = field(default_factory=SpeedLimit)
    source: str = "defaults"
    """The file they were read from."""

    def margin(self, task: str) -> float:
        """Return what a task may lose, as a fraction of 1."""
        decides = self._deciding(task)
        return self.default if decides is None else self.tasks[decides][1]

    def check_patterns(self, tasks: Iterable[str]) -> None:
        """Refuse a pattern that decides none of the tasks compared and none that is shipped.

        Raises:
            UserError: it matches nothing, or an earlier entry decides all that it matches.
        """
        from instructor_eval.tasks.cards import shipped_cards

        known = list(dict.fromkeys([*tasks, *shipped_cards()]))
        used = {self._deciding(task) for task in known}
        for place, (pattern, _) in enumerate(self.tasks):
            if place in used:
                continue
            where = f"{self.source}: margins.tasks: '{_short(pattern)}'"
            if any(fnmatchcase(task, pattern) for task in known):
                raise UserError(f"{where} decides no task, others above it or full names do: move it up or delete it")
            hint = (
                did_you_mean(pattern, known) or ": evaluate tasks lists the names, case counts, * stands for any text"
            )
            raise UserError(f"{where} matches no task{hint}")

    def as_json(self) -> dict[str, Any]:
        """Return the thresholds in the file's own layout and units, whole."""
        return {
            "source": self.source,
            "margins": {
                "default": _points(self.default),
                "macro": _points(self.macro),
                "tasks": {pattern: _points(margin) for pattern, margin in self.tasks},
            },
            "alpha": self.alpha,
            "drift": {"cosine": self.drift.cosine, "top10": self.drift.top10, "score": self.drift.score},
            "speed": {"slower": self.speed.slower},
        }

    def _deciding(self, task: str) -> int | None:
        """Return the place in `tasks` of the entry that decides a task."""
        names = (i for i, (pattern, _) in enumerate(self.tasks) if pattern == task)
        patterns = (i for i, (pattern, _) in enumerate(self.tasks) if fnmatchcase(task, pattern))
        return next(names, next(patterns, None))


def read_thresholds(file: Path) -> Thresholds:
    """Return the thresholds of a YAML file.

    Raises:
        UserError: it is missing or not YAML, has an unknown key, or a value that is no number or out of its range.
    """
    source = _Section(file, "", read_yaml(file, "no such thresholds: give the path of a YAML file, or leave it out"))
    source.known("margins", "alpha", "drift", "speed")
    margins, drift, speed = source.section("margins"), source.section("drift"), source.section("speed")
    margins.known("default", "macro", "tasks")
    drift.known("cosine", "top10", "score")
    speed.known("slower")
    plain = Thresholds()
    return Thresholds(
        default=margins.number("default", _points(plain.default), *_MARGIN) / _POINTS,
        macro=margins.number("macro", _points(plain.macro), *_MARGIN) / _POINTS,
        tasks=_tasks(margins.section("tasks")),
        alpha=source.number("alpha", plain.alpha, 1e-6, 0.25, "a level such as 0.05"),
        drift=DriftLimits(
            cosine=drift.number("cosine", plain.drift.cosine, 0.0, 0.1, "1 - cosine"),
            top10=drift.number("top10", plain.drift.top10, 0.0, 1.0, "a share of queries"),
            # The bound keeps out numbers meant as points, which would switch the gate off.
            score=drift.number("score", plain.drift.score, 0.0, 0.02, "a fraction of 1: 0.001 is a tenth of a point"),
        ),
        speed=SpeedLimit(
            slower=speed.number("slower", plain.speed.slower, 1.001, 100.0, "a ratio: 1.10 is 10 % slower")
        ),
        source=str(file),
    )


def _tasks(section: _Section) -> tuple[tuple[str, float], ...]:
    for pattern in section.raw:
        if not isinstance(pattern, str):
            raise section.error(f"{pattern!r}: expected the name of a task: put it in quotes")
        if not pattern.strip() or len(pattern) > _LONGEST or not pattern.isprintable():
            raise section.error(f"{_short(pattern)!r}: expected 1 to {_LONGEST} printable characters")
    return tuple((pattern, section.number(pattern, 0.0, *_MARGIN) / _POINTS) for pattern in section.raw)


class _Section:
    """One mapping of the file; its errors name the file and the way to the key."""

    def __init__(self, file: Path, path: str, raw: object) -> None:
        self.file, self.path = file, path
        self.raw: Mapping[Any, Any] = {} if raw is None else raw if isinstance(raw, dict) else {}
        if raw is not None and not isinstance(raw, dict):
            raise self.error(f"expected a mapping, found {_found(raw)}")

    def error(self, message: str) -> UserError:
        return UserError(f"{self.file}: {f'{self.path}: ' if self.path else ''}{message}")

    def known(self, *keys: str) -> None:
        for key in self.raw:
            if key not in keys:
                hint = did_you_mean(key, keys) if isinstance(key, str) else ""
                raise self.error(f"unknown key {_short(key)}{hint or ': known are ' + ', '.join(keys)}")

    def section(self, key: str) -> _Section:
        return _Section(self.file, f"{self.path}.{key}" if self.path else key, self.raw.get(key))

    def number(self, key: str, default: float, low: float, high: float, unit: str) -> float:
        """Return the number at `key`, from `low` to `high`, both included."""
        value = self.raw.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(f"{_short(key)}: expected a number, found {_found(value)}{_exponent(value)}")
        # Compared before it is made a float: a whole number may be too large for one.
        if not (low <= value <= high):
            raise self.error(f"{_short(key)}: {_short(value)} is not from {low:g} to {high:g} ({unit})")
        return float(value)


def _exponent(value: object) -> str:
    """Return the hint for `1e-4`, which YAML 1.1 takes for a text: it wants the decimal point."""
    if not isinstance(value, str):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    return f": write {number!r} without quotes" if math.isfinite(number) and "e" not in repr(number) else (
        ": write it with a decimal point and without quotes, as 1.0e-4"
    )  # fmt: skip


def _points(fraction: float) -> float:
    """Return a margin as it stands in the file; the rounding undoes what the division left."""
    return round(fraction * _POINTS, 12)


def _short(value: object) -> str:
    """Return `value` for a message: a number of thousands of digits has no decimal text in Python."""
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of more than 70 digits"
    return value if isinstance(value, str) and len(value) <= 80 else reprlib.repr(value)


def _found(value: object) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {reprlib.repr(value)}"
