"""How long one query takes: text in and vector out, and the exact search behind it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from instructor_eval.core.errors import UserError
from instructor_eval.core.machine import available_memory

WARM_UP = 3


def seconds_of(step: Callable[[], object], rounds: int, *, warm_up: int = WARM_UP) -> list[float]:
    """Return the seconds of each of some rounds, after a few that do not count."""
    for _ in range(warm_up):
        step()
    return [_seconds(step) for _ in range(rounds)]


def _seconds(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def check_room(vectors: int, dim: int) -> None:
    """Refuse a number of vectors that the memory has no room for.

    Raises:
        UserError: so many.
    """
    needed, there = vectors * dim * 4, available_memory()
    if there is not None and needed > there * 0.9:
        raise UserError(
            f"{vectors:,} vectors of {dim} values take {needed / 1e9:,.1f} GB, and {there / 1e9:,.1f} GB of memory are "
            "free: give fewer"
        )


def search_seconds(vectors: int, dim: int, *, rounds: int = 20, k: int = 10) -> list[float]:
    """Return the seconds of one query's exact search through so many random vectors in memory, each of some rounds.

    Vectors have length 1, as an index has them: a product with each, and the k best.
    """
    import torch

    random = np.random.default_rng(0)
    rows = torch.from_numpy(random.standard_normal((vectors, dim), dtype=np.float32))
    rows /= rows.norm(dim=1, keepdim=True)  # in its place: there may be room for one of them only
    query = torch.from_numpy(random.standard_normal(dim, dtype=np.float32))
    return seconds_of(lambda: torch.topk(rows @ query, min(k, vectors)), rounds)
