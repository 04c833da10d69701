"""Whole runs on a cluster of three nodes against the same runs in one process; with workers, processes and a node lost.

The faults are made at a given share, not at a given time, so that every run of the tests sees the same.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from waiting import LONGEST

from instructor_eval.cache.database import FILE_NAME
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.run.ray import cluster as ray_cluster
from instructor_eval.run.ray import pool as ray_pool
from instructor_eval.run.ray import run as ray_run

Run = Callable[..., Any]
SAME = 1e-6
DEMO = ("--benchmark", "demo", "--device", "cpu", "--family", "instructor")
# These two do not need mteb, which takes seconds to import.
SMALL = ("--task", "DemoBillboard", "--task", "DemoPrompts")
CORPUS = ("--task", "DemoRetrieval")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_instructor(tmp_path_factory.mktemp("model") / "instructor-tiny")


@pytest.fixture(autouse=True)
def _no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster is there: two seconds a run saved. `test_ray_cluster` looks at the probe itself."""
    monkeypatch.setattr(ray_cluster, "_probe", lambda address: None)


@pytest.fixture(autouse=True)
def _all_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's tasks begin when all workers are up: who is up first is no part of what is tested."""
    fill, waited = ray_run._Run._fill, []

    def fill_when_all_are_up(run: Any) -> None:
        while run not in waited and any(slot.state == "starting" for slot in run._pool.slots):
            run._events.get(timeout=LONGEST)()
        waited.append(run)
        fill(run)

    monkeypatch.setattr(ray_run._Run, "_fill", fill_when_all_are_up)


class Watched:
    """What was sent to workers and what came back; the faults that a test asks for, at the share it names."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: Counter[str] = Counter()
        self.back: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.nodes: Counter[str] = Counter()
        self.shares = 0
        self.pool: Any = None
        self.at: dict[int, Callable[[Any], None]] = {}
        send, done, lose = ray_pool.Pool._send, ray_pool.Pool._done, ray_pool.Pool._lose

        def watched_send(pool: Any, slot: Any, share: Any) -> None:
            self.pool = pool
            send(pool, slot, share)
            self.sent.update(share.ask.texts)
            self.shares += 1
            if self.shares in self.at and len(slot.shares) == 1:
                self.at.pop(self.shares)(slot)
            elif self.shares in self.at:  # it only waits behind another: the next one, then
                self.at[self.shares + 1] = self.at.pop(self.shares)

        def watched_done(pool: Any, slot: Any, share: Any, found: Any) -> None:
            if not isinstance(found, Exception):
                self.back.update(share.ask.texts)
                self.nodes[slot.place.node] += len(share.ask.texts)
            done(pool, slot, share, found)

        def watched_lose(pool: Any, slot: Any, why: Any) -> None:
            if slot.state == "ready":
                for share in slot.shares:
                    self.lost.update(share.ask.texts)
            lose(pool, slot, why)

        monkeypatch.setattr(ray_pool.Pool, "_send", watched_send)
        monkeypatch.setattr(ray_pool.Pool, "_done", watched_done)
        monkeypatch.setattr(ray_pool.Pool, "_lose", watched_lose)

    def none_twice(self) -> None:
        """Every text was computed once, and begun a second time only where it was lost."""
        assert set(self.back.values()) == {1}
        assert self.sent - self.lost == self.back


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


@pytest.fixture
def on_ray(cli: Run, cluster: Any) -> Run:
    return lambda *arguments: cli(*arguments, "--executor", f"ray:{cluster.address}")


@pytest.fixture(scope="module")
def alone(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The demo in this process: what the others must come to. Its folders are `results` and `cache`."""
    from instructor_eval.cli.main import main

    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        where = ["--results", str(folder / "results"), "--cache", str(folder / "cache"), "--cost", "off", "--quiet"]
        assert main(["--model", str(model), *DEMO, *where]) == 0
    yield folder


def scores(folder: Path) -> dict[str, Score]:
    return {score.task: score for score in Store(folder).scores()}


def vectors(folder: Path) -> dict[bytes, np.ndarray]:
    """Every key of a cache with its vector."""
    found: dict[bytes, np.ndarray] = {}
    with sqlite3.connect(folder / FILE_NAME) as connection:
        query = "SELECT keys, vectors, dim FROM blocks b JOIN uses u ON u.block = b.id JOIN spaces s ON s.id = u.space"
        for keys, data, dim in connection.execute(query):
            rows = np.frombuffer(data, dtype=np.float32).reshape(-1, dim)
            found |= {keys[16 * i : 16 * i + 16]: row for i, row in enumerate(rows)}
    connection.close()
    return found


def same_results(ours: Path, theirs: Path, *tasks: str) -> None:
    """Scores and items of the two folders are equal; of these tasks, or of all."""
    here, there = scores(ours), scores(theirs)
    assert here.keys() == set(tasks or there)
    for task, score in here.items():
        other = there[task]
        assert (score.status, score.identity, score.data, score.n_items) == (
            "ok", other.identity, other.data, other.n_items,
        )  # fmt: skip
        assert score.score == pytest.approx(other.score, abs=SAME)
        items, others = Store(ours).items(score), Store(theirs).items(other)
        assert items.keys() == others.keys()
        for column, values in items.items():
            if values and isinstance(np.ravel(values[0])[0], float):
                assert np.allclose(values, others[column], rtol=0, atol=1e-5), (task, column)
            else:
                assert values == others[column], (task, column)


def same_cache(ours: Path, theirs: Path, *, some: bool = False) -> None:
    """The same keys, or some of theirs, and vectors equal to 1e-6."""
    here, there = vectors(ours), vectors(theirs)
    assert here.keys() <= there.keys() if some else here.keys() == there.keys()
    assert max(np.abs(here[key] - there[key]).max() for key in here) < SAME


def test_a_run_on_three_nodes_equals_one_process(
    on_ray: Run, watched: Watched, model: Path, alone: Path, tmp_path: Path
) -> None:
    done = on_ray("--model", str(model), *DEMO, "--results", "results", "--cache", "cache")
    assert (done.code, done.err) == (0, "")
    same_results(tmp_path / "results", alone / "results")
    same_cache(tmp_path / "cache", alone / "cache")
    watched.none_twice()
    assert len(watched.nodes) == 3, "every node had work"
    filed = scores(tmp_path / "results")
    for task, score in scores(alone / "results").items():
        assert filed[task].counts == score.counts
        assert filed[task].environment["executor"] == "ray"
        assert filed[task].environment["workers"] == 3
        assert filed[task].environment["hardware"]["device"] == "cpu"
        assert filed[task].environment["fresh"] is True
        assert filed[task].environment["probe"].startswith(score.model["fingerprint"])
    order = [line.split()[0] for line in done.out.splitlines() if "items" in line and line.startswith("  Demo")]
    assert sorted(order) == sorted(filed)


def test_a_killed_worker_and_a_killed_process_cost_their_share_only(
    on_ray: Run, watched: Watched, model: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.at[3] = lambda slot: os.kill(slot.about.pid, signal.SIGKILL)
    heard, killed, answered = ray_run._Run._heard, [], set()

    def kill_after_an_answer(run: Any, process: Any, message: tuple[Any, ...]) -> None:
        if message[0] == "advance":
            answered.add(process.number)
        if message[0] == "ask" and process.number in answered and not killed:  # it cannot be done: it waits for this
            killed.append(process.pid)
            os.kill(process.pid, signal.SIGKILL)
        heard(run, process, message)

    monkeypatch.setattr(ray_run._Run, "_heard", kill_after_an_answer)
    done = on_ray("--model", str(model), *DEMO[2:], *SMALL, "--results", "results", "--cache", "cache")
    assert done.code == 0, done.out
    assert "lost the worker on" in done.err
    assert "ended before it was done: it is run again" in done.err
    assert "Traceback" not in done.err
    same_results(tmp_path / "results", alone / "results", "DemoBillboard", "DemoPrompts")
    same_cache(tmp_path / "cache", alone / "cache", some=True)
    assert len(killed) == 1
    assert not watched.at, "the worker was killed"


def test_without_a_cache_and_with_a_result_that_is_there(
    on_ray: Run, watched: Watched, model: Path, alone: Path, tmp_path: Path
) -> None:
    shutil.copytree(alone / "results", tmp_path / "results")
    for path in (tmp_path / "results").rglob("DemoBillboard.*"):
        path.unlink()
    done = on_ray("--model", str(model), *DEMO[2:], *SMALL, "--results", "results", "--no-cache")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("reused from an earlier run") == 1
    same_results(tmp_path / "results", alone / "results")
    assert len(watched.back) == scores(alone / "results")["DemoBillboard"].counts["unique"]
    assert not list(tmp_path.rglob("*.sqlite3"))


def test_what_a_worker_refuses_is_one_line(on_ray: Run, watched: Watched, tmp_path: Path) -> None:
    broken = tiny.build_instructor(tmp_path / "instructor-broken")
    from safetensors.numpy import load_file, save_file

    weights = load_file(broken / "model.safetensors")
    weights["encoder.final_layer_norm.weight"] = np.full_like(weights["encoder.final_layer_norm.weight"], np.nan)
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    done = on_ray("--model", str(broken), "--task", "DemoBillboard", "--results", "results", "--quiet")
    assert done.code == 2
    [line] = done.err.splitlines()
    assert line.startswith("evaluate: DemoBillboard failed: model ")
    assert "NaN" in line
    assert not watched.lost
    assert max(watched.sent.values()) == 1, "it is not tried again"


def test_both_processes_killed_each_time_is_one_line(
    on_ray: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = ray_run._Run._heard

    def kill(run: Any, process: Any, message: tuple[Any, ...]) -> None:
        if message[0] == "expect":
            os.kill(process.pid, signal.SIGKILL)
        heard(run, process, message)

    monkeypatch.setattr(ray_run._Run, "_heard", kill)
    done = on_ray("--model", str(model), *SMALL, "--results", "results", "--quiet")
    assert done.code == 2
    for task in ("DemoBillboard", "DemoPrompts"):
        assert f"evaluate: {task} failed: the process that ran {task} ended before it was done, twice" in done.err
    assert {score.status for score in scores(tmp_path / "results").values()} == {"failed"}


def test_a_node_lost_in_the_middle(  # the last test of this file: the node is not there afterwards
    on_ray: Run, cluster: Any, watched: Watched, model: Path, alone: Path, tmp_path: Path
) -> None:
    gone: list[str] = []

    def end_node(slot: Any) -> None:
        node = next(n for n in cluster.worker_nodes if n.node_id == slot.place.node)
        gone.append(node.node_id)
        for info in node.all_processes["raylet"]:
            os.kill(info.process.pid, signal.SIGKILL)
        os.kill(slot.about.pid, signal.SIGKILL)

    def end_node_but_the_first(slot: Any) -> None:
        if slot.place.node == watched.pool._cluster.home:
            watched.at[watched.shares + 1] = end_node_but_the_first
        else:
            end_node(slot)

    watched.at[4] = end_node_but_the_first
    done = on_ray("--model", str(model), *DEMO[2:], *CORPUS, "--results", "results", "--cache", "cache")
    assert done.code == 0, done.out
    assert gone
    assert "lost the worker on" in done.err
    same_results(tmp_path / "results", alone / "results", "DemoRetrieval")
    same_cache(tmp_path / "cache", alone / "cache", some=True)
    watched.none_twice()
    assert sum(watched.lost.values()) < sum(watched.back.values())
