"""Files that somebody else wrote: regular ones only, and of bounded size, before anything reads them.

A checkpoint, a card or a data set may hold a FIFO (which never ends), a link to `/dev/zero` (which fills memory), or a
JSON file of a terabyte. Everything from outside is opened here, or its folder is walked here before a library gets it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError, reason

TEXT_BYTES = 32 * 2**20
"""Of a configuration or a card; the index of the largest model's weights has 9 MB."""
TOKENIZER_BYTES = 128 * 2**20
"""Of a tokenizer; Gemma's has 34 MB."""
MOST_FILES = 100_000
_LONGEST_LINE = 100_000_000
"""Characters: the largest set of texts in one line of mteb's data has seventy million."""
MOST_VALUES = 4_000_000
"""Brackets and commas of a JSON text: each value takes sixty bytes in memory, and may take two in the file."""
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def is_folder(path: Path) -> bool:
    """Tell whether there is such a folder; there is none of a name that no file system can hold."""
    return os.path.isdir(path)  # noqa: PTH112 # Path.is_dir raises for some


def check_regular(path: Path) -> None:
    """Check that a library may be given a file.

    Raises:
        OSError: it is missing, or no regular file.
    """
    _check_kind(path, path.stat().st_mode)


def open_outside(path: Path) -> io.BufferedReader:
    """Open a regular file for reading bytes; never wait for one that is something else.

    Raises:
        OSError: it is missing, no regular file, or may not be read.
    """
    check_regular(path)
    # Should it have been changed for a FIFO since: opening it does not wait, and what was opened is looked at again.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _check_kind(path, os.fstat(number).st_mode)
    except OSError:
        os.close(number)
        raise
    return io.BufferedReader(io.FileIO(number))


def _check_kind(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "of an unknown kind")
        raise OSError(errno.EINVAL, f"it is {kind}, no regular file", str(path))


def read_bytes(path: Path, most: int = TEXT_BYTES) -> bytes:
    """Return a file's content.

    Raises:
        OSError: it cannot be opened, or has more than `most` bytes.
    """
    try:
        file = open_outside(path)
    except ValueError as e:  # a NUL in its name
        raise OSError(errno.EINVAL, str(e), str(path)) from e
    with file:
        size = os.fstat(file.fileno()).st_size
        # Not by its size alone: some files of the system have none, and never end.
        raw = b"" if size > most else file.read(most + 1)
        if max(size, len(raw)) > most:
            raise OSError(errno.EFBIG, f"it is larger than {most // 2**20} MB", str(path))
    return raw


def read_text(path: Path, most: int = TEXT_BYTES, *, errors: str = "strict") -> str:
    """Return a UTF-8 file's text.

    Raises:
        OSError: it cannot be opened, or has more than `most` bytes.
        ValueError: it is not UTF-8.
    """
    return read_bytes(path, most).decode("utf-8", errors)


def read_json(path: Path, most: int = TEXT_BYTES, *, most_values: int = MOST_VALUES) -> Any:
    """Return the value of a JSON file.

    Raises:
        OSError: it cannot be opened, or has more than `most` bytes.
        ValueError: it is not JSON, nested without end, or unfolds to more than fits.
    """
    return parse_json(read_text(path, most), most_values=most_values)


def parse_json(text: str, *, most_values: int = MOST_VALUES, **hooks: Any) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is not JSON, nested without end, or unfolds to more than fits.
    """
    if len(text) > most_values and sum(map(text.count, "[{,")) > most_values:
        raise ValueError(f"more than {most_values:,} values")
    try:
        return json.loads(text, **hooks)
    except RecursionError as e:
        raise ValueError("nested too deeply") from e


def why(e: BaseException) -> str:
    """Return in a few words why a file could not be read."""
    return (reason(e) if isinstance(e, OSError) else str(e) or type(e).__name__)[:300]


def walk(folder: Path, *, depth: int, skip: Iterable[str] = ()) -> Iterator[Path]:
    """Yield everything below a folder that is no folder, links followed; hidden names are left out.

    Args:
        folder: Where to begin.
        depth: Folders in folders that are looked into.
        skip: Names of folders that are not.

    Raises:
        OSError: a folder is linked into itself, or there are more than `MOST_FILES` files.
    """
    left = MOST_FILES
    todo: list[tuple[Path, int, tuple[tuple[int, int], ...]]] = [(folder, depth, (_place(folder),))]
    while todo:
        place, deeper, above = todo.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                left -= 1
                if left < 0:
                    raise OSError(errno.EFBIG, f"it holds more than {MOST_FILES:,} files", str(folder))
                if entry.name.startswith("."):
                    continue
                path = Path(place, entry.name)
                if not entry.is_dir():
                    yield path
                elif deeper and entry.name not in skip:
                    here = _place(path)
                    if here in above:
                        raise OSError(errno.ELOOP, "it is a link to a folder that it lies in", str(path))
                    todo.append((path, deeper - 1, (*above, here)))


def _place(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def panics_raised() -> Iterator[None]:
    """Raise an ordinary error for the panic of a library in Rust: pyo3's `PanicException` is no `Exception`.

    Raises:
        RuntimeError: for a panic.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as e:
        if type(e).__name__ != "PanicException":
            raise
        raise RuntimeError(str(e)) from e


@contextlib.contextmanager
def as_user_error(prefix: str, step: str) -> Iterator[None]:
    """Turn what a library raises into one line: `PREFIX (reason): STEP`. An error of ours comes through.

    Raises:
        UserError: for whatever the block raises, but an interrupt or an exit.
    """
    try:
        with panics_raised():
            yield
    except UserError:
        raise
    except Exception as e:
        kind = "" if isinstance(e, OSError) or type(e) in (Exception, ValueError) else f"{type(e).__name__}: "
        raise UserError(f"{prefix} ({kind}{why(e)}): {step}") from e


def text_lines(path: Path, *, end: str = "") -> Iterator[str]:
    r"""Yield the lines of a UTF-8 file with their ends; a byte-order mark is skipped.

    Args:
        path: The file.
        end: What alone ends a line; by default "\n", "\r" and both together.

    Raises:
        UserError: it cannot be opened, is not UTF-8, or a line has a NUL or is longer than any.
    """
    number = 0
    try:
        with io.TextIOWrapper(open_outside(path), encoding="utf-8-sig", newline=end) as file:
            while line := file.readline(_LONGEST_LINE + 1):
                number += 1
                if len(line) > _LONGEST_LINE:
                    raise UserError(f"{path}, line {number}: more than {_LONGEST_LINE:,} characters")
                if "\0" in line:
                    raise UserError(f"{path}, line {number}: a NUL in it, as UTF-16 has them: save it as UTF-8")
                yield line
    except FileNotFoundError as e:
        raise UserError(f"{path}: no such file") from e
    except UnicodeDecodeError as e:
        raise UserError(f"{path}, line {_undecodable(path)}: not UTF-8 ({e.reason}): save it as UTF-8") from e
    except OSError as e:
        raise UserError(f"{path}: cannot be read ({reason(e)})") from e


def _undecodable(path: Path) -> int:
    """Return the number of the first line that is not UTF-8."""
    with open_outside(path) as f:
        for number, line in enumerate(f, 1):
            try:
                line.decode("utf-8-sig")
            except UnicodeDecodeError:
                return number
    return 1
