"""Libraries that only some commands need: is one installed, which extra brings it, and how transformers is silenced.

None is imported before it is used.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.output import warn


def missing(modules: Sequence[str]) -> list[str]:
    """Return the modules that are not installed."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


def require(modules: Sequence[str], extra: str, for_what: str, *, otherwise: str = "") -> None:
    """Check that libraries are installed.

    Args:
        modules: Their names as they are imported.
        extra: The extra of this package that brings them; empty: they are installed under their own names.
        for_what: Begins the error, as `search faiss`.
        otherwise: Ends the error: what helps instead of an installation.

    Raises:
        UserError: some are not; the line names all of them and how they are installed.
    """
    absent = missing(modules)
    if not absent:
        return
    *most, last = absent
    names = f"{', '.join(most)} and {last}" if most else last
    package = f"'instructor-eval[{extra}]'" if extra else " ".join(absent)
    raise UserError(f"{for_what} needs {names}: pip install {package}{otherwise and f'; {otherwise}'}")


def folder_of(module: str) -> Path | None:
    """Return the folder of an installed package without importing it; None where it is not installed."""
    found = importlib.util.find_spec(module)
    places = found.submodule_search_locations if found else None
    return Path(places[0]) if places else None


def show_logs(*, verbose: bool) -> None:
    """Let libraries log errors only, or with `verbose` what goes on too, each a line of ours: once a process."""
    logger = logging.getLogger()
    logger.addHandler(_Lines())
    logger.setLevel(logging.INFO if verbose else logging.ERROR)
    for name in ("TRANSFORMERS_VERBOSITY", "DATASETS_VERBOSITY", "HF_HUB_VERBOSITY"):
        os.environ.setdefault(name, "info" if verbose else "error")


def logs_are_shown() -> bool:
    """Return whether `-v` was given."""
    return any(isinstance(handler, _Lines) for handler in logging.getLogger().handlers) and logging.getLogger(
        "instructor_eval"
    ).isEnabledFor(logging.INFO)


class _Lines(logging.Handler):
    """Prints records on standard error, with nothing in them that drives a terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one."""
        with contextlib.suppress(Exception):  # of a library's own format
            warn(f"{record.name}: {one_line(record.getMessage())}")


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' log lines, progress bars and warnings, for as long as the block runs; not with `-v`."""
    if logs_are_shown():
        yield
        return
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
