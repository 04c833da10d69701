from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_boards import board

from instructor_eval.analysis.board.board import _ranks
from instructor_eval.analysis.board.formats import format_board
from instructor_eval.analysis.board.rows import Board, Row, ScoredRow
from instructor_eval.results.published import CATEGORIES, published
from instructor_eval.results.score import Score
from instructor_eval.tasks import protocol
from instructor_eval.tasks.cards import select, shipped_cards
from instructor_eval.tasks.protocol import relevant

MakeScore = Callable[..., Score]
DEFAULT = protocol.parse([])
PAPER = protocol.parse(["paper"])
FORUMS = shipped_cards()["CQADupstackRetrieval"].parts


def rows(found: Board) -> dict[str, Row]:
    return {r.model: r for r in found.rows}


def mteb(make_score: MakeScore, value: float, **fields: Any) -> list[Score]:
    """A score of `value` on each of the 56 tasks and the forums."""
    return [make_score(c.name, value, type=c.type, **fields) for c in shipped_cards().values() if c.benchmark == "mteb"]


# Means


def test_means_over_all_tasks_are_complete(make_score: MakeScore) -> None:
    [row] = board(mteb(make_score, 0.5)).rows
    assert set(row.means) == {*CATEGORIES[:7], "MTEB-56", "Nine-category"}
    assert {n: m.of for n, m in row.means.items()} == {
        "Retrieval": 15, "Reranking": 4, "Clustering": 11, "PairClassification": 3, "Classification": 12, "STS": 10,
        "Summarization": 1, "MTEB-56": 56, "Nine-category": 9,
    }  # fmt: skip
    assert all(m.complete == (n != "Nine-category") for n, m in row.means.items())
    assert (row.means["Nine-category"].n, row.means["Nine-category"].value) == (7, 0.5)


def test_an_incomplete_mean_says_so(make_score: MakeScore) -> None:
    found = board([make_score("STS12", 0.5), make_score("STS13", 0.75)])
    [row] = found.rows
    assert (row.means["STS"].value, row.means["STS"].n, row.means["STS"].of) == (0.625, 2, 10)
    assert (row.means["MTEB-56"].n, row.means["MTEB-56"].of) == (2, 56)
    assert not row.means["STS"].complete
    assert "62.50 (2/10)" in format_board(found, "table")
    assert "(n/of): a mean over n of the tasks" in format_board(found, "table")


def test_the_whole_and_not_its_parts_counts_in_means(make_score: MakeScore) -> None:
    scores = [make_score(f, 0.1, type="Retrieval") for f in FORUMS]
    scores.append(make_score("CQADupstackRetrieval", 0.9, type="Retrieval"))
    [row] = board(scores).rows
    assert (row.means["Retrieval"].value, row.means["Retrieval"].n) == (0.9, 1)


def test_the_nine_category_mean(make_score: MakeScore) -> None:
    scores = mteb(make_score, 0.5)
    scores += [make_score(n, 0.8, type="TextEvaluation", benchmark="billboard") for n in ("mscoco", "cnndm")]
    [row] = board(scores).rows
    # Billboard is not whole yet: it is no part of the mean.
    assert (row.means["Nine-category"].n, row.means["Nine-category"].value) == (7, 0.5)
    assert (row.means["Billboard"].n, row.means["Billboard"].of) == (2, 3)
    scores.append(make_score("wmt20-zh-en", 0.8, type="TextEvaluation", benchmark="billboard"))
    scores += [
        make_score(c.name, 0.2, type=c.type, benchmark=c.benchmark)
        for c in shipped_cards().values()
        if c.benchmark == "prompt-retrieval"
    ]
    [row] = board(scores).rows
    assert row.means["Nine-category"].complete
    # The mean of nine categories, not of seventy tasks.
    assert row.means["Nine-category"].value == pytest.approx((7 * 0.5 + 0.8 + 0.2) / 9)


def test_other_benchmarks_have_a_mean_of_their_own(make_score: MakeScore) -> None:
    found = board([make_score("DemoSTS", 0.5, benchmark="demo"), make_score("mine", 0.25, benchmark="own")])
    [row] = found.rows
    assert (row.means["demo"].value, row.means["demo"].n, row.means["demo"].of) == (0.5, 1, 4)
    assert (row.means["own"].value, row.means["own"].of) == (0.25, 1)
    assert set(found.means) == {"demo", "own"}
    assert "MTEB-56" not in row.means


# Ranks


def ranked(table: dict[str, dict[str, float]], columns: list[str]) -> dict[str, tuple[float, int]]:
    """The Borda count and the rank of each row."""
    rows = [ScoredRow(name, "paper", "measured", tasks=tasks) for name, tasks in table.items()]
    return dict(zip(table, _ranks(rows, columns), strict=True))


def test_borda_by_hand() -> None:
    made = ranked(
        {"a": {"x": 0.9, "y": 0.1, "z": 0.5}, "b": {"x": 0.5, "y": 0.5, "z": 0.5}, "c": {"x": 0.1, "y": 0.5}},
        ["x", "y", "z"],
    )
    # x: a 2, b 1, c 0.  y: b and c beat a and tie.  z: a and b tie, both beat c, which has none.
    assert made == {"a": (3.5, 2), "b": (4.0, 1), "c": (1.5, 3)}


def test_equal_counts_share_a_rank() -> None:
    made = ranked({"a": {"x": 0.5}, "b": {"x": 0.5}, "c": {"x": 0.1}, "d": {}}, ["x"])
    assert made == {"a": (2.5, 1), "b": (2.5, 1), "c": (1.0, 3), "d": (0.0, 4)}


@given(
    st.lists(st.dictionaries(st.sampled_from("xyz"), st.sampled_from([0.0, 0.5, 1.0])), max_size=6),
)
def test_borda_hands_out_every_point_once(tables: list[dict[str, float]]) -> None:
    made = ranked({str(i): t for i, t in enumerate(tables)}, ["x", "y", "z"])
    n = len(tables)
    # One point for each pair of rows and task, but where neither has a result.
    pairs = sum(task in tables[i] or task in tables[j] for task in "xyz" for i in range(n) for j in range(i))
    assert sum(borda for borda, _ in made.values()) == pairs
    for one, rank in made.values():
        assert all((rank < of_other) == (one > other) for other, of_other in made.values())


def test_a_board_and_its_rows_cannot_be_changed(make_score: MakeScore) -> None:
    found = board([make_score("STS12", 0.5)])
    for value in (found, found.rows[0]):
        for name in vars(value):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(value, name, None)


def test_rows_stand_in_the_order_of_their_ranks(make_score: MakeScore) -> None:
    scores = [make_score("STS12", v, model=m) for m, v in (("low", 0.1), ("high", 0.9), ("also-high", 0.9))]
    found = board(scores)
    assert [(r.rank, r.model) for r in found.rows] == [(1, "also-high"), (1, "high"), (3, "low")]


def test_a_part_counts_for_no_rank_beside_its_whole(make_score: MakeScore) -> None:
    scores = []
    for model, whole, part in (("a", 0.9, 0.1), ("b", 0.1, 0.9)):
        scores.append(make_score("CQADupstackRetrieval", whole, type="Retrieval", model=model))
        scores += [make_score(f, part, type="Retrieval", model=model) for f in FORUMS]
    found = board(scores)
    assert found.tasks == ["CQADupstackRetrieval"]
    assert [r.model for r in found.rows] == ["a", "b"]


def test_parts_alone_are_columns(make_score: MakeScore) -> None:
    assert board([make_score(FORUMS[1], 0.5, type="Retrieval")]).tasks == [FORUMS[1]]


# Published rows


def test_published_rows_are_marked_and_never_ranked(make_score: MakeScore) -> None:
    found = board([make_score("ArguAna", 0.0001, type="Retrieval", model="worst")], published().values())
    assert [r.source for r in found.rows] == ["measured"] + ["published"] * 12
    assert rows(found)["worst"].rank == 1
    others = found.rows[1:]
    assert all(r.rank is None and r.borda is None and r.instructions == "published" for r in others)
    assert [r.tasks["ArguAna"] for r in others] == sorted((r.tasks["ArguAna"] for r in others), reverse=True)
    assert "published: others' numbers, not measured here" in format_board(found, "table")


def test_a_published_model_that_was_measured_too_has_two_rows(make_score: MakeScore) -> None:
    name = "sentence-transformers/all-MiniLM-L6-v2"
    found = board([make_score("STS12", 0.5, model=name)], published().values())
    assert sorted(r.source for r in found.rows if r.model == name) == ["measured", "published"]


def test_without_results_published_models_are_shown() -> None:
    found = board([], published().values())
    assert len(found.rows) == 16  # 12 with task scores, 4 that the paper's table alone has
    assert found.tasks == []
    large = rows(found)["hkunlp/instructor-large"]
    assert 100 * large.means["MTEB-56"].value == pytest.approx(61.59, abs=0.01)
    assert large.means["MTEB-56"].complete
    assert 100 * large.means["Billboard"].value == pytest.approx(36.9)
    assert 100 * large.means["Nine-category"].value == pytest.approx(58.4, abs=0.06)
    assert large.means["Nine-category"].complete
    minilm = rows(found)["sentence-transformers/all-MiniLM-L6-v2"]
    assert minilm.means["Nine-category"].n == 7
    assert "Billboard" not in minilm.means


# Which scores count


def test_two_checkpoints_of_one_name_have_different_labels(make_score: MakeScore) -> None:
    scores = [make_score("STS12", v, fingerprint=f * 16) for f, v in (("a", 0.1), ("b", 0.9))]
    assert [r.model for r in board(scores).rows] == ["org/model #bbbbbb", "org/model #aaaaaa"]
    assert [r.model for r in board(scores[:1]).rows] == ["org/model"]


def test_instruction_sets_and_variants_have_their_own_rows(make_score: MakeScore) -> None:
    scores = [make_score("STS12", 0.9), make_score("STS12", 0.8, instructions="none")]
    scores.append(make_score("STS12", 0.7, variant="bf16", fingerprint="e" * 16))
    found = board(scores)
    # A variant stands below its baseline (test_board_variants.py), whatever its score.
    assert [(r.model, r.instructions, r.variant) for r in found.rows] == [
        ("org/model", "paper", "fp32"),
        ("org/model (bf16)", "paper", "bf16"),
        ("org/model", "none", "fp32"),
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_the_newest_of_several_counts(order: int, make_score: MakeScore) -> None:
    scores = [make_score(value=0.1, created="2026-01-01"), make_score(value=0.9, created="2026-02-01")]
    [row] = board(scores[::order]).rows
    assert row.tasks == {"STSBenchmark": 0.9}


def test_a_failed_task_is_marked_unless_it_also_succeeded(make_score: MakeScore) -> None:
    scores = [make_score("STS12", None), make_score("STS13", 0.5), make_score("STS14", None), make_score("STS14", 0.25)]
    found = board(scores)
    [row] = found.rows
    assert row.failed == {"STS12"}
    assert row.tasks == {"STS13": 0.5, "STS14": 0.25}
    assert found.tasks == ["STS12", "STS13", "STS14"]
    [line] = csv.DictReader(io.StringIO(format_board(found, "csv")))
    assert (line["STS12"], line["STS13"], line["STS14"]) == ("failed", "50.00", "25.00")
    assert (row.means["STS"].n, row.rank) == (2, 1)


def test_a_failure_earns_no_point(make_score: MakeScore) -> None:
    found = board([make_score("STS12", None, model="broken"), make_score("STS12", 0.0, model="zero")])
    assert [(r.model, r.borda) for r in found.rows] == [("zero", 1.0), ("broken", 0.0)]


def test_the_protocol_filters_what_it_concerns(make_score: MakeScore) -> None:
    def pair(choices: dict[str, str], value: float) -> Score:
        kind = "PairClassification"
        return make_score("TwitterURLCorpus", value, type=kind, protocol=relevant(choices, kind))

    scores = [pair(DEFAULT, 0.9), pair(PAPER, 0.8), make_score("STS12", 0.5)]
    found = board(scores)
    assert (found.rows[0].tasks, found.left_out) == ({"STS12": 0.5, "TwitterURLCorpus": 0.9}, 1)
    found = board(scores, protocol=PAPER)
    assert (found.rows[0].tasks, found.left_out) == ({"STS12": 0.5, "TwitterURLCorpus": 0.8}, 1)
    found = board(scores, protocol=protocol.parse(["empty_text=error"]))
    assert (found.rows, found.left_out) == ([], 3)


def test_limited_scores_never_mix_with_whole_ones(make_score: MakeScore) -> None:
    scores = [make_score("STS12", 0.9, limit=10), make_score("STS13", 0.5), make_score("STS14", 0.7, limit=20)]
    assert (board(scores).rows[0].tasks, board(scores).left_out) == ({"STS13": 0.5}, 2)
    assert (board(scores, limit=10).rows[0].tasks, board(scores, limit=10).left_out) == ({"STS12": 0.9}, 2)


@pytest.mark.parametrize("form", ["table", "md", "csv", "json", "latex"])
def test_published_rows_never_stand_beside_limited_ones(make_score: MakeScore, form: str) -> None:
    name = "sentence-transformers/all-MiniLM-L6-v2"
    scores = [make_score(task, 0.5, model=name, limit=10) for task in ("STS12", "STS13")]
    found = board(scores, published().values(), limit=10)
    assert [row.source for row in found.rows] == ["measured"]
    assert found.published_apart
    text = format_board(found, form)
    assert "instructor-xl" not in text
    if form == "table":
        assert "Published scores are of whole tasks and of mteb's protocol or the paper's: left out where" in text
    whole = board([make_score("STS12", 0.5, model=name)], published().values())
    assert len(whole.rows) == 13
    assert not whole.published_apart
    assert "left out where these" not in format_board(whole, "table")
    assert not board(scores, limit=10).published_apart


def test_published_scores_of_another_protocol_are_left_out(make_score: MakeScore) -> None:
    other = DEFAULT | {"summeval": "v2"}
    protocol = relevant(other, "Summarization", "SummEval")
    scores = [make_score("STS12", 0.5), make_score("SummEval", 0.3, type="Summarization", protocol=protocol)]
    found = board(scores, published().values(), protocol=other)
    assert found.published_apart
    others = [row for row in found.rows if row.source == "published"]
    assert len(others) == 12
    assert all("SummEval" not in row.tasks and "STS12" in row.tasks for row in others)
    assert all(
        not {"Summarization", "Nine-category"} & {n for n, m in row.means.items() if m.complete} for row in others
    )
    assert {row.means["MTEB-56"].n for row in others} == {55}
    usual = board([make_score("STS12", 0.5)], published().values(), protocol=DEFAULT | {"pair_ap": "cosine"})
    assert not usual.published_apart  # the paper's choice, which its numbers were made with


def test_only_the_tasks_asked_for(make_score: MakeScore) -> None:
    scores = [make_score("STS12", 0.9), make_score("STS13", 0.5, limit=3), make_score("STS14", 0.7)]
    found = board(scores, only=select(["STS14", "STS15", "STS12"]))
    assert found.tasks == ["STS14", "STS15", "STS12"]
    assert found.rows[0].tasks == {"STS12": 0.9, "STS14": 0.7}
    assert found.left_out == 0
    found = board([make_score("CQADupstackRetrieval", 0.5, type="Retrieval")], only=select(["CQADupstackRetrieval"]))
    assert found.tasks == ["CQADupstackRetrieval"]


def test_columns_stand_in_the_order_of_the_cards_own_ones_last(make_score: MakeScore) -> None:
    names = ["zz-own", "mscoco", "aa-own", "STS12", "ArguAna"]
    found = board([make_score(n, 0.5) for n in names])
    assert found.tasks == ["ArguAna", "STS12", "mscoco", "aa-own", "zz-own"]


def test_what_a_run_reused_counts_before_what_is_newer(make_score: MakeScore) -> None:
    """Data changed and changed back: the older score is the run's, and the table shows it."""
    old = make_score("STS12", 0.5, identity="a" * 16, created="2026-01-01T00:00:00+00:00")
    new = make_score("STS12", 0.9, identity="b" * 16, created="2026-01-02T00:00:00+00:00")
    for scores in ([old, new], [new, old]):
        assert board(scores).rows[0].tasks == {"STS12": 0.9}
        assert board(scores, current={"a" * 16}).rows[0].tasks == {"STS12": 0.5}
