"""The children of the kill tests: waited for, ended, robbed of their privileges."""

from __future__ import annotations

import ctypes
import os
import signal
import time

from waiting import LONGEST

KILLED = -signal.SIGPROF
"""The exit code of a child that `end_after` ended."""


def wait(number: int) -> int:
    """A child's exit code, or minus the signal that ended it."""
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        ended, status = os.waitpid(number, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.0005)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    raise TimeoutError("a child hangs")


def end_after(seconds: float) -> None:
    """End this process after so many seconds of its processors' time, as a power cut would: wherever it then is.

    How busy the machine is changes nothing: the kernel counts, and no handler runs. At once if `seconds` is 0.
    """
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    if seconds > 0:
        signal.setitimer(signal.ITIMER_PROF, seconds)
    else:
        os.kill(os.getpid(), signal.SIGPROF)


def drop_privileges() -> None:
    """Even root must keep to the permissions of files from here on."""
    version_3, this_process, none = 0x20080522, 0, (ctypes.c_uint32 * 6)()
    if os.geteuid() == 0:
        assert ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(version_3, this_process), none) == 0
