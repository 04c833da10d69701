"""The worth of an embedder's demonstrations beside BM25's and random ones, from stored prompt-retrieval results.

    python benchmarks/selections.py --results DIR --model sentence-transformers/all-MiniLM-L6-v2

For every task: the model's mean, each baseline's (all seeds of `random` together), and the mean difference with a 95 %
interval of 10,000 paired bootstrap resamples of the items.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from instructor_eval.results.store import Store

RESAMPLES = 10_000


def main() -> None:
    """Read results, print a line a task and baseline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--model", required=True, help="as the results name it")
    options = parser.parse_args()
    store = Store(options.results)
    found: dict[str, dict[str, tuple[list[str], np.ndarray]]] = {}
    for score in store.scores():
        if score.type == "PromptRetrieval" and score.status == "ok":
            items = store.items(score)
            found.setdefault(score.task, {})[score.model.name] = (items["id"], 100 * np.array(items["value"]))
    for task, rows in found.items():
        ids, own = rows[options.model]
        assert all(other == ids for other, _ in rows.values()), "the rows have different items"
        lots = [values for name, (_, values) in rows.items() if name.startswith("random")]
        baselines = {name: values for name, (_, values) in rows.items() if name.startswith("bm25")}
        baselines[f"random, mean of {len(lots)}"] = np.mean(lots, axis=0)
        for name, values in baselines.items():
            difference = own - values
            rng = np.random.default_rng(0)
            means = [difference[rng.integers(0, len(ids), len(ids))].mean() for _ in range(RESAMPLES)]
            low, high = np.percentile(means, [2.5, 97.5])
            print(
                f"{task:<12} {len(ids):>5} items  model {own.mean():6.2f}  {name:<24} {values.mean():6.2f}  "
                f"difference {difference.mean():6.2f} [{low:.2f}, {high:.2f}]"
            )


if __name__ == "__main__":
    main()
