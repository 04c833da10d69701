"""Plugins: what installed packages bring by entry points. A group is read without loading what it names.

| group `instructor_eval.` | an entry names                                            | asked by          |
|--------------------------|-----------------------------------------------------------|-------------------|
| `forms`                  | a `variants.Form` of that name                            | `models/variant.py`     |
| `tasks`                  | a folder of task cards, or a function that gives one      | `tasks/cards.py`        |
| `scorers`                | a `Metric`, or a function: items -> the metric of that name | `metrics/`      |
| `readers`                | a function: (rest, device=, dtype=, offline=) -> `Reader` | `readers/find.py` |
| `models`                 | a function: (rest, `Serving`) -> `ServedModel`            | `models/served/kinds.py` |
| `search`                 | a function: `SearchSpec` -> `VectorStore`                 | `search/spec.py`  |

Names of ours are looked up first and cannot be taken. A plugin is loaded when its name is asked for, so a broken one
stops nothing but what needs it. Whatever a stranger's code raises becomes one line that names the package.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from instructor_eval.core.errors import UserError

FORMS, TASKS, SCORERS, READERS, MODELS, SEARCH = (
    f"instructor_eval.{kind}" for kind in ("forms", "tasks", "scorers", "readers", "models", "search")
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
"""The form of a name: it stands in file names, on the command line, and before a colon."""


@dataclass(frozen=True)
class Plugin:
    """One entry of a group, not loaded yet."""

    group: str
    name: str
    value: str
    """`module:attribute`"""
    package: str
    """Name and version of the package that brings it; empty where that is not known."""
    point: Any
    also: str = ""
    """Another package that brings the same name: which one is meant cannot be known."""

    @property
    def what(self) -> str:
        """Return its name in errors: `scorer f1 (acme 1.0)`."""
        kind = self.group.rpartition(".")[2].removesuffix("s")
        return f"{kind} {self.name} ({self.package or self.value})"

    def load(self, fits: Callable[[Any], bool], expected: str) -> Any:
        """Import the entry's module and return what it names.

        Args:
            fits: Whether it is of the right kind.
            expected: That kind in words, for the error.

        Raises:
            UserError: it cannot be imported, is of another kind, or two packages bring the name.
        """
        if self.also:
            raise UserError(f"{self.what}: {self.also} brings one of that name too: uninstall one of them")
        loaded = self.run(self.point.load, "cannot be loaded")
        if not self.run(lambda: fits(loaded), "cannot be used"):
            raise UserError(f"{self.what}: {self.value} is no {expected}: correct or uninstall it")
        return loaded

    def run(self, call: Callable[[], Any], failing: str) -> Any:
        """Run a stranger's code.

        Raises:
            UserError: it raised something; a `UserError` of its own comes through as it is.
        """
        try:
            return call()
        except UserError:
            raise
        except (Exception, SystemExit) as e:  # whatever a stranger's package raises
            raise UserError(
                f"{self.what} {failing} ({type(e).__name__}: {str(e)[:300]}): correct or uninstall {self.value}"
            ) from e


@cache
def found(group: str) -> dict[str, Plugin]:
    """The entries of a group by name, in the order of their names; those whose names cannot be used are left out."""
    entries: dict[str, Plugin] = {}
    for point in sorted(importlib.metadata.entry_points(group=group), key=lambda p: (p.name, p.value)):
        if not _NAME.fullmatch(point.name):
            continue
        dist = getattr(point, "dist", None)
        new = Plugin(group, point.name, point.value, f"{dist.name} {dist.version}" if dist else "", point)
        other = entries.get(point.name)
        if other is None:
            entries[point.name] = new
        elif (other.value, other.package) != (new.value, new.package):
            entries[point.name] = Plugin(
                group, other.name, other.value, other.package, other.point, also=new.package or new.value
            )
    return entries
