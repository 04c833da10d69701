"""Searches through stores on the board: rows of their own below their variant, their figures, and edited files."""

from __future__ import annotations

import csv
import io
import json

import pytest
from made_boards import FORUMS, board

from instructor_eval.analysis.board.formats import format_board
from instructor_eval.analysis.board.text import SEARCH_COLUMNS, search_figures
from instructor_eval.analysis.board.variants import searched
from instructor_eval.tasks.cards import select

SEARCH = {"backend": "faiss:HNSW32", "k": 10, "recall": 0.9, "exact_score": 0.5, "loss": 0.0125, "build_seconds": 2.0,
          "queries_per_second": 100.0, "index_bytes": 4_000_000, "documents": 1000, "library": "faiss 1"}  # fmt: skip
TASKS = ("SciFact", "NFCorpus")


def add(made, search, task="SciFact", variant="fp32", **fields):
    """A score of a store's search, with the items of the exact one a little lower."""
    fields = {"shift": -0.01, "identity": f"{task}-{search.get('backend')}"} | fields
    return made.add(variant, task, search=search, **fields)


def shown(made, **fields):
    return board(made.scores, items=made.items, **fields)


def row_of(found, variant):
    [row] = [row for row in found.rows if row.variant == variant]
    return row


@pytest.fixture
def found(made):
    """fp32 on two tasks and STS, two stores below it, and one below int8."""
    for task in TASKS:
        made.add("fp32", task)
        add(made, SEARCH, task)
        add(made, SEARCH | {"backend": "milvus", "index_bytes": None, "recall": 1.0}, task, shift=0.0)
    made.add("fp32", "STSBenchmark", metric="ndcg_at_10", type="Retrieval")
    add(made, SEARCH | {"backend": "lancedb", "queries_per_second": 25.0}, variant="int8")
    return shown(made)


def test_a_store_is_a_row_below_the_variants_parent(found):
    parent = row_of(found, "fp32")
    assert [row.variant for row in found.families[parent]] == ["fp32/faiss:HNSW32", "fp32/milvus", "int8/lancedb"]
    child = row_of(found, "fp32/faiss:HNSW32")
    assert child.parent is parent
    assert set(child.tasks) == set(TASKS)
    assert child.rank is None
    for task in TASKS:
        assert child.delta[task].delta == pytest.approx(-0.01)
    assert set(parent.tasks) == {*TASKS, "STSBenchmark"}, "its own scores are the exact ones"
    assert not any(parent.scores[task].search for task in TASKS)


def test_the_figures_of_a_row_are_over_its_tasks(found):
    figures = search_figures(row_of(found, "fp32/faiss:HNSW32"))
    assert figures.documents == 2000
    assert figures.index_bytes == 8_000_000
    assert figures.build_seconds == 4.0
    assert figures.recall == pytest.approx(0.9)
    assert row_of(found, "fp32/faiss:HNSW32").figures.vector_bytes == 4000
    assert row_of(found, "fp32/milvus").figures.vector_bytes is None
    assert search_figures(row_of(found, "fp32")) is None


def test_the_table_says_all_of_it(found):
    text = format_board(found, "table")
    lines = [line.split() for line in text.partition("Searches through vector stores")[2].splitlines()]
    assert lines[0] == ["of", "org/model,", "instructions", "paper"]
    assert ["fp32/faiss:HNSW32", "2", "0.900", "@10", "1.25", "4.0", "100", "8.0"] in lines
    assert ["fp32/milvus", "2", "1.000", "@10", "1.25", "4.0", "100"] in lines
    assert ["int8/lancedb", "1", "0.900", "@10", "1.25", "2.0", "25", "4.0"] in lines
    assert "recall: share of the k exactly nearest documents" in text


@pytest.mark.parametrize("form", ["md", "latex"])
def test_markdown_and_latex_have_a_table_too(found, form):
    text = format_board(found, form)
    [line] = [line for line in text.splitlines() if "fp32/faiss:HNSW32" in line and "0.900" in line]
    assert all(cell in line for cell in ("@10", "1.25", "4.0", "100", "8.0"))


def test_csv_has_columns_of_it(found):
    rows = {row["variant"]: row for row in csv.DictReader(io.StringIO(format_board(found, "csv")))}
    mine = rows["fp32/faiss:HNSW32"]
    assert {name: mine[name] for name in SEARCH_COLUMNS} == {
        "search_tasks": "2", "search_k": "10", "search_recall": "0.9", "search_exact_score": "0.5",
        "search_loss": "0.0125", "search_build_seconds": "4.0", "search_queries_per_second": "100.0",
        "search_index_bytes": "8000000",
    }  # fmt: skip
    assert {rows["fp32"][name] for name in SEARCH_COLUMNS} == {""}


def test_json_has_it_by_task_and_over_all(found):
    rows = {row["variant"]: row for row in json.loads(format_board(found, "json"))}
    assert rows["fp32/faiss:HNSW32"]["searches"] == dict.fromkeys(TASKS, SEARCH)
    assert rows["fp32/faiss:HNSW32"]["search"]["documents"] == 2000
    assert rows["fp32"]["searches"] == rows["fp32"]["search"] == {}


def test_without_stores_nothing_is_said(made):
    made.add("fp32")
    for form in ("table", "md", "csv", "json", "latex"):
        assert "vector stores" not in format_board(shown(made), form)
        assert "search_" not in format_board(shown(made), form)


@pytest.mark.parametrize("alone", [False, True])
def test_a_whole_stands_for_its_parts(made, alone):
    values = {}
    for variant_search in ({}, SEARCH):
        for i, name in enumerate(FORUMS):
            search = variant_search and variant_search | {"recall": 0.5 + i / 100}
            score = made.add("fp32", name, search=search, identity=f"{name}{bool(search)}", shift=-0.01 * bool(search))
            values[name, bool(search)] = score.score
        whole = {"id": list(FORUMS), "value": [values[name, bool(variant_search)] for name in FORUMS]}
        search = variant_search and variant_search | {"recall": 0.555, "index_bytes": 48_000_000}
        made.add("fp32", "CQADupstackRetrieval", items=whole, metric="mean_of_parts", identity=f"w{bool(search)}",
                 search=search)  # fmt: skip
    only = [c for c in select(["CQADupstackRetrieval"]) if c.part_of is None] if alone else None
    row = row_of(shown(made, only=only), "fp32/faiss:HNSW32")
    assert searched(row) == ["CQADupstackRetrieval"]
    assert search_figures(row).index_bytes == 48_000_000
    assert search_figures(row).recall == 0.555
    assert row.delta["CQADupstackRetrieval"].delta == pytest.approx(-0.01)
    assert row.figures.vector_bytes == 48_000


def test_parts_without_a_whole_count_themselves(made):
    for name in FORUMS[:2]:
        add(made, SEARCH, name)
    row = row_of(shown(made), "fp32/faiss:HNSW32")
    assert searched(row) == list(FORUMS[:2])


@pytest.mark.parametrize(
    "edited",
    [
        {"recall": 9e17, "loss": -9e17, "k": 10**17},
        {"index_bytes": 10**17, "documents": 0},
        {"queries_per_second": -100.0},
        {"queries_per_second": 0, "build_seconds": 0},
        {"library": "\x1b"},
        {"backend": "\x1b[2J\n|x"},
        {"backend": "<script>"},
    ],
)
@pytest.mark.parametrize("form", ["table", "md", "csv", "json", "latex"])
def test_edited_files_do_no_harm(made, edited, form):
    made.add("fp32", "SciFact")
    made.add("fp32", "NFCorpus")
    add(made, SEARCH | edited)
    add(made, SEARCH | {"backend": edited.get("backend", "faiss:HNSW32")}, "NFCorpus", identity="other")
    text = format_board(shown(made), form)
    if form == "csv":
        text = text.replace("\x1b[2J\n|x", "")
        assert len(list(csv.reader(io.StringIO(text)))) >= 3
    if form == "json":
        assert len(json.loads(text)) == 2
    else:
        assert "\x1b" not in text
        assert "\x07" not in text
