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

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.schema import WrongValue
from instructor_eval.core.yaml_file import read_yaml

_POINTS = 100
_LONGEST = 300

Margin = Annotated[float, Meta(ge=0.001, le=50.0, description="points, score x 100")]


class Margins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Points that may be lost."""

    default: Margin = 1.0
    macro: Margin = 0.5
    """By the mean of all tasks."""
    tasks: dict[str, Margin] = {}
    """By name or pattern, in the order of the file."""

    def __post_init__(self) -> None:
        for pattern in self.tasks:
            if not pattern.strip() or len(pattern) > _LONGEST or not pattern.isprintable():
                raise WrongValue(("tasks", repr(pattern)), f"expected 1 to {_LONGEST} printable characters")


class DriftLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of the drift gate: movement of the same model on the same data; it fails beyond any of them."""

    cosine: Annotated[float, Meta(ge=0.0, le=0.1, description="1 - cosine")] = 1e-4
    """Largest 1 - cosine between the two vectors of a text."""
    top10: Annotated[float, Meta(ge=0.0, le=1.0, description="a share of queries")] = 0.01
    """Share of queries whose list of the ten nearest texts differs."""
    # The bound keeps out numbers meant as points, which would switch the gate off.
    score: Annotated[float, Meta(ge=0.0, le=0.02, description="a fraction of 1: 0.001 is a tenth of a point")] = 0.001
    """Absolute difference of a score; fraction of 1."""


class SpeedLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limit of the speed gate: how much longer than the baseline the candidate may take."""

    slower: Annotated[float, Meta(ge=1.001, le=100.0, description="a ratio: 1.10 is 10 % slower")] = 1.10
    """Ratio of times, candidate / baseline."""


class ThresholdsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The layout of a file of thresholds."""

    margins: Margins = Margins()
    alpha: Annotated[float, Meta(ge=1e-6, le=0.25, description="a level such as 0.05")] = 0.05
    """Level of the tests."""
    drift: DriftLimits = DriftLimits()
    speed: SpeedLimit = SpeedLimit()


class Thresholds(ThresholdsFile, frozen=True):
    """All a gate needs to know of what is tolerated."""

    source: str = "defaults"
    """The file they were read from."""

    @property
    def macro(self) -> float:
        """The loss allowed to the mean of all tasks, as a fraction of 1."""
        return self.margins.macro / _POINTS

    def margin(self, task: str) -> float:
        """Return what a task may lose, as a fraction of 1."""
        decides = self._deciding(task)
        return (self.margins.default if decides is None else self.margins.tasks[decides]) / _POINTS

    def check_patterns(self, tasks: Iterable[str]) -> None:
        """Refuse a pattern that decides none of the tasks compared and none that is shipped.

        Raises:
            UserError: it matches nothing, or an earlier entry decides all that it matches.
        """
        from instructor_eval.tasks.cards import shipped_cards

        known = list(dict.fromkeys([*tasks, *shipped_cards()]))
        used = {self._deciding(task) for task in known}
        for pattern in self.margins.tasks:
            if pattern in used:
                continue
            where = f"{self.source}: margins.tasks: '{pattern[:80]}'"
            if any(fnmatchcase(task, pattern) for task in known):
                raise UserError(f"{where} decides no task, others above it or full names do: move it up or delete it")
            hint = (
                did_you_mean(pattern, known) or ": evaluate tasks lists the names, case counts, * stands for any text"
            )
            raise UserError(f"{where} matches no task{hint}")

    def as_json(self) -> dict[str, Any]:
        """Return the thresholds in the file's own layout and units, whole, with their source."""
        return {"source": self.source, **msgspec.to_builtins(self)}

    def _deciding(self, task: str) -> str | None:
        """Return the entry of `tasks` that decides a task: its own name, or the first pattern."""
        patterns = (pattern for pattern in self.margins.tasks if fnmatchcase(task, pattern))
        return task if task in self.margins.tasks else next(patterns, None)


def read_thresholds(file: Path) -> Thresholds:
    """Return the thresholds of a YAML file.

    Raises:
        UserError: it is missing or not YAML, has an unknown key, or a value that is no number or out of its range.
    """
    document = read_yaml(file, "no such thresholds: give the path of a YAML file, or leave it out")
    found = document.without_empty("margins", "tasks", "drift", "speed").parse(ThresholdsFile)
    return Thresholds(found.margins, found.alpha, found.drift, found.speed, str(file))
