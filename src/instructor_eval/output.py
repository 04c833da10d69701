"""Standard output of commands whose exit code decides something: the code must not hang on who reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from instructor_eval.errors import UserError


def tell(text: str) -> None:
    """Print a text; where the reader has gone (`| head`) say nothing more, and let the command end as it would.

    Raises:
        UserError: it cannot be written for another reason, such as a full disk.
    """
    if sys.stdout is None:  # closed by whoever started us
        return
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        silence()
    except OSError as e:
        raise _not_written(e) from e


def flush() -> None:
    """Write out what was printed.

    Raises:
        BrokenPipeError: nobody reads it.
        UserError: it cannot be written for another reason.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as e:
        raise _not_written(e) from e


def silence() -> None:
    """Send what is printed, and what waits to be, nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send nowhere what libraries in C++ and Rust print, past Python's standard error: FAISS's hints, panics."""
    with _nowhere(2):
        yield


@contextmanager
def quiet_output() -> Iterator[None]:
    """Send nowhere what libraries print while they load a stranger's files: some print names out of them, raw."""
    with _nowhere(1), _nowhere(2):
        yield


@contextmanager
def _nowhere(number: int) -> Iterator[None]:
    try:
        before = os.dup(number)
    except OSError:  # it is closed
        yield
        return
    stream = {1: sys.stdout, 2: sys.stderr}[number]
    try:
        if stream is not None:
            stream.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
        yield
    finally:
        os.dup2(before, number)
        os.close(before)


def _not_written(e: OSError) -> UserError:
    silence()
    return UserError(f"cannot write to standard output: {(e.strerror or str(e)).lower()}")
