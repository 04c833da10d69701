"""An engine whose texts are computed elsewhere: repeats, cache and order are its own, vectors come from workers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from instructor_eval.cache.vectors import Cache
from instructor_eval.core.environment import hardware
from instructor_eval.core.progress import Progress
from instructor_eval.core.values import Vectors
from instructor_eval.models.batching import longest_first
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.engine import BaseEngine, Engine
from instructor_eval.results.probe import Probe, Prober
from instructor_eval.run.ray.messages import Ask, Failure, Reply

SHARE_TEXTS = 4096
"""At most: what is lost with a worker."""
SHARE_SECONDS = 5.0
_FIRST_TEXTS = 256
_LEAST_TEXTS = 16


@contextmanager
def _ending() -> Iterator[None]:
    """Where the run is gone, end too: for a task it would be a failure like any other, and filed."""
    try:
        yield
    except (EOFError, OSError):
        sys.exit(1)


class Line:
    """The way from a task's process to the run.

    Args:
        connection: To the run.
        workers: That are alive, as the run knows at first.
    """

    def __init__(self, connection: Connection, workers: int) -> None:
        self._connection = connection
        self._number = 0
        self.workers = workers

    def tell(self, kind: str, *what: object) -> None:
        """Send what needs no answer."""
        with _ending():
            self._connection.send((kind, *what))

    def note(self, line: str) -> None:
        """Have a line shown."""
        self.tell("note", line)

    def ask(self, model: int, instruction: str, texts: list[str]) -> int:
        """Send a share; the result is its number."""
        self._number += 1
        self.tell("ask", Ask(self._number, model, instruction, texts, probe=not texts))
        return self._number

    def answer(self) -> tuple[int, Reply | Failure]:
        """The next answer to any share, with its number."""
        with _ending():
            _, number, found = self._connection.recv()
        if isinstance(found, Reply):
            self.workers = max(1, found.workers)
        for line in found.notes:
            self.note(line)
        return number, found

    def drop(self) -> None:
        """Give up what was asked and not answered."""
        self.tell("drop")


class _Relayed(Progress):
    """Tells the run's one view instead of showing anything."""

    def __init__(self, line: Line) -> None:
        super().__init__("")
        self._line = line

    def expect(self, texts: int, characters: int) -> None:
        self._line.tell("expect", texts, characters)

    def found(self, texts: int, characters: int) -> None:
        self._line.tell("found", texts, characters)

    def advance(self, texts: int, tokens: int, characters: int) -> None:
        self._line.tell("advance", texts, tokens, characters)

    def note(self, line: str) -> None:
        self._line.note(line)


class RemoteEngine(Engine):
    """An `Engine` without a network.

    Args:
        checkpoint: The model, in its numeric form.
        key: Its number in the run.
        line: To the run.
        device: What the workers compute on: cpu or cuda.
        cache: Where vectors are looked up and kept; None computes everything.
    """

    def __init__(self, checkpoint: Checkpoint, key: int, line: Line, *, device: str, cache: Cache | None) -> None:
        super().__init__(checkpoint, device=device, cache=cache)
        self._key, self._line, self._on = key, line, device
        self._rate = 0.0  # characters a second and worker
        self._made_on: dict[str, Any] = {}

    @property
    def device(self) -> str:
        """The kind of device that the workers have."""
        return self._on

    def environment(self) -> dict[str, Any]:
        """The machine of the worker that answered last, or where all was in the cache this one; and how many work."""
        here = self._made_on or hardware("cpu")
        return {"hardware": here, "executor": "ray", "workers": self._line.workers}

    def encode(
        self, texts: Sequence[str], instruction: str, *, progress: Progress | None = None, most: int | None = None
    ) -> Vectors:
        """As `Engine.encode`; progress goes to the run's view."""
        return super().encode(texts, instruction, progress=_Relayed(self._line), most=most)

    def probe(self) -> Probe:
        """The probe that a worker takes of its network.

        Raises:
            UserError: the network cannot be loaded, or gives no usable vectors.
        """
        asked = self._line.ask(self._key, "", [])
        number, found = self._line.answer()
        while number != asked:  # an answer of a call that failed
            number, found = self._line.answer()
        if isinstance(found, Failure):
            raise found.error()
        assert found.probe is not None
        return found.probe

    def _compute(
        self,
        texts: list[str],
        keys: list[bytes],
        instruction: str,
        into: tuple[Vectors, list[int]],
        progress: Progress,
        most: int | None,
    ) -> None:
        """Cut the texts, longest first, into shares for the workers; keep each when it comes."""
        vectors, places = into
        sizes = [len(instruction) + len(text) for text in texts]
        left = _Cut(sizes)
        open_shares: dict[int, list[int]] = {}
        load = 0.0
        while left or open_shares:
            while left and len(open_shares) < 2 * self._line.workers:
                at = left.next(self._line.workers, self._rate)
                open_shares[self._line.ask(self._key, instruction, [texts[i] for i in at])] = at
            number, found = self._line.answer()
            if number not in open_shares:
                continue  # of a call that failed
            if isinstance(found, Failure):
                self._line.drop()
                raise found.error()
            at = open_shares.pop(number)
            assert found.vectors is not None
            vectors[[places[i] for i in at]] = found.vectors
            if self.cache:
                self.cache.write(self.space, [keys[i] for i in at], found.vectors)
            characters = sum(sizes[i] for i in at)
            progress.advance(len(at), found.tokens, characters)
            self._learn(found, characters)
            load = max(load, found.load)
        self.totals.load += load

    def _learn(self, reply: Reply, characters: int) -> None:
        self.totals.tokens += reply.tokens
        self.drift = max(self.drift, reply.drift)
        self._made_on = dict(reply.hardware)
        rate = characters / max(reply.seconds, 1e-3)
        self._rate = (self._rate + rate) / 2 if self._rate else rate


class _Cut:
    """What of a call's texts is not handed out yet.

    Shares take about five seconds each, but shrink towards the end, so that all workers end together.

    Args:
        sizes: Characters of each text.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = sizes
        self._order = longest_first(sizes)
        self._next = 0
        self._characters = sum(sizes)

    def __bool__(self) -> bool:
        return self._next < len(self._order)

    def next(self, workers: int, rate: float) -> list[int]:
        """The numbers of the texts that go next.

        Args:
            workers: That are alive.
            rate: Characters that one of them does in a second; 0 where that is not known.
        """
        budget = self._characters / (2 * workers)
        if rate:
            budget = min(budget, rate * SHARE_SECONDS)
        most = SHARE_TEXTS if rate else _FIRST_TEXTS
        least = min(_LEAST_TEXTS, -(-len(self._order) // workers))
        start, size = self._next, 0
        while self._next < len(self._order) and self._next - start < most:
            size += self._sizes[self._order[self._next]]
            if size > budget and self._next - start >= least:
                break
            self._next += 1
        taken = self._order[start : self._next]
        self._characters -= sum(self._sizes[i] for i in taken)
        return taken


class RemoteProber(Prober):
    """Files the probe that a worker takes."""

    def __init__(self, engine: RemoteEngine, root: Path, say: Callable[[str], None], *, debug: bool = False) -> None:
        super().__init__(engine, root, say, debug=debug)
        self._remote = engine

    def _take(self, engine: BaseEngine) -> Probe:
        return self._remote.probe()
