"""A results folder made up for the tests of `compare` and `gate`: rows of one model on tasks of several kinds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from made_items import make_items

from instructor_eval import metrics
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
TASKS = {
    "SciFact": ("Retrieval", "ndcg_at_10"),
    "STS12": ("STS", "cosine_spearman"),
    "Banking77Classification": ("Classification", "accuracy"),
    "TwitterURLCorpus": ("PairClassification", "max_ap"),
    "mscoco": ("TextEvaluation", "pearson"),
    "SummEval": ("Summarization", "summeval_v1"),
    "Amazon": ("PromptRetrieval", "rougeL_third_worst_group"),
    "RTE": ("PromptRetrieval", "rougeL"),
    "TwentyNewsgroupsClustering": ("Clustering", "v_measure"),
}


def file(
    root: Path,
    make_score: Callable[..., Score],
    *,
    variant: str = "fp32",
    seed: int = 1,
    n: int = 300,
    tasks: Mapping[str, tuple[str, str]] | None = None,
    change: Callable[[str, Items], Items] = lambda _task, items: items,
    **fields: object,
) -> Store:
    """Write one row; `change(task, items)` alters its items before its score is computed."""
    store = Store(root)
    for task, (kind, metric) in (tasks or TASKS).items():
        items = make_items(metric, 10 if metric == "v_measure" else n, seed)
        if "_at_" in metric:
            items |= {"relevant": [1] * n, "top": [[f"d{k}"] for k in range(n)], "top_scores": [[0.5]] * n}
        items = change(task, items)
        identity = hashlib.sha256(f"{task} {variant} {seed} {fields}".encode()).hexdigest()[:16]
        score = make_score(
            task, metrics.compute(metric, items), type=kind, metric=metric, model=fields.get("model", MINILM),
            variant=variant, fingerprint=variant.ljust(16, "0"), identity=identity, n_items=len(items["id"]),
            data={"hash": task}, command=["evaluate", "--task", task],
            **{k: v for k, v in fields.items() if k != "model"},
        )  # fmt: skip
        store.write(score, items)
    return store


def lowered(share: float, by: float, *, only: str | None = None) -> Callable[[str, Items], Items]:
    """A change that lowers the values of a share of the items; of correlations and pairs, it blurs them."""

    def change(task: str, items: Items) -> Items:
        if only is not None and task != only:
            return items
        n = len(items["id"])
        chosen = np.random.default_rng(3).random(n) < share
        found = dict(items)
        for name in ("ndcg_at_10", "value", "v_measure", "rho", "p"):
            if name in items and "segment" not in items:
                found[name] = [max(0.0, v - by) if c else v for v, c in zip(items[name], chosen, strict=True)]
        if "predictions" in found:
            found["predictions"] = [
                ["b"] * len(p) if c else p for p, c in zip(items["predictions"], chosen, strict=True)
            ]
            found["value"] = [sum(x == "a" for x in p) / len(p) for p in found["predictions"]]
        for name in (
            "cosine",
            "similarity",
            "dot",
            "manhattan",
            "euclidean",
            *(["value"] if "segment" in items else []),
        ):
            if name in items:
                noise = np.random.default_rng(4).normal(size=n) * by * 3
                found[name] = [float(v + (e if c else 0)) for v, e, c in zip(items[name], noise, chosen, strict=True)]
        return found

    return change
