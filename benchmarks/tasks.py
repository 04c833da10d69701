"""Whole tasks with the embedded model (all-MiniLM-L6-v2): `evaluate` against mteb with sentence-transformers.

    python benchmarks/tasks.py --hub DIR                                    # all five
    python benchmarks/tasks.py --hub DIR --task STSBenchmark --repeats 1    # the quick one

Every run is a process of its own, and what counts is its wall time from start to end, imports and loading included.

    ours, cold   `evaluate --model minilm --task T` with an empty vector cache and an empty results folder
    mteb         mteb.evaluate(SentenceTransformer(folder), [task], cache=None) at its defaults, on the same files
    ours, warm   the first command again: the vector cache is filled, the results folder empty

All are offline, on the same data in `DIR/datasets/...` (hub layout) and the same checkpoint folder. Before the clock
runs, each side loads each task's data once, so that converting the files to Arrow counts for nobody. Sides take turns,
and each round begins with another one; medians over the repeats. "encoding" is what the calls of each side's `encode`
took, without loading the model; "CPU" is the process's seconds on all cores, which other work on the machine disturbs
less than the wall time. Both sides must come to the same score, or this fails. The last table is for the README.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from fresh import middle, order_given, run, worker

OURS = "from instructor_eval.cli.main import entry; entry()"
SIDES = ("ours, cold", "mteb", "ours, warm")
TASKS = ("STSBenchmark", "STS17", "SciFact", "Banking77Classification", "ArguAna")
AGREE = 1e-4


def cpu() -> float:
    """CPU seconds of the processes that have ended so far."""
    spent = os.times()
    return spent.children_user + spent.children_system


def peer(order: dict[str, Any]) -> dict[str, Any]:
    """One task through mteb and sentence-transformers; with no model folder, only load its data."""
    warnings.simplefilter("ignore")
    import mteb

    task = mteb.get_task(order["task"], eval_splits=[order["split"]], hf_subsets=order["subsets"])
    where = {**task.metadata.dataset, "path": order["data"], "revision": "local"}
    task.metadata = task.metadata.model_copy(update={"dataset": where})
    if order["model"] is None:
        task.load_data()
        return {}
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(order["model"], device="cpu", local_files_only=True)
    encode, spent = model.encode, [0.0]

    def timed(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return encode(*args, **kwargs)
        finally:
            spent[0] += time.perf_counter() - started

    model.encode = timed
    result = mteb.evaluate(model, [task], cache=None)
    [scores] = result.task_results[0].scores[order["split"]]
    return {"score": float(scores["main_score"]), "encode": spent[0]}


def ours(task: str, hub: Path, cache: Path, scratch: Path, env: dict[str, str], *extra: str) -> dict[str, Any]:
    """One task through the command line, its results in a new folder."""
    results = Path(tempfile.mkdtemp(dir=scratch))
    where = ["--hub", hub, "--cache", cache, "--results", results, "--offline", "--quiet", "--device", "cpu"]
    before = cpu()
    seconds, _ = run([sys.executable, "-c", OURS, "--model", "minilm", "--task", task, *where, *extra], env)
    [file] = results.glob("scores/**/*.json")
    score = json.loads(file.read_text(encoding="utf-8"))
    counts = score["counts"]
    return {
        "score": score["score"],
        "encode": score["timings"]["encode"],
        "wall": seconds,
        "cpu": cpu() - before,
        "texts": counts["texts"],
        "all_hits": counts["hits"] == counts["unique"],
    }


def measure(task: str, hub: Path, repeats: int, scratch: Path) -> dict[str, list[dict[str, Any]]]:
    """Run every side of one task `repeats` times."""
    from instructor_eval.core.hub import mirror_folder
    from instructor_eval.models.find import ModelSpec, locate
    from instructor_eval.tasks.cards import shipped_cards

    card = shipped_cards()[task]
    data = mirror_folder(hub, str(card.data_id))
    if data is None:
        sys.exit(f"{hub} has no datasets/{card.data_id}")
    folder = locate(ModelSpec.parse("minilm"), offline=True, known=[]).folder
    env = {"HF_HOME": str(scratch / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    order = {
        "task": task,
        "split": card.split,
        "subsets": None if card.subset == "default" else [card.subset],
        "data": str(data.resolve()),
        "model": str(folder),
    }
    worker(__file__, {**order, "model": None}, env)
    ours(task, hub, scratch / "unused", scratch, env, "--limit", "4")
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}

    def theirs() -> dict[str, Any]:
        before = cpu()
        found = worker(__file__, order, env)
        return {**found, "cpu": cpu() - before}

    for number in range(repeats):
        cache = Path(tempfile.mkdtemp(dir=scratch))
        turns = [
            ("ours, cold", lambda cache=cache: ours(task, hub, cache, scratch, env)),
            ("mteb", theirs),
            ("ours, warm", lambda cache=cache: ours(task, hub, cache, scratch, env)),
        ]
        if number % 2:  # theirs first; ours stay in their order, since the second needs the first one's vectors
            turns = [turns[1], turns[0], turns[2]]
        for side, turn in turns:
            runs[side].append(turn())
        if not runs["ours, warm"][-1]["all_hits"]:
            sys.exit(f"{task}: the warm run computed vectors")
    return runs


def report(task: str, runs: dict[str, list[dict[str, Any]]]) -> str:
    """Print the table of one task, check the scores, and return its row of the last table."""
    print(f"{task}: {runs['ours, cold'][0]['texts']:,} texts, median of {len(runs['mteb'])}")
    wall = {}
    for side, values in runs.items():
        wall[side], spent, encoding = (middle(values, key) for key in ("wall", "cpu", "encode"))
        print(
            f"  {side:<12} {wall[side]:8.2f} s, CPU {spent:8.2f} s, encoding {encoding:8.2f} s   "
            f"score {values[0]['score']:.6f}"
        )
    scores = [r["score"] for values in runs.values() for r in values]
    if max(scores) - min(scores) > AGREE:
        sys.exit(f"{task}: the scores differ: {scores}")
    cold, theirs, warm = (wall[side] for side in SIDES)
    print(f"ratio {task}: cold {theirs / cold:.2f}, warm {theirs / warm:.2f} times as fast as mteb (wall time)\n")
    return f"| {task} | {theirs:.1f} | {cold:.1f} | {theirs / cold:.2f} | {warm:.1f} | {theirs / warm:.1f} |"


def main() -> None:
    """Measure the tasks asked for."""
    order = order_given()
    if order is not None:
        print(json.dumps(peer(order)))
        return
    hub = os.environ.get("INSTRUCTOR_EVAL_HUB")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hub", type=Path, default=hub, required=hub is None, help="default $INSTRUCTOR_EVAL_HUB")
    parser.add_argument("--task", action="append", help=f"default {', '.join(TASKS)}")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for task in options.task or TASKS:
        with tempfile.TemporaryDirectory() as scratch:
            rows.append(report(task, measure(task, options.hub, options.repeats, Path(scratch))))
    print("| task | mteb, s | cold, s | times as fast | warm, s | times as fast |\n|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
