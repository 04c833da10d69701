"""Uncertainty of ranks: 95 % intervals from a bootstrap over tasks and items.

In each round as many task columns are drawn, with replacement, as there are, and for each of them one replicate of the
scores, the same draw of its items for every row (`replicates.py`): so what two rows have in common does not blur their
order. The rows are ranked by Borda count as on the board. Columns drawn twice get two draws of their items; with one
column only the items vary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from instructor_eval.analysis.statistics.spreads import ROUNDS

if TYPE_CHECKING:
    from instructor_eval.metrics.metric import Numbers

Points = npt.NDArray[np.float32]


def rank_intervals(
    scores: Sequence[Sequence[float | None]], replicates: Sequence[Sequence[Numbers | None]], *, seed_text: str
) -> list[tuple[int, int]]:
    """The ranks that hold the middle 95 % of the rounds, for each row; its rank on the board is always among them.

    Args:
        scores: [columns][rows], None where a row has none.
        replicates: The same, each [rounds]; where there are none, the score stands in all rounds.
        seed_text: What the draws start from: the columns' names.
    """
    points = np.stack([_points(s, r) for s, r in zip(scores, replicates, strict=True)])
    drawn = _drawn(len(scores), seed_text)
    borda = np.zeros((ROUNDS, points.shape[1]))
    for columns, items in drawn:
        borda += points[columns, :, items]
    point = np.stack([_points(s, [None] * len(s))[:, 0] for s in scores]).sum(axis=0)
    ranks = np.stack([1 + (borda > own[:, None]).sum(axis=1) for own in borda.T])  # [rows, rounds]
    low = np.quantile(ranks, 0.025, axis=1, method="lower")
    high = np.quantile(ranks, 0.975, axis=1, method="higher")
    own_rank = [int(1 + (point > p).sum()) for p in point]
    return [(min(int(a), r), max(int(b), r)) for a, b, r in zip(low, high, own_rank, strict=True)]


def _points(scores: Sequence[float | None], replicates: Sequence[Numbers | None]) -> Points:
    """Return the points of each row in one column: [rows, ROUNDS], a point for each row it beats, half for a tie."""
    values = np.full((len(scores), ROUNDS), -np.inf)
    for row, (score, made) in enumerate(zip(scores, replicates, strict=True)):
        if score is not None:
            filled = np.full(1, score) if made is None else np.where(np.isfinite(made), made, score)
            values[row] = np.resize(filled, ROUNDS)  # fewer are taken again from the first
    found = np.zeros(values.shape, dtype=np.float32)
    for row, own in enumerate(values):
        there = np.isfinite(own)  # a row without a score earns nothing
        found[row] = there * ((own > values).sum(axis=0) + 0.5 * ((own == values).sum(axis=0) - 1))
    return found


def _drawn(columns: int, seed_text: str) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """For each of as many draws as there are columns: which column, and which replicate of it, in each round.

    A draw goes through all replicates once, in an order of its own, so that one column alone shows exactly them.
    """
    # Raw bits, which numpy keeps the same for ever.
    bits = np.random.PCG64(int.from_bytes(hashlib.sha256(seed_text.encode("utf-8", "surrogatepass")).digest()[:16]))
    found = []
    for _ in range(columns):
        raw = bits.random_raw((2, ROUNDS)) >> np.uint64(32)
        column = ((raw[0] * np.uint64(columns)) >> np.uint64(32)).astype(np.int64)
        found.append((column, np.argsort(raw[1], kind="stable")))
    return found
