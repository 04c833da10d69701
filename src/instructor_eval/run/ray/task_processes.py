"""The run's side of its task processes: started, fed, listened to, and noticed when they are gone."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.run.ray.task_process import Setup, main

STOP_SECONDS = 5.0


class TaskProcess:
    """One process for tasks.

    Args:
        number: Which; no two of a run are the same.
        setup: What it works with.
        post: Called by threads of ours with a function, which is to be called in the run's thread.
        heard: Called there with every message.
        gone: Called there when it has ended, whyever.

    Raises:
        UserError: something of the run cannot be handed to another process.
    """

    def __init__(
        self,
        number: int,
        setup: Setup,
        post: Callable[[Callable[[], None]], None],
        heard: Callable[[TaskProcess, tuple[Any, ...]], None],
        gone: Callable[[TaskProcess], None],
    ) -> None:
        self.number = number
        self.task: tuple[int, str] | None = None
        """The plan's number and the task that it is at."""
        self._post, self._heard, self._gone = post, heard, gone
        try:
            self._first = pickle.dumps(setup)
        except (pickle.PicklingError, TypeError, AttributeError) as e:
            raise UserError(f"--executor ray cannot hand this run to another process ({e}): leave it out") from e
        self._connection, other = Pipe()
        # Not of `multiprocessing`, which would run the user's own script once more in it.
        command = [sys.executable, "-c", f"from {main.__module__} import main; main()", str(other.fileno())]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(command, env=environment, pass_fds=[other.fileno()])  # noqa: S603
        other.close()
        self._out: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._listen, self._talk)]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def send(self, message: object) -> None:
        """Hand a message over; that the process may be slow to take it holds nobody up."""
        self._out.put(message)

    def _talk(self) -> None:
        with suppress(OSError, ValueError):
            self._connection.send_bytes(self._first)
            while (message := self._out.get()) is not None:
                self._connection.send(message)

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                message = self._connection.recv()
                self._post(lambda message=message: self._heard(self, message))  # type: ignore[misc]
        self._post(lambda: self._gone(self))

    def stop(self) -> None:
        """End it, at once where it is at a task."""
        if self.task is None:
            self._out.put(("stop", 0, ""))
            self._wait()
        for end in (self._process.terminate, self._process.kill):
            if self._process.poll() is None:
                end()
                self._wait()
        self._out.put(None)
        for thread in self._threads:
            thread.join(STOP_SECONDS)
        self._connection.close()

    def _wait(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
