"""Vectors on disk, written and read: our VectorCache against the store of mteb's CachedEmbeddingWrapper (NumpyCache).

    python benchmarks/cache_io.py                       # 100,000 vectors of 768 float32
    python benchmarks/cache_io.py --count 20000 --dim 384

Both sides get the same texts and vectors, and hashing the texts to keys is part of every time.

    ours   keys_of and write in commits of 2,048; keys_of and read in windows of 16,384, as the encoder does
    mteb   add of everything and one save, as its wrapper does at the end of a call (what a crash before loses is
           everything); besides, a save after every 2,048; get_vector for every text, gathered in one array

"whole call" is what a task waits for: `Engine.encode` against `CachedEmbeddingWrapper.encode` over a Dataset.

Every part runs in a process of its own. A read is timed from opening the store on (cold process; the operating system
may still hold the files in memory), in the written order or at random, and once more in the same process (warm).
Sides take turns; medians over the repeats. What is read is compared with what was written, bit for bit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from fresh import middle, serve, worker
from shapes import INSTRUCTION, mixed_texts, tiny

from instructor_eval.cache.vectors import VectorCache, keys_of
from instructor_eval.models.checkpoint import read_checkpoint
from instructor_eval.models.engine import Engine

COMMIT, WINDOW = 2048, 16_384
TASK = "made-up"
PARTS = (("ours", "write"), ("mteb", "write"), ("mteb", "write-often"), ("ours", "in order"), ("mteb", "in order"),
         ("ours", "at random"), ("mteb", "at random"), ("ours", "whole call"), ("mteb", "whole call"))  # fmt: skip


Read = Callable[[list[str]], np.ndarray]


def our_engine(order: dict[str, Any]) -> Engine:
    """A tiny model, for its fingerprint; it never computes anything here."""
    checkpoint = read_checkpoint(Path(order["model"]), name="tiny", revision="random", family="instructor")
    return Engine(checkpoint, device="cpu")


def write_ours(order: dict[str, Any], texts: list[str], vectors: np.ndarray) -> float:
    engine = our_engine(order)
    started = time.perf_counter()
    cache = VectorCache(Path(order["folder"]), limit=None, warn=sys.exit)
    for i in range(0, len(texts), COMMIT):
        keys = keys_of(engine.fingerprint, INSTRUCTION, texts[i : i + COMMIT])
        cache.write(engine.space, keys, vectors[i : i + COMMIT])
    cache.close()
    return time.perf_counter() - started


def write_mteb(order: dict[str, Any], texts: list[str], vectors: np.ndarray) -> float:
    from mteb.models.cache_wrappers.cache_backends.numpy_cache import NumpyCache

    items = [{"text": text} for text in texts]
    step = COMMIT if order["what"] == "write-often" else len(texts)
    started = time.perf_counter()
    cache = NumpyCache(Path(order["folder"]) / TASK)
    for i in range(0, len(texts), step):
        cache.add(items[i : i + step], vectors[i : i + step])
        cache.save()
    cache.close()
    return time.perf_counter() - started


def ours_reader(order: dict[str, Any], texts: list[str]) -> Callable[[], Read]:
    """Return a function that opens our cache and gives one that reads."""
    engine = our_engine(order)

    def read(texts: list[str]) -> np.ndarray:
        out = np.empty((len(texts), engine.dim), dtype=np.float32)
        for i in range(0, len(texts), WINDOW):
            keys = keys_of(engine.fingerprint, INSTRUCTION, texts[i : i + WINDOW])
            if not engine.cache.read(engine.space, keys, out[i : i + WINDOW]).all():
                sys.exit("ours: a vector that was written was not found")
        return out

    def opened() -> Read:
        engine.cache = VectorCache(Path(order["folder"]), limit=None, warn=sys.exit)
        return (lambda texts: engine.encode(texts, INSTRUCTION)) if order["what"] == "whole call" else read

    return opened


def mteb_reader(order: dict[str, Any], texts: list[str]) -> Callable[[], Read]:
    """Return a function that opens mteb's store and gives one that reads."""
    from datasets import Dataset
    from mteb.models.cache_wrappers import CachedEmbeddingWrapper
    from mteb.models.cache_wrappers.cache_backends.numpy_cache import NumpyCache

    def never(*_args: Any, **_kwargs: Any) -> None:
        sys.exit("mteb: a vector that was written was not found")

    loader = SimpleNamespace(dataset=Dataset.from_dict({"text": texts}))

    def opened() -> Read:
        if order["what"] != "whole call":
            cache = NumpyCache(Path(order["folder"]) / TASK)
            cache.load()
            return lambda texts: np.array([cache.get_vector({"text": text}) for text in texts])
        wrapper = CachedEmbeddingWrapper(SimpleNamespace(encode=never, mteb_model_meta=None), order["folder"])
        task = SimpleNamespace(name=TASK)
        return lambda _texts: wrapper.encode(loader, task_metadata=task, hf_split="test", hf_subset="default")

    return opened


def part(order: dict[str, Any]) -> dict[str, Any]:
    """One side's write or read; seconds of it, and of the same read again."""
    texts = mixed_texts(order["count"])
    random = np.random.default_rng(1)
    vectors = random.standard_normal((order["count"], order["dim"]), dtype=np.float32)
    if order["side"] == "mteb":  # its import, four seconds, is not counted
        import mteb.models.cache_wrappers  # noqa: F401 # imported before the clock runs
    if order["what"].startswith("write"):
        return {"cold": (write_ours if order["side"] == "ours" else write_mteb)(order, texts, vectors)}
    if order["what"] == "at random":
        at = random.permutation(len(texts))
        texts, vectors = [texts[i] for i in at], vectors[at]
    opened = (ours_reader if order["side"] == "ours" else mteb_reader)(order, texts)
    started = time.perf_counter()
    read = opened()
    found = read(texts)
    cold = time.perf_counter() - started
    if not np.array_equal(found, vectors):
        sys.exit(f"{order['side']}: what was read is not what was written")
    del found
    started = time.perf_counter()
    read(texts)
    return {"cold": cold, "warm": time.perf_counter() - started}


def main() -> None:
    """Run every part in turn and print microseconds a text."""
    if serve(part):
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help="folder for the stores: the disk that is measured")
    options = parser.parse_args()
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {key: [] for key in PARTS}
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
            model = tiny.build_instructor(Path(scratch) / "model", out_dim=options.dim)
            for side, what in PARTS:
                folder = Path(scratch) / (f"{side}-often" if what == "write-often" else side)
                order = {"side": side, "what": what, "folder": str(folder), "model": str(model)}
                runs[side, what].append(worker(__file__, {**order, "count": options.count, "dim": options.dim}))
    report(runs, options.count, options.dim)


def report(runs: dict[tuple[str, str], list[dict[str, Any]]], count: int, dim: int) -> None:
    """Print the table and the ratios."""
    print(f"{count:,} vectors of {dim} float32, median of {len(runs['ours', 'write'])}; microseconds a text")
    print(f"  {'':<28} {'ours':>8} {'mteb':>8} {'ratio':>7}")

    def line(name: str, mine: float, theirs: float) -> float:
        print(f"  {name:<28} {mine / count * 1e6:8.1f} {theirs / count * 1e6:8.1f} {theirs / mine:7.2f}")
        return theirs / mine

    wrote = middle(runs["ours", "write"], "cold")
    ratios = {"write": line("write, mteb saves once", wrote, middle(runs["mteb", "write"], "cold"))}
    often = middle(runs["mteb", "write-often"], "cold")
    ratios["write safely"] = line(f"write, both every {COMMIT:,}", wrote, often)
    for what in ("in order", "at random", "whole call"):
        for state, name in (("cold", "new process"), ("warm", "again")):
            mine, theirs = (middle(runs[side, what], state) for side in ("ours", "mteb"))
            ratios[f"{what}, {name}"] = line(f"{what}, {name}", mine, theirs)
    print("ratio, mteb's time to ours: " + "; ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))


if __name__ == "__main__":
    main()
