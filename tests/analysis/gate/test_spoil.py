from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import made_results
import pytest

from instructor_eval import metrics
from instructor_eval.analysis.compare import find_side
from instructor_eval.analysis.compare.side import Side
from instructor_eval.analysis.gate import spoil
from instructor_eval.analysis.statistics import matching
from instructor_eval.results.score import Score
from instructor_eval.tasks import protocol


@pytest.fixture
def side(tmp_path: Path, make_score: Callable[..., Score]) -> Side:
    made_results.file(tmp_path, make_score)
    return find_side.resolve(str(tmp_path), results=tmp_path, protocol=protocol.parse([]))


@pytest.mark.parametrize("task", made_results.TASKS)
def test_every_metric_is_spoiled_and_agrees_with_its_items(side: Side, task: str) -> None:
    found = spoil.spoiled(side, side)
    before, after = side.scores[task], found.scores[task]
    assert found.read is not None
    items = found.read(after)
    assert metrics.compute(after.metric, items) == pytest.approx(after.score, abs=1e-12)
    matching.check(after, items, "candidate")  # as the comparison does
    assert after.score <= before.score - spoil.LOSS
    assert after.score > before.score - 3 * spoil.LOSS
    assert items["id"] == side.read(before)["id"]  # type: ignore[misc] # it has items
    assert found.values[task] == after.score


def test_the_loss_is_below_the_baseline_of_a_better_candidate(tmp_path: Path, make_score: Callable[..., Score]) -> None:
    only = {"RTE": made_results.TASKS["RTE"]}
    made_results.file(tmp_path, make_score, tasks=only)
    made_results.file(tmp_path, make_score, tasks=only, variant="int8", change=made_results.lowered(1, 0.2))
    better, worse = (
        find_side.resolve(label, results=tmp_path, protocol=protocol.parse([])) for label in ("minilm", "minilm@int8")
    )
    found = spoil.spoiled(better, worse)
    assert found.values["RTE"] <= worse.values["RTE"] - spoil.LOSS
    assert spoil.spoiled(better, worse).values == found.values  # the same on every machine
