"""Scores of variants with items, held in memory, and the board of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from instructor_eval import metrics
from instructor_eval.analysis.board.board import build
from instructor_eval.analysis.board.rows import Board, Row
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.published import Published
from instructor_eval.results.score import Score
from instructor_eval.tasks import protocol
from instructor_eval.tasks.cards import shipped_cards

MakeScore = Callable[..., Score]
DEFAULT = protocol.parse([])
FORUMS = shipped_cards()["CQADupstackRetrieval"].parts
COSTS = {
    "fp32": {"file_bytes": 400_000_000, "speed_ratio": 1.0},
    "bf16": {"file_bytes": 200_000_000, "speed_ratio": 1.3},
    "int8": {"file_bytes": 100_000_000, "speed_ratio": 2.0},
}


def board(scores: Iterable[Score], published: Iterable[Published] = (), **fields: Any) -> Board:
    return build(scores, published, **({"protocol": DEFAULT} | fields))


class Made:
    """Scores with items, made from (variant, task) and held in memory."""

    def __init__(self, make_score: MakeScore) -> None:
        self._make = make_score
        self.scores: list[Score] = []
        self.stored: dict[str, Items] = {}
        self.asked: list[str] = []

    def add(self, variant: str, task: str = "SciFact", *, shift: float = 0.0, noise: float = 0.05, n: int = 80,
            items: Items | None = None, metric: str = "ndcg_at_10", **fields: Any) -> Score:  # fmt: skip
        """A score of per-query values that every variant shares, but for a shift and noise of its own."""
        common = np.random.default_rng(sum(map(ord, task))).random(n) * 0.5 + 0.25
        own = np.random.default_rng(sum(map(ord, task + variant)))
        values = common + shift + (noise * own.normal(size=n) if variant != "fp32" else 0)
        items = items or {"id": [f"q{i}" for i in range(n)], metric: values.tolist()}
        given = {"type": "Retrieval", "metric": metric, "identity": f"{variant}-{task}", "n_items": n,
                 "fingerprint": f"{variant}{'.' * 16}"[:16], "variant": variant} | fields  # fmt: skip
        score = self._make(task, metrics.compute(metric, items), **({"dim": 64} | given))
        self.scores.append(score)
        self.stored[score.identity] = items
        return score

    def items(self, score: Score) -> Items:
        self.asked.append(score.identity)
        if score.identity not in self.stored:
            raise UserError(f"{score.task}: items missing or cut short: run the task again")
        return self.stored[score.identity]

    def board(self, **fields: Any) -> Board:
        return board(self.scores, **({"items": self.items} | fields))


def of(found: Board) -> dict[str, Row]:
    return {row.short: row for row in found.rows}
