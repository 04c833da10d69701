"""A user's retrieval and reranking data, read and checked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.own.qrels import Qrels, read_qrels
from instructor_eval.tasks.rows import find_file, read_rows
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.values import RowReader, cut


@dataclass
class RankingData:
    """Retrieval and reranking data."""

    corpus: list[dict[str, str]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    qrels: Qrels = field(default_factory=dict)
    candidates: dict[str, list[str]] | None = None


def read_retrieval(card: Card, folder: Path) -> tuple[RankingData, list[str]]:
    """Read corpus, queries and judgements in BEIR's layout.

    Raises:
        UserError: something is missing or broken; the line has file and line.
    """
    data = RankingData()
    path = find_file(folder, "corpus")
    reader = RowReader(path)
    for line, row in read_rows(path):
        name, title = reader.id(line, row, "_id", "id"), reader.optional_text(line, row, "title")
        reader.find(line, row, "text")
        text = reader.optional_text(line, row, "text")
        reader.note(line, "text", f"{title}{text}")
        data.corpus.append({"id": name, "title": title, "text": text})
    documents = _unique_ids(data.corpus, path)
    warnings = reader.warnings()
    path = find_file(folder, "queries")
    reader = RowReader(path)
    data.queries = [
        {"id": reader.id(line, row, "_id", "id"), "text": reader.text(line, row, "text")}
        for line, row in read_rows(path)
    ]
    queries = _unique_ids(data.queries, path)
    warnings += reader.warnings()
    judged = read_qrels(find_file(folder / "qrels", card.split), queries, documents)
    data.qrels = judged.qrels
    return data, warnings + judged.warnings


def _unique_ids(rows: list[dict[str, str]], path: Path) -> Collection[str]:
    if not rows:
        raise UserError(f"{path}: it is empty")
    seen: set[str] = set()
    for row in rows:
        if row["id"] in seen:
            raise UserError(f"{path}: id {cut(row['id'])} is there twice")
        seen.add(row["id"])
    return seen


def read_reranking(card: Card, folder: Path) -> tuple[RankingData, list[str]]:
    """Read queries, each with its relevant and other texts.

    Raises:
        UserError: something is missing or broken; the line has file and line.
    """
    from instructor_eval.metrics import ranking  # numpy

    metric = ranking.at(card.metric)
    if metric is not None and metric.over_subqueries:
        raise UserError(f"task {card.name}: metric: own tasks have no sub-queries: use map_at_1000")
    path = find_file(folder, card.split)
    reader = RowReader(path, card.options.get("columns", {}))
    data, candidates = RankingData(), {}
    ids: dict[str, str] = {}
    for line, row in read_rows(path):
        query = f"q{len(data.queries)}"
        positive, negative = reader.texts(line, row, "positive"), reader.texts(line, row, "negative")
        if not positive:
            raise reader.fail(line, "'positive' is empty: every query needs a relevant text")
        both = set(positive) & set(negative)
        if both:
            raise reader.fail(line, f"a text is both positive and negative: {cut(min(both))}")
        data.queries.append({"id": query, "text": reader.text(line, row, "query")})
        texts = list(dict.fromkeys([*positive, *negative]))
        for text in texts:
            if text not in ids:
                ids[text] = f"d{len(ids)}"
                data.corpus.append({"id": ids[text], "title": "", "text": text})
        data.qrels[query] = {ids[t]: int(t in positive) for t in texts}
        candidates[query] = [ids[t] for t in texts]
    if not data.queries:
        raise UserError(f"{path}: it is empty")
    data.candidates = candidates
    return data, reader.warnings()
