"""Judgements of a retrieval task: the documents that answer a query, with grades.

The file has BEIR's three columns, with or without a header, or TREC's four (`query 0 document grade`); the known ids
show which. Judgements of unknown queries and documents are left out and counted: published sets have some (five in
BEIR's ArguAna).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.labels import canonical
from instructor_eval.tasks.rows import Row, read_cells, read_rows
from instructor_eval.tasks.values import NUMBER, RowReader, count, cut

Qrels = dict[str, dict[str, int]]
"""Query id -> document id -> grade."""

_LARGEST_GRADE = 1000
"""trec_eval's gains overflow for larger grades."""
_HEADER = ("query-id", "corpus-id", "score")
_WITHOUT_HEADER = ((3, (0, 1, 2)), (4, (0, 2, 3)))
"""Number of columns -> the places of query, document and grade: BEIR's, TREC's."""


@dataclass
class _Some:
    """Judgements of one kind, counted."""

    n: int = 0
    first: str = ""

    def add(self, what: str | int, line: int, known: Collection[str] = ()) -> None:
        self.n += 1
        self.first = self.first or f"{cut(what)}, line {line}{_similar(what, known)}"


def _similar(what: str | int, known: Collection[str]) -> str:
    """Return words for a known id that a reader would take for this one."""
    plain = str(what).strip()
    forms = [unicodedata.normalize(form, plain) for form in ("NFC", "NFD")]
    written = (
        plain,
        f"{plain} ",
        f" {plain}",
        plain.lower(),
        plain.upper(),
        plain.strip('"'),
        *forms,
        canonical(plain),
        f"{plain}.0",
    )
    same = next((name for name in written if name in known), None)
    return "" if same is None else f", differs from {cut(same)} in spaces, quotes, case, Unicode form or digits"


@dataclass
class Judged:
    """The judgements of known queries and documents, and warnings about the others."""

    qrels: Qrels = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read_qrels(path: Path, queries: Collection[str], documents: Collection[str]) -> Judged:
    """Read and check the judgements of one split.

    A query whose judgements are all of unknown documents counts as 0, as in mteb and BEIR.

    Args:
        path: The file.
        queries: The ids of all queries.
        documents: The ids of all documents.

    Raises:
        UserError: a line is broken, a pair judged twice, or no query has a relevant document.
    """
    found, name = Judged(), f"{path.parent.name}/{path.name}"
    header_missing = path.suffix != ".jsonl" and _has_no_header(path, queries, documents)
    if header_missing:
        found.warnings.append(f"{name} has no header: its columns are read as {', '.join(_HEADER)}")
    rows = _rows_without_header(path) if header_missing else read_rows(path)
    reader, seen = RowReader(path), _Some()
    no_query, no_document, below = _Some(), _Some(), _Some()
    unknown: Qrels = {}
    for line, row in rows:
        query, document = reader.id(line, row, "query-id"), reader.id(line, row, "corpus-id")
        grade = _grade(reader, line, row)
        seen.add("", line)
        into = found.qrels if query in queries and document in documents else unknown
        if document in into.setdefault(query, {}):
            raise reader.fail(line, f"query {cut(query)} and document {cut(document)} are judged twice: remove one")
        into[query][document] = grade
        if query not in queries:
            no_query.add(query, line, queries)
        elif document not in documents:
            no_document.add(document, line, documents)
        elif grade < 0:
            below.add(grade, line)
    if not seen.n:
        raise UserError(f"{path}: no rows")
    if not found.qrels:
        what = f"query {no_query.first}" if no_query.n else f"document {no_document.first}"
        raise UserError(f"{path}: none of {count(seen.n, 'judgement')} is of a known query and document: {what}")
    if not any(grade > 0 for docs in found.qrels.values() for grade in docs.values()):
        raise UserError(f"{path}: no relevant document for any query")
    lost = [query for query in unknown if query in queries and query not in found.qrels]
    found.qrels |= {query: unknown[query] for query in lost}
    found.warnings += _warnings(name, no_query, no_document, below, lost)
    return found


def _warnings(name: str, no_query: _Some, no_document: _Some, below: _Some, lost: Sequence[str]) -> Iterator[str]:
    if no_query.n:
        judgements = count(no_query.n, "judgement of an unknown query is", "judgements of unknown queries are")
        yield f"{name}: {judgements} left out (the first: {no_query.first})"
    if no_document.n:
        judgements = count(no_document.n, "judgement of an unknown document is", "judgements of unknown documents are")
        zero = count(len(lost), "query has no other and counts", "queries have no other and count")
        rest = f"; {zero} as 0, as in mteb and BEIR" if lost else ""
        yield f"{name}: {judgements} left out (the first: {no_document.first}){rest}"
    if below.n:
        yield f"{name}: {count(below.n, 'grade')} below 0, not relevant as 0 is (the first: {below.first})"


def _grade(reader: RowReader, line: int, row: Row) -> int:
    grade = reader.number(line, row, "score")
    if grade != int(grade) or abs(grade) > _LARGEST_GRADE:
        raise reader.fail(line, f"'score' should be a whole number up to {_LARGEST_GRADE:,}, found {grade:g}")
    return int(grade)


def _has_no_header(path: Path, queries: Collection[str], documents: Collection[str]) -> bool:
    """Return whether the first line is a judgement.

    Raises:
        UserError: it may be one, but no line names a known query and document.
    """
    first = next(((line, _split(cells)) for line, cells in read_cells(path)), None)
    if first is None:
        return False
    line, cells = first
    places = dict(_WITHOUT_HEADER).get(len(cells))
    if places is None or set(_HEADER) & {cell.strip() for cell in cells} or not NUMBER.fullmatch(cells[places[2]]):
        return False
    if any(
        len(row) == len(cells) and row[places[0]] in queries and row[places[1]] in documents
        for row in (_split(row) for _, row in read_cells(path))
    ):
        return True
    raise UserError(
        f"{path}, line {line}: the header {', '.join(_HEADER)} is missing, found {cut(cells)}, and no line has the "
        "ids of a query and a document in this order"
    )


def _rows_without_header(path: Path) -> Iterator[tuple[int, Row]]:
    width = 0
    for line, row in read_cells(path):
        cells = _split(row)
        width = width or len(cells)
        if len(cells) != width:
            raise UserError(f"{path}, line {line}: {count(len(cells), 'column')}, the first line has {width}")
        yield line, dict(zip(_HEADER, (cells[place] for place in dict(_WITHOUT_HEADER)[width]), strict=True))


def _split(cells: list[str]) -> list[str]:
    """Return a line's cells; TREC's files separate them by spaces."""
    return cells[0].split() if len(cells) == 1 else cells
