"""The study of latency: what is timed, in turns, and where it is filed. Nothing here says how fast anything is."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
from model_fixtures import _one_thread, plain_folder

import instructor_eval as ie
from instructor_eval.analysis.study import files
from instructor_eval.analysis.study.text import format_latency
from instructor_eval.core.errors import UserError
from instructor_eval.report.chart import AXES
from instructor_eval.results.costs import percentiles
from instructor_eval.results.score import CostFigures
from instructor_eval.results.store import Store
from instructor_eval.run import latency
from instructor_eval.run.options import Options
from instructor_eval.run.study import latency as latency_study
from instructor_eval.run.study.latency import study

__all__ = ["_one_thread", "plain_folder"]


def options(model: Path, tmp_path: Path) -> Options:
    return Options(model=[str(model)], task=["DemoRetrieval"], results=tmp_path, device="cpu", variant=["fp32", "int8"])


def quiet(_line: str) -> None: ...


def test_percentiles_are_numpys_in_milliseconds() -> None:
    times = np.random.default_rng(0).exponential(0.01, 400).tolist()
    found = percentiles(times)
    assert (found.p50, found.p95, found.p99) == pytest.approx(1000 * np.quantile(times, [0.5, 0.95, 0.99]), abs=1e-4)
    assert found.rounds == 400


def test_rounds_are_timed_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    calls: list[int] = []
    assert latency.seconds_of(lambda: calls.append(1), 4) == [1.0] * 4
    assert len(calls) == 4 + latency.WARM_UP


def test_every_form_has_its_turn_and_costs_get_it(plain_folder: Path, tmp_path: Path) -> None:
    asked = dataclasses.replace(options(plain_folder, tmp_path), limit=10, cost="off")
    ie.evaluate(str(plain_folder), "DemoRetrieval", variants=["fp32", "int8"], limit=10, results=tmp_path)
    store = Store(tmp_path)
    for score in list(store.scores()):
        store.write(dataclasses.replace(score, cost=CostFigures(form=score.model.variant, file_bytes=5)))
    found = study(asked, [50, 100], 5, quiet)
    assert [row.variant for row in found.rows] == ["fp32", "int8"]
    assert found.rows[0].times_baseline == 1.0
    assert all(row.query.rounds == 5 and row.query.p50 <= row.query.p95 <= row.query.p99 for row in found.rows)
    assert [(one.vectors, one.query.rounds) for one in found.searches] == [(50, 5), (100, 5)]
    assert files.read(tmp_path, "latency", files.LatencyStudy) == [found]
    filed = {score.model.variant: score.cost.query_ms for score in store.scores()}
    assert filed == {row.variant: row.query for row in found.rows}
    assert "one query, int8" in format_latency(found, "table")
    assert [axis.key for axis in AXES][-1] == "latency"


def test_more_vectors_than_memory_has_room_for_are_one_line(
    plain_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "available_memory", lambda: 10**9)
    with pytest.raises(UserError, match=r"100,000,000 vectors of \d+ values take .* GB, and 1.0 GB of memory are free"):
        study(options(plain_folder, tmp_path), [10, 10**8], 2, quiet)
    monkeypatch.setattr(latency, "available_memory", lambda: None)
    latency.check_room(10**12, 1)


def test_the_order_turns_in_every_other_round() -> None:
    asked: list[str] = []

    class Engine:
        def __init__(self, name: str) -> None:
            self.name = name

        def encode(self, _texts: list[str], _instruction: str) -> None:
            asked.append(self.name)

    engines = [Engine("a"), Engine("b")]
    found = latency_study._in_turns(engines, ["x"] * (latency.WARM_UP + 4), "")
    assert [len(times) for times in found] == [4, 4]
    assert "".join(asked) == "baab" * 3 + "ba"


def test_a_study_of_two_models_is_refused(plain_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one model"):
        study(dataclasses.replace(options(plain_folder, tmp_path), model=["a", "b"]), [10], 2, quiet)
