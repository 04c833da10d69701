"""`--search` from the command line: real stores under a real model, and what every reading command says of them."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parsed_page import read
from rewritten import rewrite

from instructor_eval.cli.main import main
from instructor_eval.results.reading import known
from instructor_eval.results.repeat import command_of
from instructor_eval.results.store import Store, read_score

pytestmark = pytest.mark.stores

Run = Callable[..., Any]
STORES = ("faiss:IVF8,Flat,nprobe=1", "lancedb:FLAT", "milvus:FLAT")
RUN = ("--model", "minilm", "--device", "cpu", "--task", "DemoRetrieval", "--quiet")
ALL = (*RUN, "--task", "DemoSTS", *(word for store in ("exact", *STORES) for word in ("--search", store)))
FIGURES = {"backend", "k", "recall", "exact_score", "loss", "build_seconds", "queries_per_second", "index_bytes",
           "documents", "library"}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `results` and `cache` of a run through every store."""
    folder, before = tmp_path_factory.mktemp("searched"), Path.cwd()
    os.chdir(folder)
    try:
        assert main([*ALL, "--cache", "cache"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def made(whole: Path, tmp_path: Path, cli: Run) -> Path:
    """A copy of it as the working folder of `cli`."""
    for name in ("results", "cache"):
        shutil.copytree(whole / name, tmp_path / name)
    return tmp_path


def by_backend(folder: Path) -> dict[str, Any]:
    scores = list(Store(folder / "results").scores())
    return {s.store or "exact": s for s in scores if s.task == "DemoRetrieval"}


def test_every_store_is_a_score_of_its_own(made: Path) -> None:
    scores = by_backend(made)
    assert set(scores) == {"exact", *STORES}
    assert len({s.identity for s in scores.values()}) == 4
    assert scores["exact"].search is None
    for store in STORES:
        search = scores[store].search
        assert known(search).keys() >= FIGURES
        assert search.exact_score == scores["exact"].score
        assert search.loss == scores["exact"].score - scores[store].score
        assert scores[store].data == scores["exact"].data
        assert scores[store].model == scores["exact"].model
    assert [scores[store].search.recall == 1.0 for store in STORES] == [False, True, True]
    assert [scores[store].search.loss == 0 for store in STORES] == [False, True, True]
    assert 0 < scores[STORES[0]].search.recall < 1


def test_recall_is_what_the_items_of_both_show(made: Path) -> None:
    scores, store = by_backend(made), Store(made / "results")
    tops = {name: store.items(score)["top"] for name, score in scores.items()}
    for name in STORES:
        shares = [len({*a} & {*b}) / 10 for a, b in zip(tops[name], tops["exact"], strict=True)]
        assert scores[name].search.recall == pytest.approx(sum(shares) / len(shares), abs=1e-9)


def test_tasks_that_search_nothing_run_once(made: Path) -> None:
    assert len([s for s in Store(made / "results").scores() if s.task == "DemoSTS"]) == 1


def test_a_second_run_keeps_all_of_it(made: Path, cli: Run) -> None:
    before = {path: path.read_bytes() for path in (made / "results" / "scores").rglob("*.json")}
    done = cli(*(word for word in ALL if word != "--quiet"), "--cache", "cache")
    assert done.code == 0
    assert "0 run, 5 reused, 0 failed" in done.out + done.err
    assert {path: path.read_bytes() for path in (made / "results" / "scores").rglob("*.json")} == before


def test_the_leaderboard_has_a_child_row_for_each(made: Path, cli: Run) -> None:
    table = cli("leaderboard").out
    for store in STORES:
        assert f"└ fp32/{store} " in table
    assert "Searches through vector stores" in table
    rows = {row["variant"]: row for row in json.loads(cli("leaderboard", "--format", "json").out)}
    assert rows["fp32"]["search"] == {}
    for store in STORES:
        row = rows[f"fp32/{store}"]
        assert row["parent"]
        assert row["search"]["recall"] == by_backend(made)[store].search.recall
        assert row["searches"]["DemoRetrieval"]["backend"] == store
    shown = {row["variant"]: row for row in csv.DictReader(io.StringIO(cli("leaderboard", "--format", "csv").out))}
    assert shown["fp32/milvus:FLAT"]["search_recall"] == "1.0"
    for form in ("md", "latex"):
        text = cli("leaderboard", "--format", form).out
        assert "1.000 @10" in text
        assert "lancedb:FLAT" in text


def test_the_report_holds_the_figures(made: Path, cli: Run) -> None:
    assert cli("report").code == 0
    text = read().text
    assert all(f"fp32/{store}" in text for store in STORES)


def test_two_searches_can_be_compared(made: Path, cli: Run) -> None:
    done = cli("compare", "minilm", f"minilm@fp32/{STORES[0]}")
    assert done.code == 0, done.err
    assert "DemoRetrieval" in done.out
    loss = 100 * by_backend(made)[STORES[0]].search.loss
    assert f"-{loss:.2f}" in done.out


def test_stored_results_are_consistent(made: Path, cli: Run) -> None:
    done = cli("validate", "--results", "results")
    assert done.code == 0
    assert "5 results: 5 good" in done.out


@pytest.mark.parametrize("store", ["exact", "lancedb:FLAT"])
def test_the_command_of_a_score_makes_it_again(store: str, made: Path, cli: Run) -> None:
    score = by_backend(made)[store]
    words = command_of(score)[1:]
    assert words.count("--search") == (store != "exact")
    done = cli(*words, "--cache", "cache", "--results", "again")
    assert done.code == 0
    [path] = (made / "again" / "scores").rglob("*.json")
    again = read_score(path)
    assert (again.identity, again.score, again.store) == (
        score.identity, score.score, score.store,
    )  # fmt: skip


def test_plan_knows_what_is_there(made: Path, cli: Run) -> None:
    done = cli("plan", *RUN[:-1], "--search", "lancedb:FLAT", "--search", "faiss:HNSW8", "--cache", "cache")
    assert done.code == 0, done.err
    done_by_form = {
        line.split()[1].partition("@")[2]: "done" in line for line in done.out.splitlines() if line.startswith("DemoR")
    }
    assert done_by_form == {"fp32/lancedb:FLAT:none": True, "fp32/faiss:HNSW8:none": False}


def test_a_store_alone_leaves_exact_search_out(made: Path, cli: Run) -> None:
    done = cli(*RUN, "--search", "faiss:Flat", "--cache", "cache", "--results", "alone", "--task", "DemoSTS")
    assert done.code == 0
    found = {(s.task, s.store or None) for s in Store(made / "alone").scores()}
    assert found == {("DemoRetrieval", "faiss:Flat"), ("DemoSTS", None)}


def test_one_failing_store_costs_no_other(made: Path, cli: Run) -> None:
    done = cli(*RUN, "--search", "faiss:IVF5000,Flat", "--search", "faiss:Flat", "--cache", "cache", "--results", "new")
    assert done.code != 0
    found = {s.search.backend: s for s in Store(made / "new").scores()}
    assert found["faiss:Flat"].status == "ok"
    assert found["faiss:IVF5000,Flat"].status == "failed"
    assert "training 'IVF5000,Flat' on 190 vectors failed" in found["faiss:IVF5000,Flat"].error
    assert "Traceback" not in done.out + done.err
    assert cli("leaderboard", "--results", "new").code == 0


def test_an_index_is_stored_where_it_is_asked_for(made: Path, cli: Run) -> None:
    for name in ("one", "two"):
        done = cli(*RUN, "--search", "faiss:Flat,path=index", "--cache", "cache", "--results", name)
        assert done.code == 0
    built = {name: next(Store(made / name).scores()).search.build_seconds for name in ("one", "two")}
    assert built["one"] is not None
    assert built["two"] is None
    assert sorted(path.suffix for path in (made / "index").iterdir()) == [".faiss", ".json"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--task", "DemoSTS", "--search", "faiss:Flat"], "--search faiss:Flat is for retrieval tasks, and no --task"),
        (["--task", "DemoRetrieval", "--search", "fais:Flat"], "unknown search 'fais:Flat': did you mean faiss?"),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_is_loaded(arguments: list[str], says: str, cli: Run) -> None:
    error = cli("--model", "minilm", "--device", "cpu", *arguments).error
    assert says in error
    assert not Path("results").exists()


@pytest.mark.parametrize("variant", ["fp32+int8", "fp32+binary"])
def test_what_a_store_cannot_keep_fails_in_one_line(variant: str, made: Path, cli: Run) -> None:
    done = cli(*RUN, "--variant", variant, "--search", "faiss:Flat", "--cache", "cache", "--results", "new")
    assert done.code != 0
    assert "stores vectors in its own precision: leave +" in done.out + done.err
    assert "Traceback" not in done.out + done.err


def test_shorter_vectors_go_into_a_smaller_index(made: Path, cli: Run) -> None:
    done = cli(*RUN, "--truncate-dim", "64", "--search", "exact", "--search", "faiss:Flat", "--cache", "cache",
               "--results", "new")  # fmt: skip
    assert done.code == 0
    found = {s.store: s for s in Store(made / "new").scores()}
    assert found["faiss:Flat"].score == found[""].score
    assert found["faiss:Flat"].search.index_bytes < 70 * 4 * found["faiss:Flat"].search.documents


def test_a_file_that_means_harm_does_none(made: Path, cli: Run) -> None:
    edited = {"backend": "x\x1b[2J<script>alert(1)</script>", "recall": 9e17, "library": "\x1b<b>"}
    for path in (made / "results" / "scores").rglob("DemoRetrieval.*.json"):
        raw = json.loads(path.read_text())
        if raw["search"].get("backend") == "lancedb:FLAT":
            rewrite(path, search=raw["search"] | edited)
    for command in (["leaderboard"], ["compare", "minilm@fp32", "minilm@fp32/milvus:FLAT"], ["report"]):
        done = cli(*command)
        assert done.code == 0
        assert "\x1b" not in done.out + done.err
    assert "<script>alert" not in Path("report.html").read_text()
