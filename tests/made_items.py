"""Items made up for the tests of statistics: of every metric, for systems that a seed stands for."""

from __future__ import annotations

from typing import Any

import numpy as np

from instructor_eval.core.values import Items
from instructor_eval.metrics.separation import NAMES

T_METRICS = {
    "ndcg_at_10": "ndcg_at_10",
    "max_over_subqueries_map_at_1000": "map_at_1000",
    "accuracy": "value",
    "v_measure": "v_measure",
    "rougeL": "value",
    "rougeL_bootstrap": "value",
}
BOOTSTRAPPED = (
    "cosine_ap", "max_ap", "cosine_spearman", "cosine_pearson", "pearson", "summeval_v1", "summeval_v2",
    "rougeL_third_worst_group",
)  # fmt: skip


def make_items(metric: str, n: int = 60, seed: int = 0, noise: float = 0.3) -> Items:
    """Items of a system: what the seed stands for is the system's own, the rest (ids, gold) is the task's."""
    task, own = np.random.default_rng(99), np.random.default_rng(seed)
    items: dict[str, Any] = {"id": [f"i{k}" for k in range(n)]}
    quality = np.round(task.random(n), 2)  # rounded: there are ties
    values = np.round(np.clip(quality + noise * own.normal(size=n), 0, 1), 2)
    if metric in T_METRICS:
        items[T_METRICS[metric]] = values.tolist()
        if metric == "accuracy":
            draws = own.random((n, 10)) < 0.8
            items |= {"gold": ["a"] * n, "predictions": [["a" if x else "b" for x in row] for row in draws]}
            items["value"] = draws.mean(axis=1).tolist()
    elif metric.endswith("_ap"):
        items["gold"] = (quality > 0.6).astype(int).tolist()
        for k, name in enumerate(("similarity", "cosine", "dot", "manhattan", "euclidean")):
            sign = -1 if name in ("manhattan", "euclidean") else 1
            items[name] = (sign * np.round(values + 0.2 * (k > 1) * own.normal(size=n), 1)).tolist()
    elif metric.startswith("cosine_") or metric in NAMES:
        items |= {"gold": quality.tolist(), "cosine": values.tolist()}
    elif metric == "pearson":
        items |= {"segment": [f"s{k // 3}" for k in range(n)], "gold": quality.tolist(), "value": values.tolist()}
    elif metric.startswith("summeval"):
        items |= {"rho": values.tolist(), "p": (values**2).tolist()}
    else:
        items |= {"group": [f"g{k % 6}" for k in range(n)], "correct": (values > 0.5).astype(float).tolist()}
        items["value"] = values.tolist()
    return items


def take(items: Items, places: Any) -> Items:
    return {name: [values[i] for i in places] for name, values in items.items()}


METRICS = (*T_METRICS, *BOOTSTRAPPED, "rougeL_third_worst_group_bootstrap")


def whole_items(metric: str, seed: int, n: int = 60) -> Items:
    """Items with all that a run leaves in them."""
    items = make_items(metric, n, seed)
    if "_at_" in metric:
        items |= {"relevant": [1 + i % 3 for i in range(n)], "recall_at_100": [1.0] * n}
        items |= {"top": [[f"d{seed}", f"d{i}"] for i in range(n)], "top_scores": [[0.5, 0.25]] * n}
    if metric.startswith("rougeL"):
        items |= {"gold": ["a long answer"] * n, "prompt_hash": ["x"] * n}
    return items
