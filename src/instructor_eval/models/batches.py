"""Compute the vectors that no cache has: tokenised ahead, longest texts first, in batches of similar length.

Three things happen at once: the next window is tokenised (the fast tokenizer holds no lock), the device computes, and
finished vectors are written. A killed process loses at most `chunk()` texts: one commit being written, one being
filled, one batch being computed and one on its way from the device.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from instructor_eval.core.errors import OutOfMemory, UserError
from instructor_eval.core.values import Vectors

if TYPE_CHECKING:
    import torch

    from instructor_eval.models.pending import Pending

# Small batches stay in a CPU's cache and beat large ones; a GPU wants to be filled (benchmarks/cold.py --budget).
DEFAULT_BATCH_TOKENS = {"cpu": 2048, "cuda": 65536}
# Texts tokenised and sorted together: enough that lengths in a batch hardly differ, few enough for memory.
WINDOW = 16_384
# Texts in a commit, and in a batch at most.
COMMIT_TEXTS = 2048
COMMIT_SECONDS = 2.0


def chunk() -> int:
    """Return how many texts a kill can lose at most."""
    return 4 * COMMIT_TEXTS


@dataclass(frozen=True)
class Work:
    """Texts to embed, by number, and the functions that take their vectors."""

    sizes: Sequence[int]
    """Characters of each text: a first guess of its tokens."""
    tokenise: Callable[[Sequence[int]], Sequence[Sized]]
    """Given numbers, the rows that the network takes; the length of a row is its tokens."""
    skip: int
    done: Callable[[list[int], Vectors, int], Vectors]
    """Given the numbers, vectors and tokens of a batch, the vectors to store."""
    store: Callable[[list[int], Vectors], None]
    """Given numbers and vectors, writes them; called in a thread of its own."""
    most: int | None = None
    """Texts in a batch at most."""


class BatchNetwork(Protocol):
    """A network that computes batches."""

    device: torch.device
    most: int | None
    same_length: bool

    def start(self, rows: Sequence[Any], skip: int) -> Pending:
        """Start to compute a batch."""
        ...

    def free(self) -> None:
        """Give memory back after a batch did not fit."""
        ...


class Computation:
    """One pass over texts on one network.

    Args:
        network: The model.
        budget: Tokens in a batch, padding included; None: what suits the device.
        say: Called with one line when memory forces smaller batches.
    """

    def __init__(self, network: BatchNetwork, budget: int | None, say: Callable[[str], None]) -> None:
        self.network = network
        self.budget = budget or DEFAULT_BATCH_TOKENS.get(network.device.type, 2048)
        self._say = say

    def run(self, work: Work) -> None:
        """Compute every text; vectors that are finished are stored whatever ends it early."""
        writer = _Writer(work.store)
        try:
            for at, rows in _windows(work):
                self._run_window(work, at, rows, writer)
        finally:
            writer.close()

    def _run_window(self, work: Work, at: Sequence[int], rows: Sequence[Sized], writer: _Writer) -> None:
        lengths = [len(r) for r in rows]
        most = min(work.most or COMMIT_TEXTS, self.network.most or COMMIT_TEXTS, COMMIT_TEXTS)
        same = self.network.same_length
        todo = deque(token_batches(lengths, self.budget, most=most, same=same))
        running: tuple[list[int], Pending] | None = None

        def finish() -> None:
            if running is not None:
                batch, pending = running
                numbers = [at[i] for i in batch]
                writer.add(numbers, work.done(numbers, pending.result(), sum(lengths[i] for i in batch)))

        while todo:
            batch = todo.popleft()
            started = self._start([rows[i] for i in batch], work.skip)
            finish()  # also before memory is given back: the batch before may hold it
            running = None
            if isinstance(started, str):
                self._halve(batch, lengths, started)
                rest = [i for b in (batch, *todo) for i in b]
                todo = deque(token_batches(lengths, self.budget, order=rest, most=most, same=same))
            else:
                running = (batch, started)
        finish()

    def _start(self, rows: Sequence[Sized], skip: int) -> Pending | str:
        """Start a batch; if memory is full, return the error as text, since an exception would hold that memory."""
        try:
            return self.network.start(rows, skip)
        except OutOfMemory as e:
            return str(e)

    def _halve(self, batch: list[int], lengths: list[int], error: str) -> None:
        tokens = lengths[batch[0]] * len(batch)
        self.network.free()
        if len(batch) == 1:
            raise UserError(
                f"{self.network.device} has too little memory for one text of {tokens} tokens "
                f"({error[:100]}): use another --device, or a smaller model"
            )
        self.budget = max(lengths[batch[0]], tokens // 2)
        self._say(f"memory of {self.network.device} is full at {tokens:,} tokens a batch: on with {self.budget:,}")


def longest_first(lengths: Sequence[int]) -> list[int]:
    """Return indices by falling length; equal ones stay in their order."""
    return sorted(range(len(lengths)), key=lambda i: -lengths[i])


def token_batches(
    lengths: Sequence[int],
    budget: int,
    *,
    order: Iterable[int] | None = None,
    most: int | None = None,
    same: bool = False,
) -> Iterator[list[int]]:
    """Yield indices of texts, longest first, in batches whose padded size (rows x longest) stays within `budget`.

    A text longer than the budget gets a batch of its own. Longest first: the first batch shows whether memory suffices.

    Args:
        lengths: Tokens of each text.
        budget: Tokens in a batch, padding included.
        order: Indices by falling length; None: all texts.
        most: Texts in a batch.
        same: Only texts of one length share a batch.
    """
    batch: list[int] = []
    longest = 0
    for i in longest_first(lengths) if order is None else order:
        other = same and batch and lengths[i] != lengths[batch[0]]
        if batch and (other or longest * (len(batch) + 1) > budget or len(batch) == most):
            yield batch
            batch = []
        if not batch:
            longest = max(1, lengths[i])
        batch.append(i)
    if batch:
        yield batch


def _windows(work: Work) -> Iterator[tuple[Sequence[int], Sequence[Sized]]]:
    """Yield numbers and rows of one window after another, longest texts first; one window is tokenised ahead."""
    order = longest_first(work.sizes)
    parts = [order[i : i + WINDOW] for i in range(0, len(order), WINDOW)]

    with ThreadPoolExecutor(1, thread_name_prefix="tokenise") as pool:
        ahead = pool.submit(work.tokenise, parts[0])
        for number, part in enumerate(parts):
            rows = ahead.result()
            if number + 1 < len(parts):
                ahead = pool.submit(work.tokenise, parts[number + 1])
            yield part, rows


class _Writer:
    """Collects results and writes them in another thread, one commit at a time."""

    def __init__(self, store: Callable[[list[int], Vectors], None]) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._written: Future[None] | None = None
        self._batches: list[tuple[list[int], Vectors]] = []
        self._since = time.monotonic()

    def add(self, numbers: list[int], rows: Vectors) -> None:
        """Add a batch; write when there are enough texts or enough time has passed."""
        if self._texts + len(numbers) > COMMIT_TEXTS:
            self._commit()
        self._batches.append((numbers, rows))
        if self._texts >= COMMIT_TEXTS or time.monotonic() - self._since > COMMIT_SECONDS:
            self._commit()

    @property
    def _texts(self) -> int:
        return sum(len(numbers) for numbers, _ in self._batches)

    def _commit(self) -> None:
        if self._written is not None:
            self._written.result()  # never two commits behind
        if self._batches:
            batches, self._batches = self._batches, []
            numbers = [n for batch, _ in batches for n in batch]
            self._written = self._pool.submit(self._store, numbers, np.concatenate([rows for _, rows in batches]))
        self._since = time.monotonic()

    def close(self) -> None:
        """Write what is left, and wait for it."""
        try:
            self._commit()
            if self._written is not None:
                self._written.result()
        finally:
            self._pool.shutdown(wait=True)
