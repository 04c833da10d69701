"""The user's own data: a folder in a documented layout, checked, and scored by the very classes mteb's tasks use.

docs/adding-a-task.md shows each layout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instructor_eval.adapters.rows import Reader, find_file, read_rows
from instructor_eval.errors import UserError
from instructor_eval.hub import files_key
from instructor_eval.types import Card, Outcome, RunSettings, TaskEncoder

_LARGEST_GRADE = 1000
"""trec_eval's gains overflow somewhere beyond."""


@dataclass
class Ranking:
    """Retrieval and reranking data."""

    corpus: list[dict[str, str]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    qrels: dict[str, dict[str, int]] = field(default_factory=dict)
    candidates: dict[str, list[str]] | None = None


Splits = dict[str, dict[str, list[Any]]]
"""Split -> column -> values."""


class FolderAdapter:
    """Own tasks of MTEB's types."""

    def data_key(self, card: Card, settings: RunSettings) -> str:
        """A hash of the folder's files.

        Raises:
            UserError: there is no such folder.
        """
        return files_key(_folder(card))

    def run(self, card: Card, encoder: TaskEncoder, settings: RunSettings) -> Outcome:
        """Read, check, embed, score.

        Raises:
            UserError: the data is missing or broken, or the model gives no usable vectors.
        """
        data = load(card)
        from instructor_eval.adapters.folder_task import build_task  # mteb, four seconds
        from instructor_eval.adapters.mteb_limit import limit_task
        from instructor_eval.adapters.mteb_score import quiet_mteb, score_task

        with quiet_mteb():
            task = build_task(card, data, settings.seed)
            if settings.limit:
                limit_task(task, card, settings.limit)
            return score_task(task, card, encoder, settings)


def _folder(card: Card) -> Path:
    folder = card.folder
    if folder is None or not folder.is_dir():
        raise UserError(f"task {card.name}: {folder}: no such folder: `data` in the card says where it is")
    return folder


def load(card: Card) -> Ranking | Splits:
    """Read and check a card's data.

    Raises:
        UserError: what is missing or broken, with file and line.
    """
    _folder(card)
    return _LOADERS[card.type](card)


def describe(card: Card) -> str:
    """Read and check a card's data, and say in a few words what is there."""
    data = load(card)
    if isinstance(data, Ranking):
        judged = sum(len(d) for d in data.qrels.values())
        return f"{len(data.queries):,} queries, {len(data.corpus):,} documents, {judged:,} judgements"
    if card.type == "Clustering":
        sets = data[card.split]["sentences"]
        return f"{card.split}: {len(sets):,} {'set' if len(sets) == 1 else 'sets'}, {sum(map(len, sets)):,} texts"
    return ", ".join(f"{split}: {len(next(iter(columns.values()))):,} rows" for split, columns in data.items())


def _load_retrieval(card: Card) -> Ranking:
    folder = _folder(card)
    data = Ranking()
    path = find_file(folder, "corpus")
    reader = Reader(path, {})
    for line, row in read_rows(path):
        data.corpus.append(
            {
                "id": reader.text(line, row, "_id", "id"),
                "title": str(row.get("title") or ""),
                "text": reader.text(line, row, "text"),
            }
        )
    documents = _unique_ids(data.corpus, path)
    path = find_file(folder, "queries")
    reader = Reader(path, {})
    data.queries = [
        {"id": reader.text(line, row, "_id", "id"), "text": reader.text(line, row, "text")}
        for line, row in read_rows(path)
    ]
    queries = _unique_ids(data.queries, path)
    path = find_file(folder / "qrels", card.split)
    reader = Reader(path, {})
    for line, row in read_rows(path):
        query, document = reader.text(line, row, "query-id"), reader.text(line, row, "corpus-id")
        if query not in queries:
            raise reader.fail(line, f"no query '{query}' in queries")
        if document not in documents:
            raise reader.fail(line, f"no document '{document}' in corpus")
        grade = reader.number(line, row, "score")
        if grade != int(grade) or abs(grade) > _LARGEST_GRADE:
            raise reader.fail(line, f"'score' should be a whole number up to {_LARGEST_GRADE:,}, found {grade:g}")
        into = data.qrels.setdefault(query, {})
        if document in into:
            raise reader.fail(line, f"query '{query}' and document '{document}' are judged twice")
        into[document] = int(grade)
    if not any(grade > 0 for docs in data.qrels.values() for grade in docs.values()):
        raise UserError(f"{path}: no relevant document for any query")
    return data


def _unique_ids(rows: list[dict[str, str]], path: Path) -> set[str]:
    if not rows:
        raise UserError(f"{path}: it is empty")
    seen: set[str] = set()
    for row in rows:
        if row["id"] in seen:
            raise UserError(f"{path}: id '{row['id']}' is there twice")
        seen.add(row["id"])
    return seen


def _load_reranking(card: Card) -> Ranking:
    if card.metric.startswith("max_over_subqueries_"):
        raise UserError(f"task {card.name}: metric: own tasks have no sub-queries: take map_at_1000")
    path = find_file(_folder(card), card.split)
    reader = Reader(path, card.options.get("columns", {}))
    data = Ranking(candidates={})
    ids: dict[str, str] = {}
    for line, row in read_rows(path):
        query = f"q{len(data.queries)}"
        positive, negative = reader.texts(line, row, "positive"), reader.texts(line, row, "negative")
        if not positive:
            raise reader.fail(line, "'positive' is empty: every query needs a relevant text")
        both = set(positive) & set(negative)
        if both:
            raise reader.fail(line, f"a text is both positive and negative: {min(both)[:60]!r}")
        data.queries.append({"id": query, "text": reader.text(line, row, "query")})
        candidates = list(dict.fromkeys([*positive, *negative]))
        for text in candidates:
            if text not in ids:
                ids[text] = f"d{len(ids)}"
                data.corpus.append({"id": ids[text], "title": "", "text": text})
        data.qrels[query] = {ids[t]: int(t in positive) for t in candidates}
        assert data.candidates is not None
        data.candidates[query] = [ids[t] for t in candidates]
    if not data.queries:
        raise UserError(f"{path}: it is empty")
    return data


def _load_pairs(card: Card) -> Splits:
    path = find_file(_folder(card), card.split)
    reader = Reader(path, card.options.get("columns", {}))
    columns: dict[str, list[Any]] = {"sentence1": [], "sentence2": []}
    gold = "score" if card.type == "STS" else "labels"
    columns[gold] = []
    for line, row in read_rows(path):
        for name in ("sentence1", "sentence2"):
            columns[name].append(reader.text(line, row, name))
        if card.type == "STS":
            columns[gold].append(reader.number(line, row, "score"))
        else:
            label = reader.number(line, row, "label", "labels")
            if label not in (0, 1):
                raise reader.fail(line, f"'label' should be 0 or 1, found {label:g}")
            columns[gold].append(int(label))
    if len(set(columns[gold])) < 2:
        what = "rows" if not columns[gold] else f"variety: every '{gold}' is {columns[gold][0]}"
        raise UserError(f"{path}: no {what}")
    return {card.split: columns}


def _load_classification(card: Card) -> Splits:
    if card.split == "train":
        raise UserError(f"task {card.name}: split: 'train' is what the classifier learns from: name the test split")
    return {split: _labelled(card, split) for split in ("train", card.split)}


def _labelled(card: Card, split: str) -> dict[str, list[Any]]:
    path = find_file(_folder(card), split)
    reader = Reader(path, card.options.get("columns", {}))
    columns: dict[str, list[Any]] = {"text": [], "label": []}
    for line, row in read_rows(path):
        columns["text"].append(reader.text(line, row, "text"))
        columns["label"].append(reader.text(line, row, "label"))
    if len(set(columns["label"])) < 2:
        raise UserError(f"{path}: fewer than two different labels")
    return columns


def _load_clustering(card: Card) -> Splits:
    path = find_file(_folder(card), card.split)
    first = next(read_rows(path), None)
    reader = Reader(path, card.options.get("columns", {}))
    if first is None or reader.columns.get("sentences", "sentences") not in first[1]:
        rows = _labelled(card, card.split)
        return {card.split: {"sentences": [rows["text"]], "labels": [rows["label"]]}}
    columns: dict[str, list[Any]] = {"sentences": [], "labels": []}
    for line, row in read_rows(path):
        sentences, labels = reader.texts(line, row, "sentences"), reader.texts(line, row, "labels")
        if len(sentences) != len(labels):
            raise reader.fail(line, f"{len(sentences)} sentences but {len(labels)} labels")
        if len(set(labels)) < 2:
            raise reader.fail(line, "fewer than two different labels")
        columns["sentences"].append(sentences)
        columns["labels"].append(labels)
    return {card.split: columns}


_LOADERS: dict[str, Callable[[Card], Ranking | Splits]] = {
    "Retrieval": _load_retrieval,
    "Reranking": _load_reranking,
    "STS": _load_pairs,
    "PairClassification": _load_pairs,
    "Classification": _load_classification,
    "Clustering": _load_clustering,
}
