"""Waiting for what another thread or process does: for the event, however long the machine takes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

LONGEST = 600.0
"""Seconds after which something hangs, on the slowest machine."""
_T = TypeVar("_T")


def wait_for(what: Callable[[], _T], why: str) -> _T:
    """Return what it gives once that is something.

    Raises:
        AssertionError: it never comes.
    """
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.01)
    raise AssertionError(f"in vain: {why}")


def vectors_in(cache: Path) -> int:
    """Return how many vectors are in a cache that another process writes."""
    from instructor_eval.cache.database import FILE_NAME

    address = f"{(cache / FILE_NAME).as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(address, uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM entries").fetchone()[0])
    return 0
