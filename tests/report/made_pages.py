"""Scores with items held in memory, and the page's lines of them: for the tests of the page's parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import made_results
from made_items import make_items
from made_scores import edited

from instructor_eval import metrics
from instructor_eval.analysis.board.board import build
from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.analysis.board.rows import Board
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.report.lines import Line, lines
from instructor_eval.results.score import Score
from instructor_eval.tasks import protocol

MODEL = "org/model"


class Made:
    """Scores of models, variants and instruction sets, made from seeds."""

    def __init__(self, make_score: Callable[..., Score]) -> None:
        self._make = make_score
        self.scores: list[Score] = []
        self.stored: dict[str, Items] = {}

    def add(self, *tasks: str, seed: int = 1, n: int = 40, items: Items | None = None, roles: Any = None,
            **fields: Any) -> Score:  # fmt: skip
        """A score of each task (of SciFact where none is named); the last one."""
        given = {"model": MODEL, "variant": "fp32", "instructions": "paper"} | fields
        for task in tasks or ("SciFact",):
            kind, metric = made_results.TASKS.get(task, ("STS", "cosine_spearman"))
            found = items or make_items(metric, n, seed)
            identity = " ".join([given["model"], given["variant"], given["instructions"], task])
            own = {"type": kind, "metric": metric, "identity": identity, "n_items": len(found["id"]),
                   "fingerprint": given["variant"].ljust(16, "0"), "data": {"hash": task}}  # fmt: skip
            score = self._make(task, metrics.compute(metric, found), **(own | given))
            score = edited(score, instructions={"roles": roles or {}})
            self.scores.append(score)
            self.stored[score.identity] = found
        return score

    def fail(self, task: str, error: str, **fields: Any) -> Score:
        """A task that failed."""
        given = {"model": MODEL, "identity": f"failed {task}", "fingerprint": "fp32".ljust(16, "0")} | fields
        self.scores.append(self._make(task, None, error=error, **given))
        return self.scores[-1]

    def items(self, score: Score) -> Items:
        if score.identity not in self.stored:
            raise UserError(f"{score.task}: items missing or cut short: run the task again")
        return self.stored[score.identity]

    def board(self, **fields: Any) -> Board:
        return build(self.scores, **({"protocol": protocol.parse([]), "items": self.items} | fields))

    @property
    def evidence(self) -> Evidence:
        return Evidence(self.items)

    def lines(self, **fields: Any) -> list[Line]:
        return lines(self.board(**fields), self.evidence)


def points(value: float) -> str:
    """Hundredths with their sign, and no minus before nothing."""
    return format(round(100 * value, 2) + 0.0, "+.2f")


def with_ends(delta: float, low: float, high: float) -> str:
    return f"{points(delta)} [{points(low)}, {points(high)}]"
