"""The one view of a run: what its line says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from instructor_eval.core.progress import Progress
from instructor_eval.run.ray import view as module
from instructor_eval.run.ray.job import COUNTS, State
from instructor_eval.run.ray.view import View


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: now.seconds)
    monkeypatch.setattr(Progress, "enabled", True)
    return now


def test_a_line_every_half_minute(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    view = View(print, tasks=3)
    view.workers = 2
    view.expect(1000, 5000)
    view.found(100, 500)
    clock.seconds += 10
    view.advance(200, 4000, 1000)
    view.tick()
    assert capsys.readouterr().err == ""
    view.tasks_done = 1
    clock.seconds += 30
    view.tick()
    assert capsys.readouterr().err == (
        "  all tasks: 300 of 1,000 texts, 1 of 3 tasks, 2 workers, 5.0 texts/s, 100 tokens/s, 33 % from the cache\n"
    )


def test_rates_are_of_the_last_minute(clock: SimpleNamespace) -> None:
    view = View(print, tasks=1)
    view.workers = 1
    view.expect(10_000, 10_000)
    view.advance(6000, 6000, 1)
    clock.seconds += 100
    view.advance(60, 600, 1)
    assert view.rates() == "0 of 1 tasks, 1 worker, 1.0 texts/s, 10 tokens/s"


def test_what_jobs_tell_is_added_up(clock: SimpleNamespace) -> None:
    def state(attempt: str, *counts: int) -> State:
        return State(0, attempt, "10.0.0.1", dict(zip(COUNTS, counts, strict=True)))

    view = View(print, tasks=1)
    clock.seconds += 1
    for heard in (
        state("a", 0, 0, 0, 0, 0, 0),
        state("a", 100, 40, 30, 50, 700, 70),
        State(0, "a", "10.0.0.1", {}, warning="the cache is full"),
        state("a", 100, 60, 30, 90, 700, 210),
        state("b", 100, 100, 100, 0, 0, 0),  # Ray runs it again: all that is in the cache by now
    ):
        view.hear(heard)
    assert [getattr(view, name) for name in COUNTS] == [200, 160, 130, 90, 700, 210]


def test_nothing_where_nothing_is_to_be_shown(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(View, "enabled", False)
    view = View(lambda line: print(line), tasks=1)
    view.expect(10, 10)
    clock.seconds += 100
    view.tick()
    view.note("a line")
    view.say("a result")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("a result\n", "")
