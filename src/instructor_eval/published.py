"""Published scores, with their sources: `results/reference/` (see the README there)."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache

from instructor_eval.paths import shipped

CATEGORIES = (
    "Retrieval", "Reranking", "Clustering", "PairClassification", "Classification", "STS", "Summarization",
    "Billboard", "PromptRetrieval",
)  # fmt: skip
"""The nine columns of the paper's Table 2, whose mean is its "Avg. (70)"."""


@dataclass
class Published:
    """What was published of one model; scores are fractions of 1."""

    model: str
    tasks: dict[str, float] = field(default_factory=dict)
    categories: dict[str, float] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)


@cache
def published() -> dict[str, Published]:
    """Every published model by name: task scores from MTEB's results, categories from the paper's Table 2."""
    folder = shipped("results/reference")
    found: dict[str, Published] = defaultdict(lambda: Published(""))
    with (folder / "mteb_published.csv").open(encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            entry = found[row["model"]]
            entry.model = row["model"]
            entry.tasks[row["task"]] = float(row["score"])
    for entry in found.values():
        entry.sources.append("embeddings-benchmark/results@2d8f542")
    with (folder / "paper_table2.csv").open(encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            entry = found[row["model"]]
            if entry.categories:
                continue  # v3 stands first in the file, and is preferred
            entry.model = row["model"]
            entry.categories = {c: float(row[c]) / 100 for c in CATEGORIES}
            entry.sources.append(f"arXiv:2212.09741{row['version']}, Table 2")
    return dict(found)
