"""A user's data as an mteb task object, so that it is scored by the same code as the built-in tasks."""

from __future__ import annotations

from typing import Any

from datasets import Dataset, DatasetDict
from mteb.abstasks import AbsTaskClassification, AbsTaskPairClassification, AbsTaskRetrieval, AbsTaskSTS
from mteb.abstasks.clustering_legacy import AbsTaskClusteringLegacy

from instructor_eval.core.mteb import own_metadata
from instructor_eval.tasks.own.labelled_data import Splits
from instructor_eval.tasks.own.ranking_data import Ranking
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.types import TYPES

_CLASSES: dict[str, Any] = {
    "Retrieval": AbsTaskRetrieval,
    "Reranking": AbsTaskRetrieval,
    "STS": AbsTaskSTS,
    "PairClassification": AbsTaskPairClassification,
    "Classification": AbsTaskClassification,
    "Clustering": AbsTaskClusteringLegacy,
}


def build_task(card: Card, data: Ranking | Splits, seed: int) -> Any:
    """A loaded task of the card's type that holds `data`."""
    metrics = TYPES[card.type].metrics
    metric = card.metric if card.metric in metrics else metrics[0]  # mteb knows none of an installed package
    main_score = "cosine_spearman" if metric.startswith("cosine_") and card.type == "STS" else metric
    metadata = own_metadata(card.type, split=card.split, main_score=main_score)
    attributes: dict[str, Any] = {"metadata": metadata}
    if card.type == "Classification":
        attributes |= {k: card.options[k] for k in ("samples_per_label", "n_experiments") if k in card.options}
    task = type("OwnTask", (_CLASSES[card.type],), attributes)(seed=seed)
    if isinstance(data, Ranking):
        split = {
            "corpus": Dataset.from_list(data.corpus),
            "queries": Dataset.from_list(data.queries),
            "relevant_docs": data.qrels,
            "top_ranked": data.candidates,
        }
        task.dataset = {"default": {card.split: split}}
    else:
        if card.type == "Classification":
            # mteb's metrics for two classes need labels 0 and 1; the items get the names back.
            task.label_names = sorted({label for columns in data.values() for label in columns["label"]})
            number = {name: i for i, name in enumerate(task.label_names)}
            data = {
                split: columns | {"label": [number[label] for label in columns["label"]]}
                for split, columns in data.items()
            }
        task.dataset = DatasetDict({name: Dataset.from_dict(columns) for name, columns in data.items()})
    task.data_loaded = True
    return task
