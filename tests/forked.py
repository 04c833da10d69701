"""The children of the kill tests: waited for, killed, robbed of their privileges."""

from __future__ import annotations

import ctypes
import os
import signal
import time


def wait(number: int, seconds: float | None = None) -> int | None:
    """A child's exit code, minus the signal that ended it; None if it still runs after `seconds`."""
    until = time.monotonic() + (60.0 if seconds is None else seconds)
    while time.monotonic() < until:
        ended, status = os.waitpid(number, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.0005)
    if seconds is None:
        kill(number)
        raise TimeoutError("a child hangs")
    return None


def kill(number: int) -> None:
    """End a child as a power cut would."""
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)


def drop_privileges() -> None:
    """Even root must keep to the permissions of files from here on."""
    version_3, this_process, none = 0x20080522, 0, (ctypes.c_uint32 * 6)()
    if os.geteuid() == 0:
        assert ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(version_3, this_process), none) == 0
