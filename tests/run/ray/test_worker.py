"""A job on a node that is not the run's own: other files, no data; and what is sent home. Without Ray."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny

from instructor_eval.core.errors import UserError
from instructor_eval.models.checkpoint import Checkpoint, read_checkpoint
from instructor_eval.models.engine import Engine
from instructor_eval.results.store import Store
from instructor_eval.run.plan import Request, plan_run
from instructor_eval.run.ray import engines, worker
from instructor_eval.run.ray.job import Done, Job, Setup, State
from instructor_eval.run.scores import planned_score
from instructor_eval.tasks.cards import select
from instructor_eval.tasks.instructions import parse_set
from instructor_eval.tasks.protocol import parse as parse_protocol
from instructor_eval.tasks.task import RunSettings


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tiny.build_instructor(tmp_path_factory.mktemp("model") / "tiny")
    return read_checkpoint(folder, name="tiny", revision="local", family="instructor")


@pytest.fixture
def request_(checkpoint: Checkpoint, tmp_path: Path) -> Request:
    return Request(
        models=[str(checkpoint.folder)],
        cards=select(["DemoBillboard"], []),
        instruction_sets=[parse_set("paper", set())],
        settings=RunSettings(protocol=parse_protocol([])),
        store=Store(tmp_path / "results"),
        device="cpu",
        family="instructor",
    )


@pytest.fixture
def setup(request_: Request, tmp_path: Path) -> Setup:
    return Setup(
        request=request_,
        planned=plan_run(request_, lambda _line: None),
        home="home",
        folder=tmp_path,
        environment={},
        device="cpu",
        threads=1,
        workers=2,
        long_texts=None,
        cache=tmp_path / "cache",
        cache_size=None,
    )


@pytest.fixture(autouse=True)
def at(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Where the worker is: `at.home` says whether it is on the run's own node."""
    where = SimpleNamespace(home=True)
    for module in (engines, worker):
        monkeypatch.setattr(module, "at_home", lambda _setup: where.home)
        monkeypatch.setattr(module, "address", lambda: "10.0.0.2")
    monkeypatch.setattr(engines, "prepare", lambda _setup: None)
    monkeypatch.setattr(worker, "prepare", lambda _setup: None)
    monkeypatch.setattr(worker, "_held", [])
    return where


class Queue:
    """Ray's queue, without Ray."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self.actor = SimpleNamespace(put_nowait=SimpleNamespace(remote=self.states.append))


def run(setup: Setup, *, identity: str = "") -> tuple[Done, list[State]]:
    queue, plan = Queue(), setup.planned[0]
    known = planned_score(setup.request, plan.cards[0], plan).identity
    job = Job(0, "DemoBillboard", {0: identity or known}, embeds=True)
    return worker.run_job(pickle.dumps(setup), pickle.dumps(job), queue), queue.states


def test_score_items_and_probe_are_sent_home(setup: Setup, tmp_path: Path) -> None:
    done, states = run(setup)
    [(place, score, items)] = done.scores
    assert (place, score.status, score.environment.executor) == (0, "ok", "ray")
    assert items is not None
    assert len(items["id"]) == score.n_items
    assert done.probe is not None
    assert score.environment.probe == done.probe.name
    assert not (tmp_path / "results").exists(), "nothing is filed there"
    assert states[-1].counts["done"] == score.counts.unique
    assert list((tmp_path / "cache").iterdir()), "the run's cache is used"


def test_another_node_uses_no_cache_folder(setup: Setup, at: SimpleNamespace, tmp_path: Path) -> None:
    at.home = False
    done, _ = run(setup)
    assert done.scores[0][1].status == "ok"
    assert not (tmp_path / "cache").exists()


def test_a_node_with_other_data_hands_the_job_back(setup: Setup, at: SimpleNamespace) -> None:
    at.home = False
    done, _ = run(setup, identity="0123456789abcdef")
    assert (done.spread, done.scores) == (True, [])


def test_a_node_without_the_data_hands_the_job_back(setup: Setup, at: SimpleNamespace, tmp_path: Path) -> None:
    at.home = False
    [plan] = setup.planned
    queue, gone = Queue(), dataclasses.replace(plan.cards[0], folder=tmp_path / "nothing")
    setup = dataclasses.replace(setup, planned=[dataclasses.replace(plan, cards=[gone])])
    job = pickle.dumps(Job(0, "DemoBillboard", {0: "0123456789abcdef"}, embeds=True))
    assert worker.run_job(pickle.dumps(setup), job, queue).spread
    at.home = True
    [(_, score, _)] = worker.run_job(pickle.dumps(setup), job, queue).scores
    assert score.status == "failed", "there is no other node to try"


def test_a_long_corpus_hands_the_job_back(setup: Setup) -> None:
    done, _ = run(dataclasses.replace(setup, long_texts=10))
    assert (done.spread, done.scores) == (True, [])


def test_a_model_that_is_another_on_a_node(
    setup: Setup, checkpoint: Checkpoint, at: SimpleNamespace, tmp_path: Path
) -> None:
    assert engines.find(checkpoint, setup) is checkpoint
    at.home = False
    assert engines.find(checkpoint, setup).fingerprint == checkpoint.fingerprint
    other = dataclasses.replace(checkpoint, folder=tiny.build_instructor(tmp_path / "other", seed=7))
    other.__dict__["fingerprint"] = checkpoint.fingerprint
    with pytest.raises(UserError, match=r"node 10\.0\.0\.2 has another tiny than the node of the run"):
        engines.find(other, setup)
    nothing = dataclasses.replace(checkpoint, folder=tmp_path / "nothing")
    with pytest.raises(UserError, match=r"node 10\.0\.0\.2 cannot load tiny: .* every node needs the model"):
        engines.find(nothing, setup)


def test_an_actor_embeds_a_block(setup: Setup, checkpoint: Checkpoint) -> None:
    texts = [f"{'word ' * (i % 7)}{i}" for i in range(20)] + ["a lone surrogate \ud800"]
    block: dict[str, Any] = {
        "at": np.arange(len(texts)),
        "text": np.array([text.encode("utf-8", "surrogatepass") for text in texts], dtype=object),
    }
    found = engines.Embedder(setup.light, checkpoint, "Represent: ")(block)
    engine = Engine(checkpoint, device="cpu")
    assert np.abs(found["vector"] - engine.encode(texts, "Represent: ")).max() < 1e-6
    assert found["tokens"].sum() == engine.totals.tokens
    assert not any(found["error"])
