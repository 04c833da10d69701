"""Files that appear whole or not at all, and what a killed write left behind.

A file is written beside its place under a hidden name, `.NAME.MACHINE-PROCESS.RANDOM.tmp`, and renamed. Where its
writer was killed the hidden one stays: the next process that writes into the folder removes it, if its process is dead
or, of another machine, if it is older than a day. Nothing of another name is touched.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_LEFT = re.compile(r"\..{1,40}\.([0-9a-f]{8})-([1-9][0-9]{0,9})\.[A-Za-z0-9_]{8}\.tmp", re.DOTALL)
_DAY = 24 * 60 * 60.0
_CLEANED: set[tuple[int, str]] = set()
"""Folders looked into by this process, whose number is beside them: a fork is another one."""


def atomic_write(path: Path, write: Any) -> None:
    """Write a file so that readers see the old one or the whole new one, also after a power cut.

    Raises:
        OSError: its folder cannot be written, or the disk is full; nothing is left behind.
    """
    looked_at = (os.getpid(), os.path.abspath(path.parent))  # noqa: PTH100 # a link stays one
    if looked_at not in _CLEANED:
        _CLEANED.add(looked_at)
        remove_left_behind(path.parent)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name[:40]}.{_machine()}-{os.getpid()}.", suffix=".tmp"
    )
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as f:
            write(f)
            f.flush()
            os.fsync(f.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def check_writable(folder: Path) -> None:
    """Check that files can be written to a folder. One that is not there is not made: what is above it is tried.

    Raises:
        OSError: it is a file, or what would hold it cannot be written.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))
    with tempfile.TemporaryFile(dir=there):
        pass


def remove_left_behind(folder: Path, *, below: Iterable[str] = ()) -> None:
    """Remove the hidden files of dead writers in a folder; one that cannot be removed stays.

    Args:
        folder: Where to look.
        below: Folders in it that are looked through too, with all that they hold.
    """
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 # names alone
            if _LEFT.fullmatch(name):
                _remove_if_dead(folder / name)
    for part in below:
        for at, _, names in os.walk(folder / part):
            for name in filter(_LEFT.fullmatch, names):
                _remove_if_dead(Path(at, name))


def _remove_if_dead(path: Path) -> None:
    found = _LEFT.fullmatch(path.name)
    with contextlib.suppress(OSError):
        if found is None or not path.is_file() or path.is_symlink():
            return
        ours = found[1] == _machine()
        if (ours and not is_alive(int(found[2]))) or (not ours and time.time() - path.lstat().st_mtime > _DAY):
            path.unlink(missing_ok=True)


def is_alive(process: int) -> bool:
    """Return whether a process of that number runs on this machine."""
    if os.name != "posix":  # elsewhere this call would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True


@functools.cache
def _machine() -> str:
    """Eight digits for where process numbers are ours: this machine, since it was started, in this container."""
    parts = [os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
    with contextlib.suppress(OSError):
        parts.append(str(os.readlink("/proc/self/ns/pid")))  # noqa: PTH115 # it leads to no file
    return hashlib.sha256("\n".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:8]


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system can."""
    try:
        fd = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
