"""Evaluate instruction-tuned text embedding models.

The names below are the library's public face. They load on first use, so that importing the package, or running a
command that only reads results, never imports torch.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from instructor_eval.analysis.notebook import Compared, Result, Results
    from instructor_eval.api import compare, evaluate, gate, get_task, list_tasks, load_results, train
    from instructor_eval.core.errors import UserError
    from instructor_eval.models.drop_in import INSTRUCTOR
    from instructor_eval.models.library import load_encoder

    __version__: str

_HOMES = {
    **dict.fromkeys(("Compared", "Result", "Results"), "analysis.notebook"),
    "UserError": "core.errors",
    "load_encoder": "models.library",
    "INSTRUCTOR": "models.drop_in",
}
"""Where the names are that are not in `api`."""
__all__ = [
    "INSTRUCTOR",
    "Compared",
    "Result",
    "Results",
    "UserError",
    "__version__",
    "compare",
    "evaluate",
    "gate",
    "get_task",
    "list_tasks",
    "load_encoder",
    "load_results",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name == "__version__":
        return importlib.metadata.version("instructor-eval")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"instructor_eval.{_HOMES.get(name, 'api')}"), name)


def __dir__() -> list[str]:
    """Show the public names alone to `dir()` and completion."""
    return __all__
