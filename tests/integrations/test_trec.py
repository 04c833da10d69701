"""TREC's own tools compute the filed figures from our run and qrels files, equal similarities included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
import pytrec_eval
import tiny
from ir_measures import AP, RR, R, nDCG
from made_up import MIRRORS, reranking_rows, retrieval_rows, write_retrieval

import instructor_eval as ie
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store, has_rankings

SAME = 1e-5


def twice(corpus: list[dict[str, Any]], queries: Any, qrels: Any, *more: Any) -> tuple[Any, ...]:
    """Every document stands there twice, so that each is as near as another one; some of both are judged."""
    copies = [{**row, "_id": f"{'a' if n % 2 else 'z'}{row['_id']}"} for n, row in enumerate(corpus)]
    of = {row["_id"]: copy["_id"] for row, copy in zip(corpus, copies, strict=True)}
    both = [row | {"corpus-id": of[row["corpus-id"]]} for row in qrels[::3]]
    tops = [[row | {"corpus-ids": [*row["corpus-ids"], *map(of.get, row["corpus-ids"])]} for row in m] for m in more]
    return [*corpus, *copies], queries, [*qrels, *both], *tops


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_instructor(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def results(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One result with rankings of each type of ranking task."""
    place = tmp_path_factory.mktemp("ranked")
    write_retrieval(place / "hub/datasets/mteb/scifact", *twice(*retrieval_rows(n_documents=90)))
    write_retrieval(place / "hub/datasets/mteb/AskUbuntuDupQuestions", *twice(*reranking_rows()))
    MIRRORS["MindSmallReranking"](place / "hub")
    tasks = ["SciFact", "AskUbuntuDupQuestions", "MindSmallReranking"]
    options: dict[str, Any] = {"family": "instructor", "hub": place / "hub", "offline": True}
    done = ie.evaluate(folder, tasks, rankings=True, results=place / "results", **options)
    assert [score.status for score in done.scores] == ["ok"] * 3
    return place / "results"


def exported(results: Path, task: str, cli: Any, out: Path) -> tuple[Score, Path]:
    assert cli("export", "--format", "trec", "--results", results, "--task", task, "--output", out).code == 0
    [run] = out.rglob("*.run")
    return ie.load_results(results)[task].score, run


@pytest.mark.parametrize("task", ["SciFact", "AskUbuntuDupQuestions", "MindSmallReranking"])
def test_ir_measures_gives_the_filed_figures(task: str, results: Path, cli: Any, tmp_path: Path) -> None:
    score, run = exported(results, task, cli, tmp_path / "out")
    qrels = list(ir_measures.read_trec_qrels(str(run.with_suffix(".qrels"))))
    found = list(ir_measures.read_trec_run(str(run)))
    measured = ir_measures.calc_aggregate([nDCG @ 10, RR @ 10, AP @ 1000, R @ 100], qrels, found)
    items = Store(results).items(score)
    mean = {name: sum(items[name]) / len(items[name]) for name in ("ndcg_at_10", "map_at_1000", "recall_at_100")}
    assert measured[nDCG @ 10] == pytest.approx(mean["ndcg_at_10"], abs=SAME)
    assert measured[AP @ 1000] == pytest.approx(mean["map_at_1000"], abs=SAME)
    assert measured[R @ 100] == pytest.approx(mean["recall_at_100"], abs=SAME)
    assert score.score == pytest.approx(mean[score.metric.removeprefix("max_over_subqueries_")], abs=SAME)
    if task != "MindSmallReranking":  # mteb's further figures are of its queries there, not of its readers
        assert measured[RR @ 10] == pytest.approx(score.metrics["mrr_at_10"], abs=SAME)
        assert measured[nDCG @ 10] == pytest.approx(score.metrics["ndcg_at_10"], abs=SAME)


def test_pytrec_eval_gives_each_query_the_filed_figure(results: Path, cli: Any, tmp_path: Path) -> None:
    score, run = exported(results, "SciFact", cli, tmp_path / "out")
    with run.open() as r, run.with_suffix(".qrels").open() as q:
        qrels, found = pytrec_eval.parse_qrel(q), pytrec_eval.parse_run(r)
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "map_cut.1000"}).evaluate(found)
    items = Store(results).items(score)
    for query, ndcg, ap in zip(items["id"], items["ndcg_at_10"], items["map_at_1000"], strict=True):
        assert theirs[query]["ndcg_cut_10"] == pytest.approx(ndcg, abs=1e-9)
        assert theirs[query]["map_cut_1000"] == pytest.approx(ap, abs=1e-9)
    assert {len(documents) for documents in found.values()} == {180}  # all that were searched
    for query, documents in found.items():  # none are equal, and none is another by more than rounding
        assert len(set(np.float32([*documents.values()]))) == 180
        filed = Store(results).items(score, without=())
        of_query = filed["ranked_scores"][filed["id"].index(query)]
        assert len(set(of_query)) <= 90
        assert [*documents.values()] == pytest.approx(of_query, rel=1e-5)


def test_rankings_stay_out_of_other_reading_and_are_checked(results: Path, cli: Any) -> None:
    score = ie.load_results(results)["SciFact"].score
    assert has_rankings(score)
    assert "ranked" not in Store(results).items(score)
    assert cli("validate", "--results", results).code == 0
    assert cli("leaderboard", "--results", results).code == 0


def test_a_result_without_rankings_says_the_command_that_makes_them(
    folder: Path, cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MIRRORS["SciFact"](tmp_path / "hub")
    run = ("--model", folder, "--task", "SciFact", "--hub", tmp_path / "hub", "--offline", "--family", "instructor")
    assert cli(*run).code == 0
    done = cli("export", "--format", "trec", "--output", "out")
    said = done.error
    assert "filed without its rankings: evaluate " in said
    assert said.endswith("--rankings")
    assert not Path("out").exists()
    again = cli(*run, "--rankings")
    assert "1 run, 0 reused" in again.out
    assert "0 run, 1 reused" in cli(*run, "--rankings").out
    assert "0 run, 1 reused" in cli(*run).out
    assert cli("export", "--format", "trec", "--output", "out").code == 0


def test_ids_that_the_files_cannot_hold(folder: Path, cli: Any, tmp_path: Path) -> None:
    corpus, queries, qrels = retrieval_rows()
    corpus[3]["_id"] = "d 3"
    write_retrieval(tmp_path / "hub/datasets/mteb/scifact", corpus, queries, qrels)
    run = ("--model", folder, "--task", "SciFact", "--hub", tmp_path / "hub", "--offline", "--family", "instructor")
    assert cli(*run, "--rankings").code == 0
    assert (
        "the id 'd 3' has a space or is empty: TREC's files cannot hold it"
        in cli("export", "--format", "trec", "--output", "out").error
    )
    assert not Path("out").exists()


def test_without_ranking_tasks(make_score: Any, cli: Any) -> None:
    Store(Path("results")).write(make_score("STS12"), {"id": ["0"], "gold": [1.0], "cosine": [0.5]})
    assert "TREC's files are of these" in cli("export", "--format", "trec", "--output", "out").error


@pytest.mark.parametrize(
    "change",
    [{"ranked": [["d1", "d2"]]}, {"judged_grades": [["x"]]}, {"ranked_scores": [None]}, {"judged": [[3]]}],
    ids=["lengths", "a text as grade", "no scores", "numbers as ids"],
)
def test_rankings_that_nothing_of_ours_writes(change: dict[str, Any], make_score: Any, cli: Any) -> None:
    items: dict[str, Any] = {"id": ["q"], "ranked": [["d1"]], "ranked_scores": [[0.5]], "judged": [["d1"]]}
    items |= {"judged_grades": [[1]]} | change
    Store(Path("results")).write(make_score("SciFact", type="Retrieval", metric="ndcg_at_10"), items)
    line = cli("export", "--format", "trec", "--output", "out").error
    assert line.endswith("its rankings are not whole: run it again with --rankings")


def test_where_no_command_is_known_the_flag_is_said(make_score: Any, cli: Any) -> None:
    score = make_score("Mine", type="Retrieval", metric="ndcg_at_10")
    Store(Path("results")).write(score, {"id": ["q"], "ndcg_at_10": [0.5]})
    error = cli("export", "--format", "trec", "--output", "out").error
    assert "filed without its rankings: run it again with --rankings (rankings=True from Python)" in error
