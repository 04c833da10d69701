"""The task types: their roles with a general wording, their metrics, and the options of their cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_DOCUMENT = {"query": ("query", "retrieving supporting documents"), "document": ("document", "retrieval")}


@dataclass(frozen=True)
class TaskType:
    """Facts about a type of tasks: its roles with a general wording, its metrics, its options."""

    wording: Mapping[str, tuple[str, str]]
    metrics: tuple[str, ...]
    """The first is the default."""
    options: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """Columns of own data that may have other names: the keys of the option `columns`."""


_AT_K = tuple(f"{m}_at_{k}" for m in ("ndcg", "map", "recall", "precision") for k in (1, 3, 5, 10, 20, 100, 1000))


TYPES: dict[str, TaskType] = {
    "Retrieval": TaskType(_DOCUMENT, ("ndcg_at_10", *(m for m in _AT_K if m != "ndcg_at_10"))),
    "Reranking": TaskType(_DOCUMENT, ("map_at_1000", *_AT_K, "max_over_subqueries_map_at_1000"), ("columns",),
                          ("query", "positive", "negative")),
    "Clustering": TaskType({"text": ("text", "clustering")}, ("v_measure",), ("columns",),
                           ("text", "label", "sentences", "labels")),
    "PairClassification": TaskType({"text": ("sentence", "retrieving duplicate sentences")}, ("max_ap", "cosine_ap"),
                                   ("columns",), ("sentence1", "sentence2", "label", "labels")),
    "Classification": TaskType({"text": ("text", "classification")}, ("accuracy",),
                               ("columns", "samples_per_label", "n_experiments"), ("text", "label")),
    "STS": TaskType({"text": ("sentence", "")}, ("cosine_spearman", "cosine_pearson"), ("columns",),
                    ("sentence1", "sentence2", "score")),
    "Summarization": TaskType({"text": ("summary", "retrieval")}, ("cosine_spearman",)),
    "TextEvaluation": TaskType({"text": ("text", "")}, ("pearson",)),
    # Its options: prompts/recipe.py.
    "PromptRetrieval": TaskType({"example": ("example", "retrieving examples")}, ("rougeL",)),
}  # fmt: skip


OWN_TYPES = tuple(t for t in TYPES if t != "Summarization")
