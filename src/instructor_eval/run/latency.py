"""How long one query takes: text in and vector out, and the exact search behind it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

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


def search_seconds(vectors: int, dim: int, *, rounds: int = 20, k: int = 10) -> list[float]:
    """Return the seconds of one query's exact search through so many random vectors in memory, each of some rounds."""
    import torch

    from instructor_eval.search.exact import ExactTop

    random = np.random.default_rng(0)
    rows = torch.nn.functional.normalize(torch.from_numpy(random.standard_normal((vectors, dim), dtype=np.float32)))
    query, documents = random.standard_normal((1, dim), dtype=np.float32), rows.numpy()

    def search() -> None:
        top = ExactTop(query, k)
        top.add(documents)
        top.result()

    return seconds_of(search, rounds)
