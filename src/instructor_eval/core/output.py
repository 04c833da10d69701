"""Standard output and standard error: what goes through here drives no terminal, and ends no command that could go on.

Texts from outside (names, paths, servers' replies) are in every line: what is no text is replaced before it is shown.
An exit code decides something, so that it must not depend on who reads. Standard error is for people: where nobody
hears it, nothing is lost.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
import textwrap
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from instructor_eval.core.errors import UserError, fitted, printable, reason

_COLOURS = (
    (re.compile(r"▼|✗( REGRESSED)?|\bREGRESSED\b|\bFAILED\b"), 31),
    (re.compile(r"▲|✓( OK)?|\bIMPROVED\b"), 32),
    (re.compile(r"\bINCONCLUSIVE\b|\bwarning\b(?=:)"), 33),
)
_ERASED = "\r\x1b[K"
_LONGEST, _LONGEST_SAID = 490, 1000
"""Characters of a line on standard error, and of one that says what goes on."""


_lock = threading.RLock()
"""Held while anything is printed: a line that passes by is drawn by a thread."""
_passing: list[bool] = [False]
"""True while a line stands there that `pass_by` has put."""


@contextmanager
def _in_its_place() -> Iterator[None]:
    """Print where a line that passes by stood."""
    with _lock:
        if _passing[0]:
            _passing[0] = False
            _hint(_ERASED)
        yield


def tell(text: str = "") -> None:
    """Print lines; where the reader has gone (`| head`) say nothing more, and let the command end as it would.

    Raises:
        UserError: they cannot be written for another reason, such as a full disk.
    """
    if sys.stdout is None:  # closed by whoever started us
        return
    try:
        with _in_its_place():
            sys.stdout.write(f"{coloured(shown(text))}\n")
            sys.stdout.flush()
    except BrokenPipeError:
        silence()
    except OSError as e:
        raise _not_written(e) from e


def tell_bytes(content: bytes) -> None:
    """Write a file to standard output as it is; see `tell`."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    except BrokenPipeError:
        silence()
    except OSError as e:
        raise _not_written(e) from e


def say(line: str) -> None:
    """Print a line of what goes on. Where it cannot be written the work goes on, and `tell` says so at its end."""
    if sys.stdout is None:
        return
    text = prose("\n".join(fitted(part, _LONGEST_SAID) for part in shown(line).split("\n")))
    try:
        with _in_its_place():
            sys.stdout.write(f"{coloured(text)}\n")
            sys.stdout.flush()
    except BrokenPipeError:
        silence()
    except OSError:  # it waits in the stream, and is tried again with what follows
        return


def warn(text: str) -> None:
    """Print lines on standard error; where that is closed or full, say nothing."""
    with _in_its_place():
        _hint("\n".join(fitted(line, _LONGEST) for line in shown(text).split("\n")) + "\n")


def pass_by(line: str) -> None:
    """Put a line in the place of the one that this put there before, on a terminal; an empty one takes it away."""
    with _lock:
        if line or _passing[0]:
            _hint(_ERASED + fitted(printable(line), _width() - 1))
        _passing[0] = bool(line)


def _width() -> int:
    """Return the width of the terminal that standard error is."""
    try:
        return max(20, os.get_terminal_size(2).columns)
    except OSError:
        return columns()


def _hint(text: str) -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


def shown(text: str) -> str:
    """Return lines of text with everything replaced that would drive a terminal."""
    return "\n".join(map(printable, text.split("\n")))


def columns() -> int:
    """Return how many characters a line of a table may have: the terminal's, else 120."""
    return shutil.get_terminal_size((120, 40)).columns


def coloured(text: str) -> str:
    """Return text with its verdicts in colour, on a terminal: red is worse, green better, yellow open.

    Never with $NO_COLOR or on a dumb terminal, and never in JSON.
    """
    if not is_terminal() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or text[:1] in ("{", "["):
        return text
    for pattern, colour in _COLOURS:
        text = pattern.sub(f"\x1b[{colour}m\\g<0>\x1b[0m", text)
    return text


def is_terminal() -> bool:
    """Return whether what is printed is shown on a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def prose(text: str) -> str:
    """Return lines broken between words where a terminal would break them within; elsewhere as they are.

    Indentation stays.
    """
    if not is_terminal():
        return text
    lines = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        lines += textwrap.wrap(
            line, max(columns(), 40), subsequent_indent=indent and f"{indent}  ", break_long_words=False,
            break_on_hyphens=False,
        ) or [""]  # fmt: skip
    return "\n".join(lines)


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
            with contextlib.suppress(OSError):  # what cannot be written now waits in the stream
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
    return UserError(f"cannot write to standard output: {reason(e)}: free some space, or send it elsewhere")


def prepare_streams() -> None:
    """Make the three streams safe for us and every library: at the start of a process, before anything is opened.

    A descriptor that is closed leads nowhere from here on: else the next file opened would get its number, and what a
    library prints would be written into it. Standard error takes every write, also where it is full. Where a stream can
    hold no `Δ`, an escape stands for it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
    if not sys.warnoptions:  # what libraries note for programmers is no line of ours
        warnings.simplefilter("ignore")
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 # as long as the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stderr is None or _is_plain(sys.stderr):
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_Patient(2, "wb", closefd=False), 1),
            encoding=encoding, errors="backslashreplace", line_buffering=True, write_through=True,
        )  # fmt: skip


def _is_plain(stream: object) -> bool:
    """Return whether it is Python's own way to descriptor 2, and not what a test or a library put in its place."""
    with contextlib.suppress(OSError, ValueError):
        return isinstance(stream, io.TextIOWrapper) and stream.fileno() == 2
    return False


class _Patient(io.FileIO):
    """A descriptor whose writes never fail."""

    def write(self, content: Any, /) -> int:
        with contextlib.suppress(OSError):
            super().write(content)
        return len(memoryview(content).cast("B"))
