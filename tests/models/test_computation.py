"""Computing: order, batches, too little memory, what an early end leaves behind."""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import NAME, TOLERANCE, largest, one_line
from golden.cases import DOCUMENT

from instructor_eval.cache.vectors import MemoryCache, VectorCache, keys_of
from instructor_eval.core.errors import ModelOutputError, OutOfMemory, UserError
from instructor_eval.core.values import Vectors
from instructor_eval.models import batches
from instructor_eval.models.batches import Computation, Work
from instructor_eval.models.engine import Engine

WIDTH = 3


class Ready:
    """Vectors that need no waiting for."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors

    def result(self) -> Vectors:
        return self.vectors


class FakeNetwork:
    """A text of n tokens of value v has the vector [n, v, 1]; more than `room` padded tokens do not fit."""

    same_length = False

    def __init__(self, room: int = 10**9, most: int | None = None) -> None:
        self.device = torch.device("cpu")
        self.most = most
        self.room = room
        self.batches: list[list[int]] = []
        self.refused = self.freed = 0

    def start(self, rows: list, skip: int) -> Ready:
        if len(rows) * max(map(len, rows)) > self.room:
            self.refused += 1
            raise OutOfMemory(f"no room:\nmore than {self.room}")
        self.batches.append([len(r) for r in rows])
        return Ready(np.array([[len(r), r[0], 1] for r in rows], dtype=np.float32))

    def free(self) -> None:
        assert sys.exc_info() == (None, None, None), "the error would hold the memory"
        self.freed += 1


class Job:
    """Texts of given lengths; what is asked, done and stored is written down."""

    def __init__(self, lengths: list[int], network: FakeNetwork, *, most: int | None = None) -> None:
        self.lengths, self.network = lengths, network
        self.vectors = np.zeros((len(lengths), WIDTH), dtype=np.float32)
        self.times = Counter()
        self.tokens = 0
        self.commits: list[list[int]] = []
        self.keepers: set[str] = set()
        self.said: list[str] = []
        self.most = most

    def done(self, at: list[int], rows: Vectors, tokens: int) -> Vectors:
        self.times.update(at)
        self.vectors[at] = rows
        self.tokens += tokens
        return rows

    def store(self, at: list[int], rows: Vectors) -> None:
        assert np.array_equal(rows, self.vectors[at])
        self.keepers.add(threading.current_thread().name)
        self.commits.append(list(at))

    def run(self, budget: int | None = None, **changes: Callable) -> Computation:
        def tokenise(at: list[int]) -> list[list[int]]:
            return [[i % 1000] * self.lengths[i] for i in at]

        functions = {"tokenise": tokenise, "done": self.done, "store": self.store} | changes
        work = Work(sizes=self.lengths, skip=0, most=self.most, **functions)
        computation = Computation(self.network, budget, self.said.append)
        computation.run(work)
        return computation

    def check(self) -> None:
        """Every text once, with its own vector, and stored."""
        count = len(self.lengths)
        assert self.times == Counter(range(count))
        assert sorted(i for part in self.commits for i in part) == list(range(count))
        expected = [[n, i % 1000, 1] for i, n in enumerate(self.lengths)]
        assert np.array_equal(self.vectors, np.array(expected, dtype=np.float32).reshape(-1, WIDTH))
        assert self.tokens == sum(self.lengths)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


LENGTHS = [int(n) for n in np.random.RandomState(1).randint(1, 90, 700)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows and commits of a few texts."""
    monkeypatch.setattr(batches, "WINDOW", 64)
    monkeypatch.setattr(batches, "COMMIT_TEXTS", 16)


@pytest.mark.parametrize("budget", [None, 1, 90, 400])
def test_every_text_once(small: None, budget: int | None) -> None:
    job = Job(LENGTHS, FakeNetwork())
    job.run(budget)
    job.check()
    assert job.said == []


@pytest.mark.parametrize("count", [1, 15, 16, 17, 63, 64, 65, 128, 129])
def test_around_the_ends_of_windows_and_commits(small: None, count: int) -> None:
    job = Job(LENGTHS[:count], FakeNetwork())
    job.run()
    job.check()
    assert max(map(len, job.commits)) <= 16


def test_the_longest_come_first(small: None) -> None:
    network = FakeNetwork()
    Job(LENGTHS, network).run(400)
    assert network.batches[0][0] == max(LENGTHS)
    in_order = [n for batch in network.batches for n in batch]
    assert in_order == sorted(LENGTHS, reverse=True)


def test_windows_are_sorted_by_tokens(small: None) -> None:
    """Characters only tell which texts make a window."""
    network = FakeNetwork()
    job = Job(LENGTHS[:64], network)
    job.run(400, tokenise=lambda at: [[i % 1000] * (100 - job.lengths[i]) for i in at])
    in_order = [n for batch in network.batches for n in batch]
    assert in_order == sorted(in_order, reverse=True)


@pytest.mark.parametrize(("most", "bound"), [(None, 16), (5, 5), (1, 1), (100, 16)])
def test_texts_in_a_batch(small: None, most: int | None, bound: int) -> None:
    network = FakeNetwork()
    job = Job([7] * 80, network, most=most)
    job.run(10**6)
    job.check()
    assert max(map(len, network.batches)) == bound


def test_commits_are_bounded_and_made_in_a_thread_of_their_own(small: None) -> None:
    job = Job(LENGTHS, FakeNetwork())
    job.run(90)
    assert max(map(len, job.commits)) <= batches.COMMIT_TEXTS
    assert len(job.commits) < 2 * len(LENGTHS) / batches.COMMIT_TEXTS
    assert all(name.startswith("store") for name in job.keepers)
    assert batches.chunk() == 4 * 16


def test_a_slow_device_commits_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "COMMIT_SECONDS", 0.0)
    job = Job(LENGTHS[:20], FakeNetwork())
    job.run(1)
    assert [len(c) for c in job.commits] == [1] * 20
    job.check()


def test_no_more_memory_halves_the_batches() -> None:
    network = FakeNetwork(room=400)
    job = Job([40] * 200, network)
    computation = job.run(4000)
    job.check()
    assert network.refused == network.freed == 4
    assert computation.budget == 240
    assert job.said == [
        f"memory of cpu is full at {tokens} tokens a batch: on with {rest}"
        for tokens, rest in [("4,000", "2,000"), ("2,000", "1,000"), ("1,000", "500"), ("480", "240")]
    ]


def test_memory_that_goes_in_the_middle(small: None) -> None:
    network = FakeNetwork()
    job = Job(LENGTHS, network)

    def done(at: list[int], rows: Vectors, tokens: int) -> Vectors:
        if sum(job.times.values()) > 300:
            network.room = 100
        return job.done(at, rows, tokens)

    computation = job.run(600, done=done)
    job.check()
    assert 45 <= computation.budget <= 100
    assert len(job.said) == network.refused == network.freed > 0


def test_two_texts_that_do_not_fit_together() -> None:
    network = FakeNetwork(room=100)
    job = Job([90, 90, 90, 5], network)
    assert job.run(180).budget == 90
    job.check()
    assert network.batches == [[90], [90], [90], [5]]


def test_one_text_that_is_too_large() -> None:
    network = FakeNetwork(room=50)
    job = Job([60, 40, 10], network)
    with one_line("cpu", "too little memory", "one text of 60 tokens", "no room: more than 50", "--device"):
        job.run(1000)
    assert network.freed == network.refused
    assert job.commits == []


def test_the_next_call_starts_from_what_memory_has_taught(
    plain: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = Engine(plain.checkpoint, device="cpu")
    texts = [f"the river {i}" for i in range(64)]
    whole, sizes = encoder.network.start, []

    def start(rows, skip):
        sizes.append(len(rows) * len(rows[0]))
        if sizes[-1] > 80:
            raise OutOfMemory("full")
        return whole(rows, skip)

    monkeypatch.setattr(encoder.network, "start", start)
    first = encoder.encode(texts, "")
    assert largest(first, plain.encode(texts, "")) < TOLERANCE
    refused = sum(size > 80 for size in sizes)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == refused > 0
    assert encoder.batch_tokens <= 80
    sizes.clear()
    assert largest(encoder.encode(texts[::-1], ""), first[::-1]) < TOLERANCE
    assert max(sizes) <= 80
    assert capsys.readouterr().err == ""


def test_what_memory_has_taught_outlives_an_error(plain: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Engine(plain.checkpoint, device="cpu", batch_tokens=400)

    def start(rows, skip):
        raise OutOfMemory("full") if len(rows) * len(rows[0]) > 80 else RuntimeError("the device is gone")

    monkeypatch.setattr(encoder.network, "start", start)
    with pytest.raises(RuntimeError, match="gone"):
        encoder.encode([f"the river {i}" for i in range(64)], "")
    assert 40 <= encoder.batch_tokens <= 80


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("x"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        MemoryError(),
    ],
    ids=["device", "CPU", "CPU, Windows", "Python"],
)
def test_what_counts_as_out_of_memory(plain: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(batch: object) -> None:
        raise error

    monkeypatch.setattr(plain.network, "_hidden", fail)
    with pytest.raises(OutOfMemory) as caught:
        plain.network.start([np.array([2, 3], dtype=np.int32)], 0)
    assert caught.value.__cause__ is error
    with one_line("too little memory", "one text of 3 tokens"):
        plain.encode(["the"], "")


def test_other_errors_stay_as_they_are(plain: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(batch: object) -> None:
        raise RuntimeError("a shape is wrong")

    monkeypatch.setattr(plain.network, "_hidden", fail)
    with pytest.raises(RuntimeError, match="a shape is wrong"):
        plain.encode(["the", "the river"], "")


def test_batches_that_really_do_not_fit(plain: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's own error of an allocation beyond all memory."""
    monkeypatch.setattr(plain.network, "_hidden", lambda batch: torch.empty(2**60, dtype=torch.uint8))
    with pytest.raises(OutOfMemory):
        plain.network.start([np.array([2, 3], dtype=np.int32)], 0)


TEXTS = [f"{'the ' * (i % 23)}river {i}" for i in range(120)]


def known(encoder: Engine, texts: list[str]) -> np.ndarray:
    out = np.zeros((len(texts), encoder.dim), dtype=np.float32)
    return encoder.cache.read(encoder.space, keys_of(encoder.fingerprint, DOCUMENT, texts), out)


@pytest.fixture(params=["memory", "disk"])
def encoder(request: pytest.FixtureRequest, plain: Engine, tmp_path: Path) -> Engine:
    cache = MemoryCache() if request.param == "memory" else VectorCache(tmp_path, warn=pytest.fail)
    fresh = Engine(plain.checkpoint, device="cpu", batch_tokens=200, cache=cache)
    fresh._network = plain.network
    return fresh


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("the device is gone")])
def test_what_was_done_before_an_interrupt_is_stored(
    encoder: Engine, plain: Engine, small: None, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    whole, started = encoder.network.start, []

    def start(rows, skip):
        if len(started) == 9:
            raise error
        started.append(len(rows))
        return whole(rows, skip)

    with monkeypatch.context() as patch:
        patch.setattr(encoder.network, "start", start)
        with pytest.raises(type(error)):
            encoder.encode(TEXTS, DOCUMENT)
    assert known(encoder, TEXTS).sum() == sum(started[:-1]), "all but the batch on its way"
    computed = encoder.totals.tokens
    vectors = encoder.encode(TEXTS, DOCUMENT)
    assert encoder.totals.hits == sum(started[:-1])
    assert encoder.totals.tokens == sum(encoder.input_lengths(TEXTS, DOCUMENT))
    assert 0 < computed < encoder.totals.tokens
    assert largest(vectors, plain.encode(TEXTS, DOCUMENT)) < TOLERANCE


def test_what_was_done_before_a_bad_vector_is_stored(
    encoder: Engine, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encoder.network.start
    bad = min(encoder.input_lengths(TEXTS, DOCUMENT)) + 3

    def start(rows, skip):
        pending = whole(rows, skip)
        pending.result()[[len(r) == bad for r in rows]] = np.nan
        return pending

    monkeypatch.setattr(encoder.network, "start", start)
    with one_line(NAME, "NaN", kind=ModelOutputError):
        encoder.encode(TEXTS, DOCUMENT)
    lengths = np.array(encoder.input_lengths(TEXTS, DOCUMENT))
    stored = known(encoder, TEXTS)
    assert stored.sum() > 60
    assert not stored[lengths <= bad].any()
    assert stored[lengths > bad + 2].all()


def test_a_text_that_cannot_be_tokenised_ends_the_call(
    encoder: Engine, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a later window: the ones before are stored."""
    shortest = min(TEXTS, key=len)
    whole = encoder._tokenise

    def tokenise(texts: list[str], instruction: str, skip: int) -> list[list[int]]:
        if shortest in texts:
            raise ModelOutputError("no token")
        return whole(texts, instruction, skip)

    monkeypatch.setattr(encoder, "_tokenise", tokenise)
    with one_line("no token", kind=ModelOutputError):
        encoder.encode(TEXTS, DOCUMENT)
    assert known(encoder, TEXTS).sum() == 64


@pytest.mark.parametrize(("lengths", "commits_before"), [(LENGTHS, 0), (LENGTHS, 3), ([4, 5], 0)])
def test_an_error_while_storing_is_raised(small: None, lengths: list[int], commits_before: int) -> None:
    """In the last commit too: the one that two texts make."""
    job = Job(lengths, FakeNetwork())

    def store(at: list[int], rows: Vectors) -> None:
        if len(job.commits) == commits_before:
            raise UserError("no room for vectors")
        job.store(at, rows)

    with one_line("no room for vectors"):
        job.run(400, store=store)
