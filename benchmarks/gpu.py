"""Cold encoding on a GPU in bfloat16: ours against sentence-transformers, beside what the GPU's matrix units can do.

    python benchmarks/gpu.py                                    # instructor-base, -large and -xl shapes
    python benchmarks/gpu.py --shape large --compile
    python benchmarks/gpu.py --device cpu --count 16            # tries the script where there is no GPU

Weights are random (speed does not depend on them), texts of mixed lengths (log-normal, median 40 words), the same for
both sides under the same instruction, no cache. Loading and one untimed pass are not counted; tokenising, batching,
pooling and copying the vectors back are. Sides take turns, medians over the rounds.

    ceiling   products of large square bf16 matrices of random numbers, best of the rounds
    ours      Engine, bf16, at its default batch and at other budgets of tokens; with --compile, compiled as well
    peer      SentenceTransformer(folder, model_kwargs={"torch_dtype": bfloat16}), instruction as its prompt and left
              out of pooling, at its default batch (32) and at larger ones

Tokens are those of the texts, instruction and end included, without padding; TFLOP/s are computed from them, so that
work on padding counts for nobody. Memory is the peak beyond what was taken before the call, weights apart.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from shapes import INSTRUCTION, SHAPES, build, mixed_texts

from instructor_eval.models import pooling
from instructor_eval.models.checkpoint import read_checkpoint
from instructor_eval.models.engine import Engine

COUNTS = {"base": 16_384, "large": 8192, "xl": 4096}
DEFAULT, COMPILED = "ours, default", "ours, compiled"
PEER_DEFAULT = "sentence-transformers, batch 32"


def synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def ceiling(device: str) -> float:
    """Floating-point operations a second of large bf16 products."""
    n, times = (8192, 20) if device.startswith("cuda") else (1024, 2)
    a, b = (torch.randn(n, n, device=device).to(torch.bfloat16) for _ in range(2))
    best = float("inf")
    for _ in range(4):
        synchronise(device)
        started = time.perf_counter()
        for _ in range(times):
            a @ b
        synchronise(device)
        best = min(best, time.perf_counter() - started)
    return 2.0 * n**3 * times / best


@dataclasses.dataclass
class Side:
    """One way to embed the texts, and what came of it."""

    encode: Callable[[list[str]], np.ndarray]
    seconds: list[float] = dataclasses.field(default_factory=list)
    memory: int = 0
    vectors: np.ndarray | None = None
    failed: bool = False

    def run(self, texts: list[str], device: str, *, counts: bool) -> None:
        """Embed the texts; where memory does not suffice, the side is out."""
        if self.failed:
            return
        gpu = device.startswith("cuda")
        if gpu:
            torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device) if gpu else 0
        synchronise(device)
        started = time.perf_counter()
        try:
            vectors = self.encode(texts)
        except torch.OutOfMemoryError:
            self.failed = True
            return
        synchronise(device)
        if counts:
            self.seconds.append(time.perf_counter() - started)
            self.memory = max(self.memory, torch.cuda.max_memory_allocated(device) - before if gpu else 0)
            self.vectors = vectors


def our_sides(folder: Path, options: argparse.Namespace) -> tuple[Engine, dict[str, Side]]:
    """The engine, and it at every budget."""
    checkpoint = read_checkpoint(folder, name=folder.name, revision="random", family="instructor")
    checkpoint = dataclasses.replace(checkpoint, variant="bf16")
    engine = Engine(checkpoint, device=options.device)

    def side(with_engine: Engine, budget: int | None) -> Side:
        def encode(texts: list[str]) -> np.ndarray:
            with_engine.batch_tokens = budget
            return with_engine.encode(texts, INSTRUCTION)

        return Side(encode)

    sides = {DEFAULT: side(engine, None)}
    sides |= {f"ours, {budget:,} tokens": side(engine, budget) for budget in options.budget}
    if options.compile:
        sides[COMPILED] = side(Engine(checkpoint, device=options.device, compiled=True), None)
    return engine, sides


def peer_sides(folder: Path, options: argparse.Namespace) -> tuple[Any, dict[str, Side]]:
    """sentence-transformers, and it at every batch size."""
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = SentenceTransformer(
        str(folder), device=options.device, local_files_only=True, model_kwargs={"torch_dtype": torch.bfloat16}
    )
    model.max_seq_length = 512
    model.set_pooling_include_prompt(include_prompt=False)

    def side(batch: int) -> Side:
        return Side(lambda texts: model.encode(texts, prompt=INSTRUCTION, batch_size=batch, show_progress_bar=False))

    sizes = dict.fromkeys([32, *options.batch])
    return model, {f"sentence-transformers, batch {size}": side(size) for size in sizes}


def measure(name: str, folder: Path, options: argparse.Namespace) -> None:
    """One shape: load both, take turns, print."""
    device, texts = options.device, mixed_texts(options.count or COUNTS[name])
    engine, sides = our_sides(folder, options)
    model, theirs = peer_sides(folder, options)
    sides |= theirs
    rows = pooling.encode_ids(engine.tokenizer, [INSTRUCTION + text for text in texts])
    lengths = np.array([len(row) for row in rows])
    rate = ceiling(device)
    for side in sides.values():  # one pass over part of the texts, the longest among them
        side.run(sorted(texts, key=len, reverse=True)[:: max(1, len(texts) // 1024)], device, counts=False)
    if options.compile:
        sides[COMPILED].run(texts, device, counts=False)  # every shape once
    for _ in range(options.rounds):
        for side in sides.values():
            side.run(texts, device, counts=True)
        rate = max(rate, ceiling(device))
    head = f"instructor-{name} shape, bf16, {len(texts):,} texts, {lengths.sum():,} tokens, median of {options.rounds}"
    weights = sum(p.numel() * p.element_size() for p in model.parameters()) / 1024**2
    print(f"{head}; weights {weights:,.0f} MiB in sentence-transformers")
    report(sides, lengths, SHAPES[name].flops(lengths), rate)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of corresponding rows."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def report(sides: dict[str, Side], lengths: np.ndarray, work: float, rate: float) -> None:
    """Print the table and the lines that count."""
    times = {}
    for label, side in sides.items():
        if side.failed:
            print(f"  {label:<34} does not fit the memory")
            continue
        times[label] = seconds = median(side.seconds)
        done = work / seconds
        print(
            f"  {label:<34} {lengths.sum() / seconds:12,.0f} tokens/s {len(lengths) / seconds:9,.0f} texts/s "
            f"{done / 1e12:8.3g} TFLOP/s {done / rate:6.1%} of the ceiling {side.memory / 1024**2:8,.0f} MiB"
        )
    print(f"  {'ceiling, square bf16 products':<34} {'':>40} {rate / 1e12:8.3g} TFLOP/s")
    ours, theirs = sides[DEFAULT].vectors, sides[PEER_DEFAULT].vectors
    if ours is not None and theirs is not None:
        cosine = cosines(ours, theirs)
        print(f"cosine of our vectors to its vectors: smallest {cosine.min():.6f}, mean {cosine.mean():.6f}")
    if DEFAULT in times and PEER_DEFAULT in times:
        peers = {label: seconds for label, seconds in times.items() if label.startswith("sentence")}
        mine = {label: seconds for label, seconds in times.items() if label not in peers}
        best, first = min(peers, key=lambda k: peers[k]), min(mine, key=lambda k: mine[k])
        print(f"ratio of the defaults: {times[PEER_DEFAULT] / times[DEFAULT]:.2f}")
        print(f"ratio of our default to its best ({best}): {times[best] / times[DEFAULT]:.2f}")
        print(f"ratio of the best ({first}; {best}): {times[best] / times[first]:.2f}\n", flush=True)


def main() -> None:
    """Measure the shapes asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", action="append", choices=tuple(SHAPES), help="default: all three")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--count", type=int, help=f"texts (default {COUNTS})")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="ours compiled, too")
    parser.add_argument("--budget", type=int, nargs="*", default=[16_384, 32_768, 131_072], help="our tokens a batch")
    parser.add_argument("--batch", type=int, nargs="*", default=[128, 256, 512], help="its batch sizes besides 32")
    parser.add_argument("--folder", type=Path, help="keep the made checkpoints here")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA device here: try the script with --device cpu --count 16", file=sys.stderr)
        sys.exit(2)
    where = torch.cuda.get_device_name(options.device) if options.device.startswith("cuda") else "CPU"
    print(f"{where}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.shape or SHAPES:
            folder = (options.folder or Path(scratch)) / f"instructor-{name}"
            if not (folder / "modules.json").exists():
                build(folder, SHAPES[name])
            measure(name, folder, options)


if __name__ == "__main__":
    main()
