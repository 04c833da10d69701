"""How a call's texts are cut into shares; an engine whose workers are made up."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from waiting import wait_for

from instructor_eval.cache.vectors import MemoryCache
from instructor_eval.core.errors import ModelOutputError
from instructor_eval.models.checkpoint import Checkpoint, read_checkpoint
from instructor_eval.models.engine import Engine
from instructor_eval.run.ray.messages import Ask, Failure, Reply, WorkerError
from instructor_eval.run.ray.remote_engine import SHARE_TEXTS, Line, RemoteEngine, _Cut

INSTRUCTION = "Represent the text: "
TEXTS = [f"{'word ' * (i % 37)}{i}" for i in range(300)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tiny.build_instructor(tmp_path_factory.mktemp("model") / "tiny")
    return read_checkpoint(folder, name="tiny", revision="local", family="instructor")


def shares(sizes: list[int], workers: int, rate: float) -> list[list[int]]:
    cut, found = _Cut(sizes), []
    while cut:
        found.append(cut.next(workers, rate))
    return found


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("rate", [0.0, 50.0, 1e9])
@pytest.mark.parametrize("sizes", [[5], [1] * 20, list(range(1, 3000)), [10_000, 1, 1, 1]])
def test_every_text_is_in_one_share_the_longest_first(sizes: list[int], workers: int, rate: float) -> None:
    found = shares(sizes, workers, rate)
    order = [i for share in found for i in share]
    assert sorted(order) == list(range(len(sizes)))
    assert [sizes[i] for i in order] == sorted(sizes, reverse=True)
    assert all(0 < len(share) <= SHARE_TEXTS for share in found)
    if len(sizes) > 2 * workers:
        assert len(found) >= workers, "all have work"


def test_a_share_is_some_seconds_of_work() -> None:
    sizes = [100] * 100_000
    found = shares(sizes, 2, rate=10_000.0)
    assert len(found[0]) == 500
    assert len(found[-1]) < 500, "smaller towards the end"
    assert max(map(len, shares(sizes, 2, rate=1e9))) == SHARE_TEXTS


class Workers:
    """What answers an engine: a local engine's vectors, in whatever order the test wants."""

    def __init__(self, checkpoint: Checkpoint, answer: Callable[[Ask, Engine], Any] | None = None) -> None:
        self.ours, theirs = multiprocessing.Pipe()
        self.line = Line(theirs, 2)
        self.asks: list[Ask] = []
        self.told: list[tuple[Any, ...]] = []
        self._engine, self._answer = Engine(checkpoint, device="cpu"), answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        waiting: list[Ask] = []
        while True:
            kind, *what = self.ours.recv()
            if kind == "ask":
                waiting.append(what[0])
                self.asks.append(what[0])
            else:
                self.told.append((kind, *what))
            if kind == "drop":
                waiting.clear()
            while waiting and not self.ours.poll(0.05):
                ask = waiting.pop()  # the last first
                found = self._answer(ask, self._engine) if self._answer else None
                if found is None:
                    vectors = self._engine.encode(ask.texts, ask.instruction)
                    found = Reply(vectors, 10 * len(ask.texts), 0.1, 0.0, {"device": "cpu", "node": "n"}, workers=2)
                self.ours.send(("answer", ask.number, found))


def test_vectors_are_those_of_one_engine_in_input_order(checkpoint: Checkpoint) -> None:
    workers, cache = Workers(checkpoint), MemoryCache()
    engine = RemoteEngine(checkpoint, 0, workers.line, device="cpu", cache=cache)
    texts = [*TEXTS, *TEXTS[:10]]
    vectors = engine.encode(texts, INSTRUCTION)
    expected = Engine(checkpoint, device="cpu").encode(texts, INSTRUCTION)
    assert np.abs(vectors - expected).max() < 1e-6
    assert len(workers.asks) > 2
    assert sorted(text for ask in workers.asks for text in ask.texts) == sorted(TEXTS), "each text once"
    assert (engine.totals.texts, engine.totals.unique, engine.totals.hits) == (310, 300, 0)
    assert engine.totals.tokens == 3000
    assert sum(what[1] for what in workers.told if what[0] == "advance") == 300
    assert engine.environment() == {"hardware": {"device": "cpu", "node": "n"}, "executor": "ray", "workers": 2}

    asked = len(workers.asks)
    assert (engine.encode(texts, INSTRUCTION) == vectors).all(), "from the cache, bit for bit"
    assert len(workers.asks) == asked


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        (Failure("model m gives a NaN", "output"), ModelOutputError, "model m gives a NaN"),
        (Failure("ValueError on node n: no", "unexpected", "Traceback ..."), WorkerError, "ValueError on node n: no"),
    ],
)
def test_what_a_worker_refuses_is_raised_and_the_next_call_goes_on(
    checkpoint: Checkpoint, failure: Failure, kind: type[Exception], words: str
) -> None:
    bad = "the bad one"
    workers = Workers(checkpoint, lambda ask, _: failure if bad in ask.texts else None)
    cache = MemoryCache()
    engine = RemoteEngine(checkpoint, 0, workers.line, device="cpu", cache=cache)
    with pytest.raises(kind, match=words):
        engine.encode([*TEXTS, bad], INSTRUCTION)
    assert engine.encode(TEXTS[:20], INSTRUCTION).shape == (20, engine.dim)


def test_the_run_hears_of_notes(checkpoint: Checkpoint) -> None:
    def noted(ask: Ask, engine: Engine) -> Reply:
        vectors = engine.encode(ask.texts, ask.instruction)
        return Reply(vectors, 1, 0.1, 2.5, {}, drift=0.25, notes=("memory is full",), workers=2)

    workers = Workers(checkpoint, noted)
    engine = RemoteEngine(checkpoint, 0, workers.line, device="cpu", cache=None)
    engine.encode(["one"], "")
    workers.line.tell("end")
    wait_for(lambda: ("end",) in workers.told, "all is heard")
    assert ("note", "memory is full") in workers.told
    assert (engine.drift, engine.totals.load) == (0.25, 2.5)


def test_a_model_that_is_another_on_a_node(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: Any) -> None:
    import ray

    from instructor_eval.core.errors import UserError
    from instructor_eval.run.ray import worker
    from instructor_eval.run.ray.messages import Model

    class Context:
        def get_node_id(self) -> str:
            return "there"

    monkeypatch.setattr(ray, "get_runtime_context", Context)
    monkeypatch.setattr(worker, "_node", lambda: "10.0.0.2")
    other = tiny.build_instructor(tmp_path / "other", seed=7)

    def model(folder: Path, home: str) -> Model:
        return Model(0, str(folder), checkpoint, checkpoint.fingerprint, home, family="instructor", offline=True)

    assert worker.find(model(checkpoint.folder, "there")) is checkpoint
    assert worker.find(model(checkpoint.folder, "here")).fingerprint == checkpoint.fingerprint
    with pytest.raises(UserError, match=r"node 10\.0\.0\.2 has another tiny than the node of the run"):
        worker.find(model(other, "here"))
    with pytest.raises(UserError, match=r"node 10\.0\.0\.2 cannot load tiny: .* every node needs the model"):
        worker.find(model(tmp_path / "nothing", "here"))
