"""Memory and host work of streaming a corpus through `Engine.stream` into a VectorCache and out of it again.

    python benchmarks/memory.py                  # peak memory at 100,000 and at 1,000,000 texts (3 GB on disk)
    python benchmarks/memory.py --host           # tokens a second of one core for everything that is not the network

The network is a stub that hands out random unit vectors, so that what is measured is all the rest: keys, look-ups,
tokenising, batches, checks, writing. torch is not imported. Texts come from a generator and are never held together.

    cold   an empty cache: every text tokenised, every vector written
    warm   a new process: every vector read

Peak memory is `ru_maxrss` of a process of its own; "beyond" is what it grew by after imports and loading the tokenizer.
`--host` runs with one thread for the tokenizer and counts processor seconds of all threads, which makes it a figure
for one core, and shows where they went (processor seconds of the thread that each part runs in).
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
import types
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fresh import middle, serve, worker
from shapes import INSTRUCTION, mixed_texts, tiny

from instructor_eval.cache.vectors import VectorCache
from instructor_eval.models import engine as engine_module
from instructor_eval.models.checkpoint import read_checkpoint
from instructor_eval.models.engine import Engine

ONE_THREAD = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
SHORT, LONG = 8, 40  # median words of a text


class Stub:
    """In place of `Network`: random unit vectors for nothing, out of a pool made beforehand."""

    device = types.SimpleNamespace(type="cpu")

    def __init__(self, dim: int) -> None:
        self._random = np.random.default_rng(0)
        pool = self._random.standard_normal((4096, dim), dtype=np.float32)
        self._pool = pool / np.linalg.norm(pool, axis=1, keepdims=True)

    def start(self, rows: list[Any], skip: int) -> Any:
        """One batch: neighbours in the pool."""
        first = int(self._random.integers(0, len(self._pool) - len(rows) + 1))
        vectors = self._pool[first : first + len(rows)].copy()
        return types.SimpleNamespace(result=lambda: vectors)

    def free(self) -> None:
        """Nothing to give back."""


def corpus(count: int, median: int) -> Iterator[str]:
    """Texts one after another, no two the same."""
    bodies = mixed_texts(1000, median=median)
    for i in range(count):
        yield f"{bodies[i % len(bodies)]} {i // len(bodies)}"


class Clock:
    """Processor seconds of functions, each in the thread that it runs in."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def wrap(self, owner: Any, name: str, label: str) -> None:
        """Have `owner.name` timed."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[label] += time.thread_time() - started

        setattr(owner, name, timed)


def peak() -> int:
    """Bytes this process has had in memory at most."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


def part(order: dict[str, Any]) -> dict[str, Any]:
    """Stream the corpus once in this process."""
    checkpoint = read_checkpoint(Path(order["folder"]), name="stub", revision="random", family="instructor")
    engine = Engine(checkpoint, device="cpu", cache=VectorCache(Path(order["cache"]), limit=None, warn=sys.exit))
    engine._network = Stub(engine.dim)  # type: ignore[assignment] # a stub
    engine.tokenizer.encode("a text")
    clock = Clock()
    if order["host"]:
        clock.wrap(engine, "_tokenise", "tokenising")
        clock.wrap(engine, "_checked", "checking vectors")
        clock.wrap(engine.cache, "write", "writing to the cache")
        clock.wrap(engine.cache, "read", "looking up in the cache")
        clock.wrap(engine_module, "keys_of", "hashing keys")
    texts = corpus(order["count"], order["median"])
    before, busy, started = peak(), time.process_time(), time.perf_counter()
    rows = sum(len(vectors) for vectors in engine.stream(texts, INSTRUCTION))
    result = {
        "peak": peak(),
        "beyond": peak() - before,
        "seconds": time.perf_counter() - started,
        "busy": time.process_time() - busy,
        "tokens": engine.totals.tokens,
        "parts": clock.seconds,
    }
    if rows != order["count"] or engine.totals.hits != (rows if order["warm"] else 0) or "torch" in sys.modules:
        sys.exit(f"not what it says: {rows} rows, {engine.totals.hits} found")
    return result


def main() -> None:
    """Run the sizes asked for."""
    if serve(part):
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="texts, and ten times as many; --host: texts")
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--host", action="store_true", help="processor time instead of memory")
    parser.add_argument("--repeats", type=int, default=3, help="of --host")
    parser.add_argument("--scratch", type=Path, help="folder for the caches")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        folder = tiny.build_instructor(Path(scratch) / "model", out_dim=options.dim)
        order = {"folder": str(folder), "host": options.host, "count": options.count}
        (host if options.host else memory)(order, options, Path(scratch))


def memory(order: dict[str, Any], options: argparse.Namespace, scratch: Path) -> None:
    """Peaks at both sizes, cold and warm."""
    print(f"streaming vectors of {options.dim} float32; peak memory of the process, and beyond what it began with")
    peaks = {}
    for count in (options.count, 10 * options.count):
        with tempfile.TemporaryDirectory(dir=scratch) as cache:
            for state in ("cold", "warm"):
                warm = state == "warm"
                now = worker(__file__, {**order, "count": count, "cache": cache, "median": SHORT, "warm": warm})
                peaks[count, state] = now
                size, beyond = now["peak"] / 1024**2, now["beyond"] / 1024**2
                print(f"  {count:>10,} texts {state} {size:8.0f} MiB, beyond {beyond:6.0f} MiB {now['seconds']:8.1f} s")
    ratios = [
        f"{state} {peaks[10 * options.count, state]['peak'] / peaks[options.count, state]['peak']:.2f} "
        f"(beyond the start {peaks[10 * options.count, state]['beyond'] / peaks[options.count, state]['beyond']:.2f})"
        for state in ("cold", "warm")
    ]
    print(f"ratio of peaks, ten times the texts: {', '.join(ratios)}")


def host(order: dict[str, Any], options: argparse.Namespace, scratch: Path) -> None:
    """Tokens a processor second, cold, and where the seconds went."""
    runs = []
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory(dir=scratch) as cache:
            runs.append(worker(__file__, {**order, "cache": cache, "median": LONG, "warm": False}, ONE_THREAD))
    tokens, busy = runs[0]["tokens"], middle(runs, "busy")
    print(f"{options.count:,} texts, {tokens:,} tokens, cold, dim {options.dim}, median of {options.repeats}")
    parts = {name: middle([r["parts"] for r in runs], name) for name in runs[0]["parts"]}
    parts["everything else"] = busy - sum(parts.values())
    for name, seconds in sorted(parts.items(), key=lambda kv: -kv[1]):
        print(f"  {name:<24} {seconds / busy:5.0%} {seconds / options.count * 1e6:8.1f} us a text")
    print(f"  {'together':<24} {1:5.0%} {busy / options.count * 1e6:8.1f} us a text")
    wall = middle(runs, "seconds")
    print(f"host work: {tokens / busy:,.0f} tokens a second of one core ({tokens / wall:,.0f} a second of wall time)")


if __name__ == "__main__":
    main()
