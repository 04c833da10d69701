"""The user's own data: a folder in a documented layout, checked, and scored by the same classes as mteb's tasks.

docs/adding-a-task.md shows each layout.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.hub import files_key
from instructor_eval.core.mteb import own_metadata, quiet_mteb
from instructor_eval.core.outside import is_folder
from instructor_eval.tasks.own.labelled_data import Splits, read_classification, read_clustering, read_pairs
from instructor_eval.tasks.own.ranking_data import RankingData, read_reranking, read_retrieval
from instructor_eval.tasks.task import Card, Outcome, RunSettings, TaskEncoder
from instructor_eval.tasks.types import TYPES
from instructor_eval.tasks.values import refuse_if_strict


@dataclass(frozen=True)
class OwnData:
    """A user's data, with warnings for its owner."""

    data: RankingData | Splits
    warnings: tuple[str, ...] = ()


class FolderAdapter:
    """Own tasks of MTEB's types."""

    def data_key(self, card: Card, settings: RunSettings) -> str:
        """Return a hash of the folder's files.

        Raises:
            UserError: there is no such folder.
        """
        return files_key(_folder(card))

    def run(self, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Outcome:
        """Run the task: read, check, embed, score.

        Raises:
            UserError: the data is missing or broken, or the model gives no usable vectors.
        """
        own = read(card)
        refuse_if_strict(card, own.warnings, strict=settings.strict)
        from instructor_eval.tasks.mteb.limit import limit_task
        from instructor_eval.tasks.mteb.scoring import score_task

        with quiet_mteb():
            task = build_task(card, own.data, settings.seed)
            if settings.limit:
                limit_task(task, card, settings.limit)
            outcome = score_task(task, card, encoder, settings)
        return dataclasses.replace(outcome, warnings=own.warnings)


def build_task(card: Card, data: RankingData | Splits, seed: int) -> Any:
    """Return a loaded mteb task of the card's type with `data`, scored by the same code as the built-in tasks."""
    from datasets import Dataset, DatasetDict
    from mteb import abstasks  # four seconds
    from mteb.abstasks.clustering_legacy import AbsTaskClusteringLegacy

    classes: dict[str, Any] = {
        "Retrieval": abstasks.AbsTaskRetrieval,
        "Reranking": abstasks.AbsTaskRetrieval,
        "STS": abstasks.AbsTaskSTS,
        "PairClassification": abstasks.AbsTaskPairClassification,
        "Classification": abstasks.AbsTaskClassification,
        "Clustering": AbsTaskClusteringLegacy,
    }
    # Any that mteb computes will do: the score is taken by its name.
    metadata = own_metadata(card.type, split=card.split, main_score=TYPES[card.type].metrics[0])
    attributes: dict[str, Any] = {"metadata": metadata}
    if card.type == "Classification":
        attributes |= {k: card.options[k] for k in ("samples_per_label", "n_experiments") if k in card.options}
    task = type("OwnTask", (classes[card.type],), attributes)(seed=seed)
    if isinstance(data, RankingData):
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


def _folder(card: Card) -> Path:
    folder = card.folder
    if folder is None or not is_folder(folder):
        raise UserError(f"task {card.name}: {folder}: no such folder: correct `data` in the card")
    return folder


def read(card: Card) -> OwnData:
    """Read and check a card's data, for `validate` and for a run.

    Raises:
        UserError: something is missing or broken; the line has file and line.
    """
    data, warnings = _READERS[card.type](card, _folder(card))
    return OwnData(data, tuple(map(one_line, warnings)))


def load(card: Card) -> RankingData | Splits:
    """Read and check a card's data, without its warnings.

    Raises:
        UserError: something is missing or broken; the line has file and line.
    """
    return read(card).data


def describe(card: Card) -> tuple[str, tuple[str, ...]]:
    """Read and check a card's data; return a summary of it, and the warnings.

    Raises:
        UserError: something is missing or broken; the line has file and line.
    """
    own = read(card)
    return _summary(card, own.data), own.warnings


def _summary(card: Card, data: RankingData | Splits) -> str:
    if isinstance(data, RankingData):
        judged = sum(len(d) for d in data.qrels.values())
        return f"{len(data.queries):,} queries, {len(data.corpus):,} documents, {judged:,} judgements"
    if card.type == "Clustering":
        sets = data[card.split]["sentences"]
        return f"{card.split}: {len(sets):,} {'set' if len(sets) == 1 else 'sets'}, {sum(map(len, sets)):,} texts"
    return ", ".join(f"{split}: {len(next(iter(columns.values()))):,} rows" for split, columns in data.items())


_READERS: dict[str, Callable[[Card, Path], tuple[RankingData | Splits, list[str]]]] = {
    "Retrieval": read_retrieval,
    "Reranking": read_reranking,
    "STS": read_pairs,
    "PairClassification": read_pairs,
    "Classification": read_classification,
    "Clustering": read_clustering,
}
