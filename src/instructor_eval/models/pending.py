"""Vectors that a device is still computing, and errors of full memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch
from torch import Tensor

from instructor_eval.core.errors import OutOfMemory
from instructor_eval.core.machine import usable_cores
from instructor_eval.core.values import Vectors

_ALLOCATION_FAILED = ("not enough memory", "can't allocate memory")


class Pending:
    """Vectors of a batch: a GPU may still be computing and copying them."""

    def __init__(self, vectors: Tensor) -> None:
        self._done: torch.cuda.Event | None = None
        self._host = vectors
        if vectors.is_cuda:
            self._host = torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True)
            self._host.copy_(vectors, non_blocking=True)
            self._done = torch.cuda.Event()  # type: ignore[no-untyped-call] # torch leaves it untyped
            self._done.record()

    def result(self) -> Vectors:
        """Wait for the vectors and return them: float32 [n, dim]."""
        if self._done is not None:
            self._done.synchronize()
        array: Vectors = self._host.numpy()
        return array


def is_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory is full."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _ALLOCATION_FAILED)


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Raise `OutOfMemory` for whatever the block raises when memory is full."""
    try:
        yield
    except Exception as e:
        if is_memory(e):
            raise OutOfMemory(str(e)) from e
        raise


def use_cores() -> None:
    """Give torch no more threads than this process may use: a container with two of 64 cores otherwise crawls."""
    if "OMP_NUM_THREADS" not in os.environ and usable_cores() < torch.get_num_threads():
        torch.set_num_threads(usable_cores())
