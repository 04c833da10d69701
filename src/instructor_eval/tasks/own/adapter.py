"""The user's own data: a folder in a documented layout, checked, and scored by the very classes mteb's tasks use.

docs/adding-a-task.md shows each layout.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.hub import files_key
from instructor_eval.core.outside import is_folder
from instructor_eval.tasks.own.labelled_data import Splits, read_classification, read_clustering, read_pairs
from instructor_eval.tasks.own.ranking_data import Ranking, read_reranking, read_retrieval
from instructor_eval.tasks.task import Card, Outcome, RunSettings, TaskEncoder
from instructor_eval.tasks.values import refuse_if_strict

__all__ = ["FolderAdapter", "OwnData", "Ranking", "Splits", "describe", "load", "read", "refuse_if_strict"]


@dataclass(frozen=True)
class OwnData:
    """A user's data, and what its owner must know of it."""

    data: Ranking | Splits
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
        """Read, check, embed, score.

        Raises:
            UserError: the data is missing or broken, or the model gives no usable vectors.
        """
        own = read(card)
        refuse_if_strict(card, own.warnings, strict=settings.strict)
        from instructor_eval.core.mteb import quiet_mteb
        from instructor_eval.tasks.mteb.limit import limit_task
        from instructor_eval.tasks.mteb.scoring import score_task
        from instructor_eval.tasks.own.task import build_task  # mteb, four seconds

        with quiet_mteb():
            task = build_task(card, own.data, settings.seed)
            if settings.limit:
                limit_task(task, card, settings.limit)
            outcome = score_task(task, card, encoder, settings)
        return dataclasses.replace(outcome, warnings=own.warnings)


def _folder(card: Card) -> Path:
    folder = card.folder
    if folder is None or not is_folder(folder):
        raise UserError(f"task {card.name}: {folder}: no such folder: `data` in the card says where it is")
    return folder


def read(card: Card) -> OwnData:
    """Read and check a card's data: the one reader of `validate` and of a run.

    Raises:
        UserError: what is missing or broken, with file and line.
    """
    data, warnings = _READERS[card.type](card, _folder(card))
    return OwnData(data, tuple(map(one_line, warnings)))


def load(card: Card) -> Ranking | Splits:
    """Read and check a card's data.

    Raises:
        UserError: what is missing or broken, with file and line.
    """
    return read(card).data


def describe(card: Card) -> tuple[str, tuple[str, ...]]:
    """Read and check a card's data; return in a few words what is there, and the warnings.

    Raises:
        UserError: what is missing or broken, with file and line.
    """
    own = read(card)
    return _summary(card, own.data), own.warnings


def _summary(card: Card, data: Ranking | Splits) -> str:
    if isinstance(data, Ranking):
        judged = sum(len(d) for d in data.qrels.values())
        return f"{len(data.queries):,} queries, {len(data.corpus):,} documents, {judged:,} judgements"
    if card.type == "Clustering":
        sets = data[card.split]["sentences"]
        return f"{card.split}: {len(sets):,} {'set' if len(sets) == 1 else 'sets'}, {sum(map(len, sets)):,} texts"
    return ", ".join(f"{split}: {len(next(iter(columns.values()))):,} rows" for split, columns in data.items())


_READERS: dict[str, Callable[[Card, Path], tuple[Ranking | Splits, list[str]]]] = {
    "Retrieval": read_retrieval,
    "Reranking": read_reranking,
    "STS": read_pairs,
    "PairClassification": read_pairs,
    "Classification": read_classification,
    "Clustering": read_clustering,
}
