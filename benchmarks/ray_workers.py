"""The same encoding with one one-core worker, with one a core, and in this process with as many threads.

    python benchmarks/ray_workers.py                   # the embedded model, two cores
    python benchmarks/ray_workers.py --shape base      # INSTRUCTOR of T5-base shape, random weights

The work goes the way it goes in a run: an engine in this process cuts it into shares, a pool hands them to workers of
a Ray cluster on this machine, vectors come back and are put in order; no cache. Starting Ray and loading the model are
not counted. Every round runs each side once, on texts of its own, and the median over rounds counts. The vectors of
all sides are compared.
"""

from __future__ import annotations

import argparse
import multiprocessing
import queue
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from shapes import INSTRUCTION, SHAPES, build, mixed_texts

from instructor_eval.core.machine import usable_cores
from instructor_eval.models.checkpoint import Checkpoint, read_checkpoint
from instructor_eval.models.engine import Engine
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.run.executor import Executor
from instructor_eval.run.ray.cluster import Cluster, connected
from instructor_eval.run.ray.messages import Model, Reply
from instructor_eval.run.ray.pool import Pool, Share
from instructor_eval.run.ray.remote_engine import Line, RemoteEngine

WARM_UP = 32


class Side:
    """An engine whose shares go to the workers of a cluster, all of them or the first few."""

    def __init__(self, cluster: Cluster, checkpoint: Checkpoint) -> None:
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        model = Model(0, "", checkpoint, checkpoint.fingerprint, cluster.home)
        self.pool = Pool(cluster, {0: model}, self._events.put, self._answer, print)
        self._ours, theirs = multiprocessing.Pipe()
        self._line = Line(theirs, 1)
        self._engine = RemoteEngine(checkpoint, 0, self._line, device="cpu", cache=None)
        threading.Thread(target=self._listen, daemon=True).start()
        self.pool.start()
        while self.pool.alive < len(self.pool.slots):
            self._events.get()()

    def _answer(self, share: Share, found: Any) -> None:
        if isinstance(found, Reply):
            found = Reply(**{**vars(found), "workers": self.pool.alive})
        self._ours.send(("answer", share.ask.number, found))

    def _listen(self) -> None:
        while True:
            kind, *what = self._ours.recv()
            if kind == "ask":
                self._events.put(lambda ask=what[0]: self.pool.submit(Share(0, ask)))

    def encode(self, texts: list[str], workers: int) -> np.ndarray:
        """The vectors of `texts`, with only so many workers at work."""
        for number, slot in enumerate(self.pool.slots):
            slot.state = "ready" if number < workers else "resting"
        self._line.workers = workers
        found: list[np.ndarray] = []

        def work() -> None:
            found.append(self._engine.encode(texts, INSTRUCTION))

        thread = threading.Thread(target=work)
        thread.start()
        while thread.is_alive():
            try:
                self._events.get(timeout=0.05)()
            except queue.Empty:
                continue
        return found[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, help="random weights of this shape instead of the embedded model")
    parser.add_argument("--texts", type=int, default=1024, help="a side and round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cores = usable_cores()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = _checkpoint(options.shape, Path(folder))
        here = Engine(checkpoint, device="cpu")
        with connected(Executor("ray"), "cpu") as cluster:
            side = Side(cluster, checkpoint)
            sides: dict[str, Callable[[list[str]], np.ndarray]] = {
                f"in process, {cores} threads": lambda texts: here.encode(texts, INSTRUCTION),
                "1 worker of one core": lambda texts: side.encode(texts, 1),
                f"{len(side.pool.slots)} workers of {side.pool.slots[0].place.cores} core(s)": lambda texts: (
                    side.encode(texts, len(side.pool.slots))
                ),
            }
            _measure(sides, options.texts, options.rounds)


def _checkpoint(shape: str | None, folder: Path) -> Checkpoint:
    if shape is None:
        return locate(ModelSpec.parse("minilm"), offline=True, known=[])
    return read_checkpoint(build(folder / shape, SHAPES[shape]), name=shape, revision="local", family="instructor")


def _measure(sides: dict[str, Callable[[list[str]], np.ndarray]], count: int, rounds: int) -> None:
    texts = mixed_texts(count * rounds + WARM_UP)
    for encode in sides.values():
        encode(texts[:WARM_UP])
    rates: dict[str, list[float]] = {name: [] for name in sides}
    worst = 0.0
    for number in range(rounds):
        part = texts[WARM_UP + number * count : WARM_UP + (number + 1) * count]
        vectors = []
        for name, encode in sides.items():
            started = time.perf_counter()
            vectors.append(encode(part))
            rates[name].append(len(part) / (time.perf_counter() - started))
        worst = max(worst, *(float(np.abs(v - vectors[0]).max()) for v in vectors[1:]))
    middle = {name: median(found) for name, found in rates.items()}
    for name, rate in middle.items():
        print(f"{name:<28}{rate:10.1f} texts/s   ({min(rates[name]):.1f} to {max(rates[name]):.1f})")
    alone, one, many = middle.values()
    print(f"all workers against one: {many / one:.2f}; against this process: {many / alone:.2f}")
    print(f"largest difference of a vector's value: {worst:.1e}")


if __name__ == "__main__":
    main()
