"""Run a command in a process group of its own, and end the whole group when the one who started this is gone.

    python guard.py COMMAND ...

Standard input is a pipe that the starter holds open: it closes when the starter ends, whatever ended it, and then
nothing of the command is left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress


def main() -> int:
    """Start the command, and wait for its end or that of the pipe."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)

    def end() -> None:
        sys.stdin.buffer.read()
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    threading.Thread(target=end, daemon=True).start()
    code = child.wait()
    with suppress(ProcessLookupError):  # what it started in its turn
        os.killpg(child.pid, signal.SIGKILL)
    return code


if __name__ == "__main__":
    sys.exit(main())
