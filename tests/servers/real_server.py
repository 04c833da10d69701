"""Servers of other projects, each installed into an environment of its own and run as a process group of its own."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent
LONGEST = 240.0
"""Seconds for a server to answer: many times what it takes on a quiet machine."""


def environment(name: str, folder: Path) -> Path:
    """The folder of the programs of an environment with what `NAME.txt` lists, made in `folder` unless it is there.

    pip's own build of torch is the one that `constraints.txt` of this project names, too: a range would bring another.
    """
    wanted = (HERE / f"{name}.txt").read_text()
    place, mark = folder / name, folder / name / "installed.txt"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted:
            shutil.rmtree(place, ignore_errors=True)
            venv.create(place, with_pip=True)
            install = [str(place / "bin" / "python"), "-m", "pip", "install", "-qq", "--no-deps", "-r"]
            done = subprocess.run([*install, str(HERE / f"{name}.txt")], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-2000:]
            mark.write_text(wanted)
    return place / "bin"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class RealServer:
    """A server that can be started, killed, and started again at the same port.

    Args:
        command: The program with its arguments.
        answers: Whether it is ready; called again and again, and may raise.
        log: Where its output goes; its folder is the working folder.
        env: Variables beside `PATH` and `HOME`.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        answers: Callable[[], bool],
        log: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.command, self._answers, self._log = command, answers, log
        self._env = {"PATH": os.environ["PATH"], "HOME": str(log.parent), **(env or {})}
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RealServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, str(HERE / "guard.py"), *map(str, self.command)],
                stdin=subprocess.PIPE, stdout=log, stderr=log, env=self._env, cwd=self._log.parent,
                start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + LONGEST
        while time.monotonic() < end:
            if self._guard.poll() is not None:
                break
            with suppress(Exception):
                if self._answers():
                    return
            time.sleep(0.2)
        self.kill()
        raise AssertionError(f"{self.command[0]} does not answer:\n{self._log.read_text(errors='replace')[-3000:]}")

    def kill(self) -> None:
        """End it with everything it started, at once, as SIGKILL does."""
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            self._guard.wait(timeout=LONGEST)
            self._guard = None
