"""The run's side of its task processes: started, fed, listened to, and noticed when they are gone."""

from __future__ import annotations

import multiprocessing
import pickle
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.reduction import ForkingPickler
from typing import Any

from instructor_eval.errors import UserError
from instructor_eval.executors.task_process import Setup, main

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
        context = multiprocessing.get_context("spawn")
        try:
            given = ForkingPickler.dumps(setup)
        except (pickle.PicklingError, TypeError, AttributeError) as e:
            raise UserError(f"--executor ray cannot hand this run to another process ({e}): leave it out") from e
        self._connection, other = context.Pipe()
        self._process = context.Process(target=main, args=(other,), daemon=True, name=f"tasks-{number}")
        self._process.start()
        other.close()
        self._out: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._first = given
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._listen, self._talk)]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int | None:
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
            self._process.join(STOP_SECONDS)
        for end in (self._process.terminate, self._process.kill):
            if self._process.exitcode is None:
                end()
                self._process.join(STOP_SECONDS)
        self._out.put(None)
        for thread in self._threads:
            thread.join(STOP_SECONDS)
        self._connection.close()
