from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from made_boards import Made, board

from instructor_eval import metrics
from instructor_eval.analysis.board.by_metric import by_metric, direction
from instructor_eval.core.errors import UserError
from instructor_eval.results.score import Score


@pytest.fixture
def made(make_score: Callable[..., Score]) -> Made:
    """Pairs of two models: `sharp` keeps them apart, `dull` does not."""
    found = Made(make_score)
    random = np.random.default_rng(5)
    gold = random.integers(0, 2, 300)
    for name, gap in (("org/sharp", 3.0), ("org/dull", 0.5)):
        cosine = random.normal(gold * gap, 1.0)
        items = {"id": [str(i) for i in range(300)], "gold": gold.tolist(), "cosine": cosine.tolist()}
        found.add("fp32", "SprintDuplicateQuestions", items=items, metric="cosine_ap", n=300, model=name,
                  type="PairClassification", identity=name, fingerprint=name)  # fmt: skip
    return found


def test_ranks_begin_with_the_fewest_false_positives(made: Made) -> None:
    found = board(by_metric(made.scores, "fpr_at_95", made.items), items=made.items)
    rows = [row for row in found.rows if row.source == "measured"]
    assert [(row.name, row.rank) for row in rows] == [("org/sharp", 1), ("org/dull", 2)]
    assert rows[0].tasks["SprintDuplicateQuestions"] < rows[1].tasks["SprintDuplicateQuestions"]
    assert (rows[0].rank_low, rows[1].rank_high) == (1, 2)
    for row, score in zip(rows, made.scores, strict=True):
        value = metrics.compute("fpr_at_95", made.items(score))
        spread = row.spreads["SprintDuplicateQuestions"]
        assert row.tasks["SprintDuplicateQuestions"] == value
        assert spread.low is not None and spread.high is not None and spread.low <= value <= spread.high


def test_of_separation_more_is_better(made: Made) -> None:
    found = board(by_metric(made.scores, "separation", made.items), items=made.items)
    assert [row.name for row in found.rows if row.source == "measured"] == ["org/sharp", "org/dull"]
    assert not found.lower
    assert "lower is better" in direction("fpr_at_95")
    assert direction("separation") == ""


def test_without_items_only_what_was_filed_counts(made: Made) -> None:
    with pytest.raises(UserError, match="--metric fpr_at_95: no result has it"):
        by_metric(made.scores, "fpr_at_95", None)
    with pytest.raises(UserError, match="--metric recal: no result has it"):
        by_metric(made.scores, "recal", made.items)
