"""Warm encoding, every vector found in the cache, against cold encoding, every vector computed.

    python benchmarks/warm.py                                # INSTRUCTOR of T5-base shape: 0.1 s a text on two cores
    python benchmarks/warm.py --model minilm --count 20000   # the embedded model

    cold   a process with an empty cache: one call of `Engine.encode`, vectors stored; loading the model is not counted
    warm   a new process with that cache: the same call, keys included

Texts are of mixed lengths (log-normal, median 40 words). Medians over the repeats, each with a cache of its own. The
warm process must give the same bits, load no network and never import torch, or the benchmark fails.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fresh import middle, serve, worker
from shapes import INSTRUCTION, SHAPES, build, mixed_texts

from instructor_eval.cache.vectors import VectorCache
from instructor_eval.models.checkpoint import read_checkpoint
from instructor_eval.models.engine import Engine
from instructor_eval.models.find import ModelSpec, locate


def part(order: dict[str, Any]) -> dict[str, Any]:
    """One call of `encode` in this process."""
    texts = mixed_texts(order["count"])
    started = time.perf_counter()
    if order["folder"] is None:
        checkpoint, instruction = locate(ModelSpec.parse("minilm"), offline=True, known=[]), ""
    else:
        checkpoint = read_checkpoint(Path(order["folder"]), name="t5-base", revision="random", family="instructor")
        instruction = INSTRUCTION
    cache = VectorCache(Path(order["cache"]), warn=sys.exit)
    engine = Engine(checkpoint, device="cpu", cache=cache)
    opening = time.perf_counter() - started
    if not order["warm"]:
        engine.network.forward([engine.tokenizer.encode("a text").ids], 0)
    started = time.perf_counter()
    vectors = engine.encode(texts, instruction)
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "opening": opening,
        "hash": hashlib.sha256(vectors.tobytes()).hexdigest(),
        "computed": engine.totals.unique - engine.totals.hits,
        "network": engine._network is not None,
        "torch": "torch" in sys.modules,
    }


def main() -> None:
    """Run cold and warm in turn and print the ratio."""
    if serve(part):
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("t5-base", "minilm"), default="t5-base")
    parser.add_argument("--folder", type=Path, help="keep the made checkpoint here")
    parser.add_argument("--count", type=int, default=2000, help="texts")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = None
        if options.model == "t5-base":
            folder = options.folder or Path(scratch) / "t5-base"
            if not (folder / "modules.json").exists():
                build(folder, SHAPES["base"])
        cold, warm = [], []
        for _ in range(options.repeats):
            cache = tempfile.mkdtemp(dir=scratch)
            order = {"count": options.count, "folder": folder and str(folder), "cache": cache}
            cold.append(worker(__file__, {**order, "warm": False}))
            warm.append(worker(__file__, {**order, "warm": True}))
            check(cold[-1], warm[-1], options.count)
    report(options, cold, warm)


def check(cold: dict[str, Any], warm: dict[str, Any], count: int) -> None:
    """End the benchmark where one of the two was not what it says."""
    if cold["computed"] != count:
        sys.exit(f"cold: {cold['computed']} of {count} texts computed")
    if warm["computed"] or warm["network"] or warm["torch"]:
        sys.exit(f"warm: it computed ({warm})")
    if warm["hash"] != cold["hash"]:
        sys.exit("warm: the vectors are not those of the cold run")


def report(options: argparse.Namespace, cold: list[dict[str, Any]], warm: list[dict[str, Any]]) -> None:
    """Print both and the ratio."""
    print(f"{options.model}, {options.count:,} texts, median of {options.repeats}")
    for name, runs in (("cold", cold), ("warm", warm)):
        seconds = middle(runs, "seconds")
        rate = f"{options.count / seconds:12,.1f} texts/s {seconds / options.count * 1e6:12,.1f} us a text"
        print(f"  {name} {rate}   whole process {middle(runs, 'wall'):.2f} s")
    print(f"  opening model and cache, with the model's fingerprint: {middle(warm, 'opening'):.2f} s")
    print("the same bits, no network loaded, torch not imported")
    print(f"ratio: warm {middle(cold, 'seconds') / middle(warm, 'seconds'):,.0f} times as fast as cold")


if __name__ == "__main__":
    main()
