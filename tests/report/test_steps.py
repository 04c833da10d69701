"""The curve of a training run: a point a step, a line a task, with the intervals of the scores."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from made_pages import Made
from made_scores import edited

from instructor_eval.report.page import Request, render
from instructor_eval.report.steps import step_charts
from instructor_eval.results.score import Score


@pytest.fixture
def made(make_score: Callable[..., Score]) -> Made:
    found = Made(make_score)
    for step in (0, 20, 100):
        for task in ("SciFact", "STS12"):
            found.add(task, seed=step + 1, model=f"my/run@step-{step}", fingerprint=f"{step}".ljust(16, "a"))
    found.add("SciFact", model="my/other@step-5", fingerprint="b" * 16)  # one step is no curve
    found.add("SciFact", model="org/plain", fingerprint="c" * 16)
    return found


def test_a_point_for_each_step(made: Made) -> None:
    [run] = step_charts(made.lines(), ["SciFact", "STS12"])
    assert (run.run, run.instructions) == ("my/run", "paper")
    by_name = {score.model.name + score.task: score.score for score in made.scores}
    for series in run.series:
        assert [point.step for point in series.points] == [0, 20, 100]
        assert [point.value for point in series.points] == [
            by_name[f"my/run@step-{step}{series.task}"] for step in (0, 20, 100)
        ]
        xs = [point.x for point in series.points]
        assert (xs[1] - xs[0]) / (xs[2] - xs[0]) == pytest.approx(0.2, abs=0.01)
        for point in series.points:
            assert point.low is not None
            assert point.high is not None
            assert point.high <= point.y <= point.low  # the y axis runs down


def test_of_two_runs_of_one_name_the_newest_counts(made: Made) -> None:
    newer = made.add("SciFact", seed=9, model="my/run@step-20", fingerprint="d" * 16, created="2999-01-01T00:00:00")
    made.scores[-1] = edited(newer, identity="newer")
    made.stored["newer"] = made.stored[newer.identity]
    [run] = step_charts(made.lines(), ["SciFact"])
    assert run.series[0].points[1].value == newer.score


def test_the_page_draws_it(made: Made) -> None:
    page = render(Request(made.board(), made.evidence, "results")).decode()
    assert "Score against step of my/run. SciFact: " in page
    assert page.count('class="dot step') == 2
    made.scores = [score for score in made.scores if "@step" not in score.model.name]
    assert "Score against step" not in render(Request(made.board(), made.evidence, "results")).decode()
