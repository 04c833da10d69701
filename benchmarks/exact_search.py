"""Exact search of random vectors: ours, streamed, and FAISS's flat index, in turns: time, memory, the same answers.

    python benchmarks/exact_search.py                      1,000,000 x 768, 1,000 queries, k = 10
    python benchmarks/exact_search.py --count 200000 --k 1000

Each of the two runs in a process of its own, so that its peak of memory is its own. Making the vectors is not timed.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

BLOCK = 50_000


def vectors(seed: int, count: int, dim: int) -> Iterator[Any]:
    """Unit rows, in blocks."""
    random = np.random.default_rng(seed)
    for start in range(0, count, BLOCK):
        block = random.standard_normal((min(BLOCK, count - start), dim), dtype=np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
        yield block


def ours(queries: Any, options: argparse.Namespace) -> tuple[Any, float]:
    """Places of the best, and seconds."""
    from instructor_eval.search.exact import ExactTop

    seconds = 0.0
    started = time.perf_counter()
    top = ExactTop(queries, options.k)
    seconds += time.perf_counter() - started
    for block in vectors(1, options.count, options.dim):
        started = time.perf_counter()
        top.add(block)
        seconds += time.perf_counter() - started
    started = time.perf_counter()
    places, _ = top.result()
    return places, seconds + time.perf_counter() - started


def flat(queries: Any, options: argparse.Namespace) -> tuple[Any, float]:
    """The same of FAISS: adding and searching."""
    import faiss

    index = faiss.IndexFlatIP(options.dim)
    seconds = 0.0
    for block in vectors(1, options.count, options.dim):
        started = time.perf_counter()
        index.add(block)
        seconds += time.perf_counter() - started
    started = time.perf_counter()
    _, places = index.search(queries, options.k)
    return places, seconds + time.perf_counter() - started


def child(options: argparse.Namespace) -> None:
    """One of the two, printed as JSON."""
    [queries] = vectors(2, options.queries, options.dim)
    run = {"ours": ours, "faiss": flat}[options.only]
    run(queries[:2], argparse.Namespace(count=BLOCK, dim=options.dim, k=options.k))  # imports, threads
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    places, seconds = run(queries, options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sets = [sorted(row) for row in places.tolist()]
    print(json.dumps({"seconds": seconds, "more": (peak - before) / 1024, "sets": sets[:50]}))


def main() -> None:
    """Run both in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("ours", "faiss"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        child(options)
        return
    found: dict[str, list[Any]] = {"ours": [], "faiss": []}
    flags = [f"--{n}={getattr(options, n)}" for n in ("count", "dim", "queries", "k")]
    for _ in range(options.rounds):
        for name, results in found.items():
            done = subprocess.run([sys.executable, __file__, "--only", name, *flags], check=True, capture_output=True)
            results.append(json.loads(done.stdout))
    print(f"{options.count:,} x {options.dim}, {options.queries:,} queries, k = {options.k}, {options.rounds} rounds")
    for name, results in found.items():
        times = [r["seconds"] for r in results]
        print(
            f"  {name:<6} {statistics.median(times):7.2f} s ({min(times):.2f} to {max(times):.2f}), "
            f"{max(r['more'] for r in results):7,.0f} MB more at the peak"
        )
    ratios = [b["seconds"] / a["seconds"] for a, b in zip(found["ours"], found["faiss"], strict=True)]
    print(f"  FAISS's time over ours: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    pairs = zip(found["ours"][0]["sets"], found["faiss"][0]["sets"], strict=True)
    print(f"  the same documents for the first 50 queries: {sum(a == b for a, b in pairs)} of 50")


if __name__ == "__main__":
    main()
