r"""The form int8 against fp32 on this processor, one batch after the other in turns, with one engine or several.

    python benchmarks/int8.py                            # the embedded model, the engine that is chosen here
    python benchmarks/int8.py --shape base               # INSTRUCTOR's T5-base shape, random weights
    python benchmarks/int8.py --engine avx2 --engine onednn --engine float32

fp32 can be held to AVX2, as on an older processor, with the variables of torch and oneDNN; this package's attention
then is as well:

    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \
        python benchmarks/int8.py --engine avx2

A turn is one batch of at most 2,048 tokens of made-up texts of mixed lengths, on each side; a round is as many turns as
there are batches. Printed: the median of the rounds' ratios with their quartiles. All engines must give the same bits.
With OMP_NUM_THREADS=1 the clock is that of the thread, which other work on the machine hardly moves.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from shapes import INSTRUCTION, SHAPES, build, mixed_texts

from instructor_eval.models import pooling
from instructor_eval.models.batches import DEFAULT_BATCH_TOKENS, token_batches
from instructor_eval.models.checkpoint import read_checkpoint
from instructor_eval.models.engine import Engine
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.models.forms import attention_kernel, int8, int8_choice


def main() -> None:
    """Load the sides, let them take turns, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=tuple(SHAPES), help="a made-up INSTRUCTOR in place of the embedded model")
    parser.add_argument("--engine", action="append", help="an engine of int8; several take turns (default: the chosen)")
    parser.add_argument("--batches", type=int, help="batches in a round (default 6, or 2 with --shape)")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    if os.environ.get("ATEN_CPU_CAPABILITY") == "avx2":
        attention_kernel.NATIVE["x86_64"] = "-march=haswell"
    with tempfile.TemporaryDirectory() as scratch:
        run(options, Path(scratch))


def run(options: argparse.Namespace, scratch: Path) -> None:
    """Measure, with the model made in `scratch` if its shape was asked for."""
    if options.shape:
        folder = build(scratch / options.shape, SHAPES[options.shape])
        checkpoint = read_checkpoint(folder, name=f"{options.shape} shape", revision="random", family="instructor")
    else:
        checkpoint = locate(ModelSpec.parse("minilm"), offline=True, known=[])
    sides = {"fp32": Engine(checkpoint, device="cpu")}
    for name in options.engine or ["chosen"]:
        if name != "chosen":
            forced = int8_choice.Choice(name, {}, measured=False)
            int8.choose = lambda forced=forced: forced
        sides[name] = Engine(dataclasses.replace(checkpoint, variant="int8"), device="cpu")
        print(f"{name}: {sides[name].network.proof()}")
    texts = [(INSTRUCTION if options.shape else "") + text for text in mixed_texts(2000)]
    rows = pooling.encode_ids(sides["fp32"].tokenizer, texts)
    batches = [[rows[i] for i in b] for b in token_batches([len(r) for r in rows], DEFAULT_BATCH_TOKENS["cpu"])]
    count = options.batches or (2 if options.shape else 6)
    batches = batches[len(batches) // (2 * count) :: len(batches) // count][:count]
    tokens = sum(len(r) for b in batches for r in b)
    print(f"{count} batches, {tokens:,} tokens; {torch.get_num_threads()} threads, torch {torch.__version__}")
    seconds = {name: np.zeros(options.rounds) for name in sides}
    first = np.empty(0)
    for name, side in sides.items():
        vectors = np.concatenate([side.network.forward(b, 0) for b in batches])
        if name != "fp32":
            first = first if len(first) else vectors
            same = "the same bits" if np.array_equal(vectors, first) else f"OTHER BITS: {np.abs(vectors - first).max()}"
            print(f"{name}: {same}")
    clock = time.perf_counter if torch.get_num_threads() > 1 else time.thread_time
    for turn in range(options.rounds):
        for batch in batches:
            for name, side in sides.items():
                started = clock()
                side.network.forward(batch, 0)
                seconds[name][turn] += clock() - started
    for name, values in seconds.items():
        ratio = seconds["fp32"] / values
        low, middle, high = np.quantile(ratio, (0.25, 0.5, 0.75))
        rate = tokens / np.median(values)
        print(f"  {name:<12} {rate:10,.0f} tokens/s   {middle:5.2f} x fp32 [{low:.2f}, {high:.2f}]")
    print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
