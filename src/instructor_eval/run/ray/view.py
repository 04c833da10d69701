"""One view of tasks that run beside each other: a bar on a terminal, a quiet line every half minute elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping

from instructor_eval.core.progress import Progress
from instructor_eval.run.ray.job import State

_WINDOW_SECONDS = 60.0


class View(Progress):
    """Texts of all running tasks, rates of the last minute, workers alive, tasks done.

    Args:
        say: Where lines of results go.
        tasks: In all.
    """

    def __init__(self, say: Callable[[str], None], tasks: int) -> None:
        super().__init__("all tasks")
        self._say = say
        self.tasks, self.tasks_done, self.workers = tasks, 0, 0
        self._last_minute: deque[tuple[float, int, int]] = deque()
        self._began = 0.0
        self._counts: dict[str, Mapping[str, int]] = {}

    def say(self, line: str) -> None:
        """Print a line beside the bar."""
        if self._bar is not None:
            self._bar.clear()
        self._say(line)
        if self._bar is not None:
            self._bar.refresh()

    def expect(self, texts: int, characters: int) -> None:
        """So many texts more are asked for, by any task."""
        self._began = self._began or time.monotonic()
        super().expect(texts, characters)

    def advance(self, texts: int, tokens: int, characters: int) -> None:
        """So many are computed, by any worker."""
        now = time.monotonic()
        self._last_minute.append((now, texts, tokens))
        while now - self._last_minute[0][0] > _WINDOW_SECONDS:
            self._last_minute.popleft()
        super().advance(texts, tokens, characters)

    def hear(self, state: State) -> None:
        """Add what a job has done since it was last heard of; a second try of it counts from nothing."""
        before, now = self._counts.get(state.attempt, {}), state.counts
        if not now:
            return
        self._counts[state.attempt] = now
        new = {name: count - before.get(name, 0) for name, count in now.items()}
        self.work += new["work"]
        if new["total"]:
            self.expect(new["total"], 0)
        if new["hits"]:
            self.found(new["hits"], 0)
        if new["done"] > new["hits"]:
            self.advance(new["done"] - new["hits"], new["tokens"], new["worked"])

    def tick(self) -> None:
        """Nothing came for a second: the line may be due."""
        self._show(0)

    def rates(self, *, tokens: bool = True) -> str:
        """Tasks done, workers alive, texts and tokens a second."""
        parts = [f"{self.tasks_done} of {self.tasks} tasks", f"{self.workers} worker{'s' * (self.workers != 1)}"]
        texts, of_tokens = (sum(entry[i] for entry in self._last_minute) for i in (1, 2))
        seconds = min(time.monotonic() - self._began, _WINDOW_SECONDS) if self._began else 0.0
        if texts and seconds > 0:
            parts.append(f"{texts / seconds:,.1f} texts/s")
            parts += [f"{of_tokens / seconds:,.0f} tokens/s"] if tokens else []
        if self.hits and self.done:
            parts.append(f"{100 * self.hits / self.done:.0f} % from the cache")
        return ", ".join(parts)
