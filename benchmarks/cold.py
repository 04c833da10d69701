"""Cold encoding on the CPU in float32: ours against `SentenceTransformer.encode`, in one process, interleaved.

    python benchmarks/cold.py                   # INSTRUCTOR of T5-base shape, random weights
    python benchmarks/cold.py --model minilm    # the embedded model

Texts are of mixed lengths (log-normal, median 40 words). Both sides get the same texts under the same instruction and
no cache; loading is not counted, tokenising and pooling are. sentence-transformers runs at its default batch size (32)
and at others; the best of them is named. Every round runs each side once, and the median over rounds counts. The rate
of plain matrix products (SGEMM) at the model's own shapes is measured in the same rounds: what the arithmetic allows.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from shapes import INSTRUCTION, SHAPES, Shape, build, mixed_texts

from instructor_eval.models import pooling
from instructor_eval.models.checkpoint import read_checkpoint
from instructor_eval.models.engine import Engine
from instructor_eval.models.find import ModelSpec, locate

MINILM = Shape(6, 384, 1536, 12, 32)


def sgemm_rate(shape: Shape, tokens: int = 2048) -> float:
    """Floating-point operations a second of `torch.nn.functional.linear` over one layer's products."""
    inner = shape.heads * shape.head_width
    sizes = [(shape.width, 3 * inner), (inner, shape.width), (shape.width, shape.feed_forward)]
    sizes += [(shape.feed_forward, shape.width)]
    pairs = [(torch.randn(tokens, k), torch.randn(n, k)) for k, n in sizes]
    work = sum(2.0 * tokens * k * n for k, n in sizes)
    best = float("inf")
    for _ in range(8):
        started = time.perf_counter()
        for x, weight in pairs:
            torch.nn.functional.linear(x, weight)
        best = min(best, time.perf_counter() - started)
    return work / best


def load_peer(folder: Path, *, instructor: bool) -> Any:
    """The checkpoint in sentence-transformers, the instruction left out of pooling as INSTRUCTOR does."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    model.max_seq_length = min(model.max_seq_length or 512, 512)
    if instructor:
        model[1].include_prompt = False
    return model


def main() -> None:
    """Run the rounds and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("t5-base", "minilm"), default="t5-base")
    parser.add_argument("--folder", type=Path, help="keep the made checkpoint here")
    parser.add_argument("--count", type=int, help="texts (default 96, or 1,500 for minilm)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, action="append", help="sentence-transformers' batch sizes besides 32")
    parser.add_argument("--budget", type=int, help="our tokens in a batch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run(options, options.folder or Path(scratch) / "t5-base")


def run(options: argparse.Namespace, folder: Path) -> None:
    """Build or find the model, run every side, print."""
    instructor = options.model == "t5-base"
    if instructor:
        if not (folder / "modules.json").exists():
            build(folder, SHAPES["base"])
        checkpoint = read_checkpoint(folder, name="t5-base shape", revision="random", family="instructor")
    else:
        checkpoint = locate(ModelSpec.parse("minilm"), offline=True, known=[])
    shape, instruction = (SHAPES["base"], INSTRUCTION) if instructor else (MINILM, "")
    texts = mixed_texts(options.count or (96 if instructor else 1500))
    peer = load_peer(checkpoint.folder, instructor=instructor)
    engine = Engine(checkpoint, device="cpu", batch_tokens=options.budget)
    engine.encode(texts[:8], instruction)
    rows = pooling.encode_ids(engine.tokenizer, [instruction + t for t in texts])
    lengths = np.array([len(r) for r in rows])
    batches = [32, *(options.batch or ([8] if instructor else [8, 128]))]
    sides = {f"sentence-transformers, batch {b}": b for b in batches}
    seconds: dict[str, list[float]] = {name: [] for name in ("ours", *sides)}
    rates = []
    vectors = {}
    for _ in range(options.rounds):
        rates.append(sgemm_rate(shape))
        started = time.perf_counter()
        vectors["ours"] = engine.encode(texts, instruction)
        seconds["ours"].append(time.perf_counter() - started)
        for name, batch in sides.items():
            started = time.perf_counter()
            vectors[name] = peer.encode(
                texts, prompt=instruction or None, batch_size=batch, normalize_embeddings=False, show_progress_bar=False
            )
            seconds[name].append(time.perf_counter() - started)
        rates.append(sgemm_rate(shape))
    report(seconds, vectors, lengths, shape, median(rates), sides)


def report(
    seconds: dict[str, list[float]],
    vectors: dict[str, np.ndarray],
    lengths: np.ndarray,
    shape: Shape,
    sgemm: float,
    sides: dict[str, int],
) -> None:
    """Print a table, and the lines that count."""
    work = shape.flops(lengths)
    threads, version = torch.get_num_threads(), torch.__version__
    print(f"{len(lengths):,} texts, {lengths.sum():,} tokens, {threads} threads, torch {version}")
    times = {name: median(values) for name, values in seconds.items()}
    for name, value in times.items():
        print(f"  {name:<34} {len(lengths) / value:8.1f} texts/s  {work / value / 1e9:7.1f} GFLOP/s")
    print(f"  {'SGEMM at the model shapes':<34} {'':>16}  {sgemm / 1e9:7.1f} GFLOP/s")
    default = f"sentence-transformers, batch {32}"
    best = min(sides, key=lambda name: times[name])
    ours = vectors["ours"].astype(np.float64)
    theirs = vectors[default].astype(np.float64)
    cosine = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    print(f"ratio to its default: {times[default] / times['ours']:.2f}")
    print(f"ratio to its best ({best}): {times[best] / times['ours']:.2f}")
    print(f"share of SGEMM: {work / times['ours'] / sgemm:.2f}")
    print(f"smallest cosine to its vectors: {cosine.min():.8f}")


if __name__ == "__main__":
    main()
