from __future__ import annotations

import pytest
from baseline_sides import MakeScore, MakeSide
from made_items import whole_items

from instructor_eval import metrics as scorers
from instructor_eval.analysis.compare.side import Side, side_of
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score


@pytest.fixture
def make_side(make_score: MakeScore) -> MakeSide:
    """A side with made-up items: tasks by metric, or metrics by themselves; `seed` stands for the model."""

    def make(*metrics: str, seed: int = 1, failed: dict[str, str] | None = None, **tasks: str) -> Side:
        items: dict[str, Items] = {}
        scores: list[Score] = []
        for task, metric in (tasks | {f"Task-{m}": m for m in metrics}).items():
            items[task] = whole_items(metric, seed)
            value = scorers.compute(metric, items[task])
            scores.append(
                make_score(task, value, metric=metric, n_items=60, identity=f"{seed:016x}", fingerprint=f"{seed}" * 16)
            )
        scores += [make_score(task, None, error=error) for task, error in (failed or {}).items()]
        return side_of("org/model@fp32:paper", scores, lambda score: items[score.task], "made up")

    return make
