"""A user's retrieval and reranking data, read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.own.qrels import Qrels, read_qrels
from instructor_eval.tasks.rows import Row, find_file, read_rows
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.values import RowReader, count, cut


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
    reader, documents = RowReader(path), dict[str, int]()
    for line, row in read_rows(path):
        name, title = _new_id(reader, line, row, documents), reader.optional_text(line, row, "title")
        reader.find(line, row, "text")
        text = reader.optional_text(line, row, "text")
        reader.note(line, "text", f"{title}{text}")
        data.corpus.append({"id": name, "title": title, "text": text})
    if not documents:
        raise UserError(f"{path}: it is empty")
    warnings = reader.warnings()
    path = find_file(folder, "queries")
    reader, queries = RowReader(path), dict[str, int]()
    data.queries = [
        {"id": _new_id(reader, line, row, queries), "text": reader.text(line, row, "text")}
        for line, row in read_rows(path)
    ]
    if not queries:
        raise UserError(f"{path}: it is empty")
    warnings += reader.warnings()
    judged = read_qrels(find_file(folder / "qrels", card.split), queries, documents)
    data.qrels = judged.qrels
    return data, warnings + judged.warnings


def _new_id(reader: RowReader, line: int, row: Row, lines: dict[str, int]) -> str:
    """Return a row's id, and note its line.

    Raises:
        UserError: another row has it.
    """
    name = reader.id(line, row, "_id", "id")
    if lines.setdefault(name, line) != line:
        raise reader.fail(line, f"id {cut(name)} is there twice, first in line {lines[name]}: change or remove one")
    return name


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
    repeated, first = 0, 0
    for line, row in read_rows(path):
        query, text = f"q{len(data.queries)}", reader.text(line, row, "query")
        positive, negative = reader.texts(line, row, "positive"), reader.texts(line, row, "negative")
        if not positive:
            raise reader.fail(line, "'positive' is empty: every query needs a relevant text")
        if not negative:
            raise reader.fail(line, "'negative' is empty: any model ranks it right, so leave the row out, as mteb does")
        both = set(positive) & set(negative)
        if both:
            raise reader.fail(line, f"a text is both positive and negative: {cut(min(both))}")
        data.queries.append({"id": query, "text": text})
        texts = list(dict.fromkeys([*positive, *negative]))
        more = len(positive) + len(negative) - len(texts)
        repeated, first = repeated + more, first or (line if more else 0)
        for document in texts:
            if document not in ids:
                ids[document] = f"d{len(ids)}"
                data.corpus.append({"id": ids[document], "title": "", "text": document})
        data.qrels[query] = {ids[t]: int(t in positive) for t in texts}
        candidates[query] = [ids[t] for t in texts]
    if not data.queries:
        raise UserError(f"{path}: it is empty")
    data.candidates = candidates
    warnings = reader.warnings()
    if repeated:
        what = count(repeated, "text that its query has already is", "texts that their queries have already are")
        warnings.append(f"{path.name}: {what} left out (the first in line {first})")
    return data, warnings
