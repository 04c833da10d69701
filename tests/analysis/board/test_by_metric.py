from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from made_boards import Made, board

from instructor_eval import metrics
from instructor_eval.analysis.board.by_metric import by_metric, direction
from instructor_eval.analysis.board.formats import format_board
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


def _with_a_worse_variant(make_score: Callable[..., Score]) -> Made:
    """A model and its int8, whose irrelevant pairs have come much nearer."""
    found = Made(make_score)
    random = np.random.default_rng(7)
    gold = random.integers(0, 2, 600)
    drawn = random.normal(gold * 3.0, 1.0)
    for variant, cosine in (("fp32", drawn), ("int8", np.where(gold == 0, drawn + 1.0, drawn + 0.2))):
        items = {"id": [str(i) for i in range(600)], "gold": gold.tolist(), "cosine": cosine.tolist()}
        found.add(variant, "SprintDuplicateQuestions", items=items, metric="cosine_ap", n=600,
                  type="PairClassification", embedding={"bytes_per_vector": 8},
                  cost={"file_bytes": 100, "speed_ratio": 1.0, "device": "cpu"})  # fmt: skip
    return found


@pytest.mark.parametrize("metric", ["fpr_at_95", "threshold"])
def test_more_of_what_is_not_wanted_is_no_gain(make_score: Callable[..., Score], metric: str) -> None:
    """A variant's higher rate of false positives is neither better nor safe, nor is a higher threshold."""
    made = _with_a_worse_variant(make_score)
    found = board(by_metric(made.scores, metric, made.items), items=made.items)
    [parent], [child] = zip(*[(row, children[0]) for row, children in found.families.items()], strict=True)
    assert child.tasks["SprintDuplicateQuestions"] > parent.tasks["SprintDuplicateQuestions"]
    shown = format_board(found, "table")
    assert (parent.pareto, child.pareto) == {"fpr_at_95": (True, False), "threshold": (None, None)}[metric]
    assert "▲" in shown
    assert "higher or lower than the variant's baseline" in shown
    assert "▲ higher." in shown
    for word in ("better or worse", "▲ better", "Safe", "gain", "no loss"):
        assert word not in shown


def test_a_metric_to_set_ranks_nothing(made: Made) -> None:
    found = board(by_metric(made.scores, "threshold", made.items), items=made.items)
    assert [row.rank for row in found.rows if row.source == "measured"] == [None, None]
    assert "rank:" not in format_board(found, "table")
    assert "nothing is ranked" in direction("threshold")


def test_without_items_only_what_was_filed_counts(made: Made) -> None:
    with pytest.raises(UserError, match="--metric fpr_at_95: no result has it"):
        by_metric(made.scores, "fpr_at_95", None)
    with pytest.raises(UserError, match="--metric recal: no result has it"):
        by_metric(made.scores, "recal", made.items)
