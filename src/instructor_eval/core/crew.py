"""Several requests at a time, by threads that never keep a process from ending.

`concurrent.futures` waits for its threads when the process ends, and a request to a silent server can take a minute:
too long after Ctrl-C. These are daemons.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Crew(Generic[_T]):
    """Does `work` for each of `places`, at most `size` at a time, and no further ahead than so many again.

    Iterating gives (place, result) as they come. The first error is raised where results are waited for, after the
    results that are there. Closing the iterator ends the threads, each after what it is at.
    """

    def __init__(self, work: Callable[[int], _T], places: Sequence[int], size: int) -> None:
        self._work, self._size = work, min(size, len(places))
        self._left = iter(places)
        self._count = len(places)
        self._lock = threading.Lock()
        self._ahead = threading.Semaphore(2 * size)
        self._came: SimpleQueue[tuple[int, _T | Exception]] = SimpleQueue()
        self._ended = False

    def __iter__(self) -> Iterator[tuple[int, _T]]:
        for number in range(self._size):
            threading.Thread(target=self._run, name=f"endpoint-{number}", daemon=True).start()
        error: Exception | None = None
        try:
            for _ in range(self._count):
                if error is not None and self._came.empty():
                    break
                place, result = self._came.get()
                if isinstance(result, Exception):
                    error = error or result
                    self._ended = True
                    continue
                yield place, result
                self._ahead.release()
        finally:
            self._ended = True
            self._ahead.release(self._size or 1)
        if error is not None:
            raise error

    def _run(self) -> None:
        while True:
            self._ahead.acquire()
            with self._lock:
                place = None if self._ended else next(self._left, None)
            if place is None:
                return
            try:
                self._came.put((place, self._work(place)))
            except Exception as e:  # noqa: BLE001 # raised again in the thread that iterates
                self._came.put((place, e))
                return
