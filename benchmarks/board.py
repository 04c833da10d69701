"""How long `evaluate leaderboard` takes, with its intervals and comparisons computed, or stored by an earlier call.

    python benchmarks/board.py

A made-up results folder: 3 models in 5 forms each, 30 tasks of the types that MTEB has, 1,500 items each (clustering:
20 splits). Every call is a process of its own, imports and reading included. The sides take turns: `computed` has no
stored differences, `stored` has those of a call before, `scores alone` is `--no-intervals`, which reads no items. The
output of the first two is compared: what is stored must say what is computed. With `--wide` there are 50 models in one
form on 69 tasks of 200 items, and so no differences: no call reads items.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from instructor_eval import metrics
from instructor_eval.analysis.statistics.filed import measure
from instructor_eval.core.values import Items
from instructor_eval.results.reading import read
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.tasks import protocol
from instructor_eval.tasks.cards import shipped_cards

FORMS, SPLITS = ("fp32", "bf16", "int8", "int8-weight", "int4-weight"), 20
TASKS = {
    "Retrieval": 8, "Reranking": 3, "Clustering": 5, "PairClassification": 2, "Classification": 6, "STS": 6,
}  # fmt: skip
METRICS = {
    "Retrieval": "ndcg_at_10", "Reranking": "map_at_1000", "Clustering": "v_measure", "PairClassification": "max_ap",
    "Classification": "accuracy", "STS": "cosine_spearman",
}  # fmt: skip


def main() -> None:
    """Make the folder, take turns, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wide", action="store_true")
    options = parser.parse_args()
    rounds = options.rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models, forms, n = (50, FORMS[:1], 200) if options.wide else (3, FORMS, 1500)
        chosen = wide_tasks() if options.wide else some_tasks()
        count = fill(Store(folder), models, forms, chosen, n)
        print(f"{count} scores: {models} models x {len(forms)} forms x {len(chosen)} tasks of {n:,} items")
        times: dict[str, list[float]] = {"computed": [], "stored": [], "scores alone": []}
        for _ in range(rounds):
            for file in folder.glob("statistics/*"):
                file.unlink()
            said = {side: timed(folder, times, side) for side in times}
            if said["computed"] != said["stored"]:
                sys.exit("what is stored says something else than what is computed")
        size = sum(file.stat().st_size for file in folder.glob("statistics/*"))
        middle = {side: statistics.median(seconds) for side, seconds in times.items()}
        for side, seconds in middle.items():
            print(f"  {side:13} {seconds:7.2f} s  (of {', '.join(f'{t:.2f}' for t in sorted(times[side]))})")
        print(f"stored: {middle['computed'] / middle['stored']:.1f} times as fast as computed, {size / 1e6:.1f} MB")


def timed(folder: Path, times: dict[str, list[float]], side: str) -> str:
    """One call's output; its seconds go to `times`."""
    flags = ["--no-intervals"] if side == "scores alone" else []
    command = [
        sys.executable,
        "-m",
        "instructor_eval.cli.main",
        "leaderboard",
        "--results",
        str(folder),
        "--format",
        "json",
    ]
    start = time.perf_counter()
    done = subprocess.run([*command, *flags], capture_output=True, text=True, check=True, env={**os.environ})
    times[side].append(time.perf_counter() - start)
    return done.stdout


def some_tasks() -> list[tuple[str, str]]:
    """Names and types of the tasks that `TASKS` counts."""
    cards = [c for c in shipped_cards().values() if c.benchmark == "mteb" and not c.parts and not c.part_of]
    return [(c.name, kind) for kind, n in TASKS.items() for c in [c for c in cards if c.type == kind][:n]]


def wide_tasks() -> list[tuple[str, str]]:
    """Names of the paper's tasks that have items of their own; all are scored as retrieval is."""
    cards = [c for c in shipped_cards().values() if c.benchmark != "demo" and not c.parts and not c.part_of]
    return [(card.name, "Retrieval") for card in cards]


def fill(store: Store, models: int, forms: Sequence[str], tasks: Sequence[tuple[str, str]], n: int) -> int:
    """Make scores and items; how many scores there are."""
    count = 0
    for t, (task, kind) in enumerate(tasks):
        hard = np.random.default_rng(t).random(n)
        for m in range(models):
            own = np.random.default_rng((t, m)).normal(size=n)
            for f, form in enumerate(forms):
                noise = 0.3 * own + 0.02 * f * np.random.default_rng((t, m, f)).normal(size=n)
                items = items_of(kind, hard, noise)
                value = metrics.compute(METRICS[kind], items)
                score = score_of(task, kind, f"m{m}", form, value, len(items["id"]))
                store.write(dataclasses.replace(score, statistics=measure(score, items)), items)
                count += 1
    return count


def items_of(kind: str, hard: np.ndarray, noise: np.ndarray) -> Items:
    """Items of one task as a run files them, but for columns that no metric asks for."""
    ids = [f"item-{i}" for i in range(len(hard))]
    values = np.clip(hard + noise, 0, 1)
    if kind == "Clustering":
        return {"id": ids[:SPLITS], "v_measure": (0.4 + 0.05 * values[:SPLITS]).tolist()}
    if kind == "Classification":
        predictions = [["yes" if v > k / 10 else "no" for k in range(10)] for v in values]
        share = [row.count("yes") / 10 for row in predictions]
        return {"id": ids, "gold": ["yes"] * len(hard), "predictions": predictions, "value": share}
    if kind == "PairClassification":
        near = {name: (hard + noise).tolist() for name in ("similarity", "cosine", "dot")}
        far = {name: (-hard - noise).tolist() for name in ("manhattan", "euclidean")}
        return {"id": ids, "gold": (hard > 0.6).astype(int).tolist(), **near, **far}
    if kind == "STS":
        return {"id": ids, "gold": np.round(5 * hard, 1).tolist(), "cosine": (hard + noise).tolist()}
    return {"id": ids, METRICS[kind]: values.tolist()}


def score_of(task: str, kind: str, model: str, form: str, value: float, n: int) -> Score:
    """A score as a run files it."""
    named = {"name": f"org/{model}", "revision": "main", "family": "plain", "fingerprint": f"{model}-{form}",
             "variant": form, "dim": 384}  # fmt: skip
    return read(dict(
        identity=f"{model}-{form}", status="ok", task=task, benchmark="mteb", type=kind, model=named,
        instructions={"set": "none", "roles": {}}, metric=METRICS[kind], score=value, n_items=n,
        protocol=protocol.relevant(protocol.parse([]), kind, task), created="2026-01-01T00:00:00+00:00",
    ))  # fmt: skip


if __name__ == "__main__":
    main()
