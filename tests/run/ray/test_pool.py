"""Which worker gets which share, and what becomes of a share whose worker is lost: with workers that are made up."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from instructor_eval.core.errors import UserError
from instructor_eval.run.ray import pool
from instructor_eval.run.ray.cluster import Place
from instructor_eval.run.ray.messages import About, Ask, Failure, Reply, Status
from instructor_eval.run.ray.pool import Pool, Share


class Method:
    """A remote method: each call is a future that the test completes."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], Future[Any]]] = []

    def options(self, **_: Any) -> Method:
        return self

    def remote(self, *arguments: Any) -> Any:
        future: Future[Any] = Future()
        self.calls.append((arguments, future))
        return SimpleNamespace(future=lambda: future)

    @property
    def open(self) -> list[tuple[tuple[Any, ...], Future[Any]]]:
        return [(arguments, future) for arguments, future in self.calls if not future.done()]


class Made:
    """A worker that does what the test says."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.ready, self.status, self.encode, self.probe = Method(), Method(), Method(), Method()
        self.killed = False

    def come_up(self, version: str = "1") -> None:
        self.ready.open[0][1].set_result(About(self.place.address, 1, {"instructor-eval": version}, {}))

    def answer(self) -> None:
        """The share in hand is done."""
        (_, _, texts), future = self.encode.open[0]
        future.set_result(Reply(np.zeros((len(texts), 2), np.float32), len(texts), 1.0, 0.0, {}))

    def die(self) -> None:
        for method in (self.ready, self.encode, self.status):
            for _, future in method.open:
                future.set_exception(RuntimeError("ActorDied"))

    @property
    def in_hand(self) -> list[list[str]]:
        return [arguments[2] for arguments, _ in self.encode.open]


class Fake:
    """A cluster of made-up workers."""

    def __init__(self, *nodes: str) -> None:
        self.nodes = list(nodes)
        self.workers: list[Made] = []

    def places(self, *, but: set[str]) -> Iterator[Place]:
        yield from [Place(node, node, 1, "cpu") for node in self.nodes if node not in but]

    def worker(self, place: Place) -> Made:
        self.workers.append(Made(place))
        return self.workers[-1]

    def has(self, node: str) -> bool:
        return node in self.nodes

    def kill(self, handle: Made) -> None:
        handle.killed = True

    def put(self, value: object) -> object:
        return value

    def differing(self, about: About) -> str:
        return "" if about.versions["instructor-eval"] == "1" else f"node {about.node} has another version"


class Told:
    """A pool with what it told."""

    def __init__(self, *nodes: str, up: bool = True) -> None:
        self.cluster = Fake(*nodes)
        self.answers: list[tuple[int, Reply | Failure]] = []
        self.lines: list[str] = []
        models: dict[int, Any] = {0: "model 0", 1: "model 1"}
        self.pool = Pool(
            self.cluster,  # type: ignore[arg-type]
            models,
            lambda then: then(),
            lambda share, found: self.answers.append((share.ask.number, found)),
            self.lines.append,
        )
        self.pool.start()
        if up:
            for worker in self.workers:
                worker.come_up()

    @property
    def workers(self) -> list[Made]:
        return self.cluster.workers

    def ask(self, number: int, *, model: int = 0, owner: int = 1) -> None:
        self.pool.submit(Share(owner, Ask(number, model, "", [str(number)])))

    @property
    def failures(self) -> list[Failure]:
        return [found for _, found in self.answers if isinstance(found, Failure)]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(pool.time, "monotonic", lambda: now.seconds)
    return now


def test_all_have_work_before_one_has_more() -> None:
    told = Told("a", "b")
    for number in range(1, 6):
        told.ask(number)
    assert [w.in_hand for w in told.workers] == [[["1"], ["3"]], [["2"], ["4"]]]
    told.workers[1].answer()
    assert told.workers[1].in_hand == [["4"], ["5"]]
    assert [number for number, _ in told.answers] == [2]


def test_owners_take_turns() -> None:
    told = Told("a")
    for number in range(1, 5):
        told.ask(number, owner=1)
    for number in range(11, 13):
        told.ask(number, owner=2)
    seen = []
    while told.workers[0].in_hand:
        seen += told.workers[0].in_hand[0]
        told.workers[0].answer()
    assert seen == ["1", "2", "3", "11", "4", "12"]


def test_what_was_in_hand_goes_elsewhere_and_what_waited_is_not_counted_as_lost() -> None:
    told = Told("a", "b")
    for number in range(1, 5):
        told.ask(number)
    first, second = told.workers
    told.cluster.nodes.remove("a")
    first.die()
    assert first.killed
    assert told.lines == [
        "lost the worker on a: RuntimeError: ActorDied: what it had in hand is computed again elsewhere"
    ]
    while second.in_hand:
        second.answer()
    assert sorted(number for number, _ in told.answers) == [1, 2, 3, 4]
    assert not told.failures
    assert (told.pool.alive, told.pool.lost) == (1, 1)


def test_a_share_that_is_lost_twice_fails_alone() -> None:
    told = Told("a", "b")
    told.ask(1)
    told.workers[0].die()
    assert told.workers[1].in_hand == [["1"]]
    told.workers[1].die()
    [failure] = told.failures
    assert "lost twice" in failure.text
    assert "on a and b" in failure.text
    for worker in told.workers[2:]:  # those that took their places
        worker.come_up()
    told.ask(2)
    assert [w.in_hand for w in told.workers[2:]] == [[["2"]], []]


def test_where_none_is_left_the_run_ends() -> None:
    told = Told("a", "b")
    told.ask(1)
    told.cluster.nodes.clear()
    for worker in told.workers:
        worker.encode.open or told.ask(2)
        worker.die()
    with pytest.raises(UserError, match=r"no worker is left to compute .* the same command goes on"):
        told.pool.watch()


def test_a_worker_that_never_starts_is_tried_three_times(clock: SimpleNamespace) -> None:
    told = Told("a", up=False)
    for tries in (1, 2, 3):
        assert len(told.workers) == tries
        clock.seconds += pool.START_SECONDS + 1
        if tries < 3:
            told.pool.watch()
    with pytest.raises(UserError, match="did not start in 180 s"):
        told.pool.watch()


def test_a_node_with_another_version_is_not_used() -> None:
    told = Told("a", "b", up=False)
    told.workers[0].come_up("2")
    told.workers[1].come_up()
    told.ask(1)
    assert [w.in_hand for w in told.workers] == [[], [["1"]]]
    assert told.pool.why == "worker on a: node a has another version"


def test_a_worker_that_does_not_answer_is_given_up(clock: SimpleNamespace) -> None:
    told = Told("a", "b")
    told.ask(1)
    clock.seconds += pool.STATUS_SECONDS + 1
    told.pool.watch()
    assert len(told.workers[0].status.open) == 1
    clock.seconds += pool.SILENT_SECONDS + 1
    told.pool.watch()
    assert told.workers[0].killed
    assert told.workers[1].in_hand == [["1"]]


@pytest.mark.parametrize(("loading", "given_up"), [(False, True), (True, False)])
def test_a_worker_from_which_nothing_comes_is_given_up(clock: SimpleNamespace, loading: bool, given_up: bool) -> None:
    told = Told("a")
    told.ask(1)
    clock.seconds += pool.STATUS_SECONDS + 1
    told.pool.watch()
    told.workers[0].status.open[0][1].set_result(Status(3, pool.STILL_SECONDS + 1, loading))
    assert told.workers[0].killed is given_up


def test_a_worker_changes_its_model_only_when_others_do_not_take_the_share(clock: SimpleNamespace) -> None:
    told = Told("a", "b")
    told.ask(1, model=0)
    told.ask(2, model=1)
    a, b = told.workers
    assert (a.in_hand, b.in_hand) == ([["1"]], [["2"]])
    a.answer()
    for number in (3, 4):
        told.ask(number, model=1)
    assert (a.in_hand, b.in_hand) == ([], [["2"], ["3"]]), "the other one has that model"
    clock.seconds += pool.PATIENCE_SECONDS + 1
    told.pool.watch()
    assert (a.in_hand, b.in_hand) == ([["4"]], [["2"], ["3"]])


def test_a_model_that_nobody_holds_is_loaded_at_once() -> None:
    told = Told("a")
    told.ask(1, model=0)
    told.workers[0].answer()
    told.ask(2, model=1)
    assert told.workers[0].in_hand == [["2"]]


def test_a_node_that_came_is_used(clock: SimpleNamespace) -> None:
    told = Told("a")
    told.cluster.nodes.append("b")
    clock.seconds += pool.STATUS_SECONDS + 1
    told.pool.watch()
    told.workers[1].come_up()
    told.ask(1)
    told.ask(2)
    assert [w.in_hand for w in told.workers] == [[["1"]], [["2"]]]


def test_what_an_owner_dropped_is_not_begun() -> None:
    told = Told("a")
    for number in (1, 2, 3):
        told.ask(number)
    told.pool.drop(1)
    assert told.workers[0].in_hand == [["1"], ["2"]], "what was sent is sent"
    told.workers[0].answer()
    told.workers[0].answer()
    told.ask(4)
    assert told.workers[0].in_hand == [["4"]]
    assert 3 not in dict(told.answers)
