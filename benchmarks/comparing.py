"""How long it takes to compare two models on 56 tasks of 10,000 items each, and the memory it takes.

    python benchmarks/comparing.py [--items 10000] [--folder DIR] [--repeats 3] [--profile]

    results    a folder of 2 x 56 scores with their items as Parquet, of the types of the paper's tasks (15 retrieval,
               4 reranking, 11 clustering, 3 pair classification, 12 classification, 10 STS, 1 summarization), with all
               columns that a run stores; three items in ten differ. Made first, not timed.
    compare    a fresh process: both sides found in the folder, every task compared, all judged by the quality gate

Prints the median wall and CPU time of whole processes, imports included, and the largest peak of resident memory. The
aim is 10 s and 1 GiB.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fresh import middle, serve, worker

MIX = {
    "Retrieval": 15,
    "Reranking": 4,
    "Clustering": 11,
    "PairClassification": 3,
    "Classification": 12,
    "STS": 10,
    "Summarization": 1,
}
METRICS = {
    "Retrieval": "ndcg_at_10",
    "Reranking": "map_at_1000",
    "Clustering": "v_measure",
    "PairClassification": "max_ap",
    "Classification": "accuracy",
    "STS": "cosine_spearman",
    "Summarization": "summeval_v1",
}
CHANGED = 0.3


def part(order: dict[str, Any]) -> dict[str, Any]:
    """Compare the two sides in this process."""
    from instructor_eval.analysis.compare.compare import compare
    from instructor_eval.analysis.compare.find_side import resolve
    from instructor_eval.analysis.gate.limits import Thresholds
    from instructor_eval.analysis.gate.quality import judge
    from instructor_eval.tasks.protocol import parse

    started = time.perf_counter()
    sides = [resolve(label, results=Path(order["folder"]), protocol=parse([])) for label in ("base", "changed")]
    found = time.perf_counter() - started
    judgement = judge(compare(*sides), Thresholds())
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "sides": found,
        "compare": time.perf_counter() - started - found,
        "cpu": usage.ru_utime + usage.ru_stime,
        "mib": usage.ru_maxrss / 1024,
        "tasks": len(judgement.tasks),
        "comparable": sum(t.comparison is not None and t.comparison.n > 0 for t in judgement.tasks),
        "verdict": judgement.verdict,
        "slow": any(m in sys.modules for m in ("torch", "mteb")),
    }


def items_of(kind: str, n: int, task: int, changed: bool) -> dict[str, list[Any]]:
    """All that a run stores; of the changed model three items in ten have other values."""
    import numpy as np

    rng, own = np.random.default_rng(task), np.random.default_rng(1000 + task)
    mask = (own.random(n) < CHANGED) & changed
    items: dict[str, Any] = {"id": [f"{kind}-{i}" for i in range(n)]}

    def moved(values: Any, scale: float = 0.1) -> Any:
        return np.clip(np.where(mask, values + own.normal(-0.01, scale, n), values), 0, 1)

    if kind in ("Retrieval", "Reranking"):
        for name in ("ndcg_at_10", "map_at_1000", "mrr_at_10", "recall_at_100", "precision_at_1"):
            items[name] = np.round(moved(rng.beta(2, 2, n)), 5).tolist()
        items["relevant"] = rng.integers(1, 5, n).tolist()
        items["top"] = [[f"doc-{d}" for d in row] for row in rng.integers(0, 100_000, (n, 10)).tolist()]
        items["top_scores"] = rng.random((n, 10)).tolist()
    elif kind == "Clustering":
        items |= {"v_measure": moved(rng.beta(5, 5, n)).tolist(), "size": [100] * n}
    elif kind == "PairClassification":
        gold = (rng.random(n) < 0.3).astype(int)
        cosine = moved(np.clip(0.3 + 0.3 * gold + 0.2 * rng.normal(size=n), 0, 1))
        distance = np.sqrt(2 - 2 * cosine)
        items |= {"gold": gold.tolist(), "manhattan": (20 * distance + rng.normal(0, 0.1, n)).tolist()}
        items |= {"euclidean": distance.tolist(), **{c: cosine.tolist() for c in ("similarity", "cosine", "dot")}}
    elif kind == "Classification":
        gold = rng.integers(0, 20, n)
        sure = moved(rng.beta(4, 2, n), 0.3)
        right = rng.random((n, 10)) < sure[:, None]
        names = np.array([f"label {k}" for k in range(20)])
        predictions = np.where(right, names[gold][:, None], "another label")
        items |= {"gold": names[gold].tolist(), "value": right.mean(axis=1).tolist()}
        items["predictions"] = predictions.tolist()
    elif kind == "STS":
        gold = np.round(5 * rng.random(n), 1) / 5
        items |= {"gold": gold.tolist(), "cosine": moved(np.clip(gold + 0.15 * rng.normal(size=n), 0, 1)).tolist()}
    else:
        items |= {name: rng.random((n, 16)).tolist() for name in ("gold", "cosine")}
        items |= {"rho": moved(rng.beta(2, 4, n)).tolist(), "p": moved(rng.beta(2, 4, n)).tolist()}
    return items


def make_results(folder: Path, n: int) -> None:
    """Write the results folder."""
    from instructor_eval import metrics
    from instructor_eval.analysis.statistics.filed import measure
    from instructor_eval.results.checksums import identity
    from instructor_eval.results.reading import read
    from instructor_eval.results.store import Store
    from instructor_eval.tasks.protocol import parse, relevant

    store, place = Store(folder), 0
    for kind, count in MIX.items():
        for k in range(count):
            task, place = f"{kind}{k}", place + 1
            for model in ("base", "changed"):
                items = items_of(kind, n, place, model == "changed")
                score = read(
                    dict(
                        identity=identity({"model": model, "task": task}),
                        status="ok",
                        task=task,
                        benchmark="mteb",
                        type=kind,
                        model={
                            "name": model,
                            "revision": "1",
                            "family": "plain",
                            "fingerprint": model,
                            "variant": "fp32",
                        },
                        instructions={"set": "none", "roles": {}},
                        metric=METRICS[kind],
                        score=metrics.compute(METRICS[kind], items),
                        n_items=n,
                        data={"hash": task},
                        protocol=relevant(parse([]), kind, task),
                        created="2026-01-01T00:00:00+00:00",
                    )
                )
                store.write(dataclasses.replace(score, statistics=measure(score, items)), items)


def profile(folder: Path) -> None:
    """Where the time goes, in one thread."""
    import cProfile
    import pstats

    from instructor_eval.analysis.compare import compare
    from instructor_eval.analysis.compare.find_side import resolve
    from instructor_eval.tasks.protocol import parse

    base, changed = (resolve(label, results=folder, protocol=parse([])) for label in ("base", "changed"))
    profiler = cProfile.Profile()
    for task in base.values:  # not through `compare`: the profiler does not see its threads
        profiler.runcall(compare._task, task, base, changed, intersect=False)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> None:
    """Make the folder, compare in fresh processes, print the medians."""
    if serve(part):
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000, help="of each task")
    parser.add_argument("--folder", type=Path, help="keep the results here")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="show where the time goes instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch) / "results"
        if not (folder / "scores").is_dir():
            make_results(folder, options.items)
        if options.profile:
            profile(folder)
            return
        runs = [worker(__file__, {"folder": str(folder)}) for _ in range(options.repeats)]
    for run in runs:
        if run["comparable"] != sum(MIX.values()) or run["slow"]:
            sys.exit(f"not every task was compared, or torch was imported: {run}")
    print(f"{sum(MIX.values())} tasks of {options.items:,} items, {CHANGED:.0%} changed, median of {options.repeats}")
    print(f"  whole process {middle(runs, 'wall'):.2f} s, of CPU {middle(runs, 'cpu'):.2f} s")
    print(f"  finding the sides {middle(runs, 'sides'):.2f} s, comparing and judging {middle(runs, 'compare'):.2f} s")
    print(f"  peak memory {max(run['mib'] for run in runs):,.0f} MiB; verdict {runs[0]['verdict']}")


if __name__ == "__main__":
    main()
