"""The rows of the page as a tree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from made_items import make_items
from made_pages import MODEL, Made
from made_scores import edited
from scipy import stats as scipy_stats

from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.analysis.board.rows import Board, Row
from instructor_eval.analysis.statistics import difference
from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.report.lines import INSTRUCTIONS, PUBLISHED, VARIANT, lines
from instructor_eval.report.lines import MODEL as HEAD
from instructor_eval.results.published import published
from instructor_eval.results.score import Score


@pytest.fixture
def made(make_score: Callable[..., Score]) -> Made:
    return Made(make_score)


def better(by: float) -> dict[str, list[object]]:
    """SciFact's items of a better model."""
    items = make_items("ndcg_at_10", 40, 2)
    return items | {"ndcg_at_10": [min(1.0, v + by) for v in items["ndcg_at_10"]]}


def test_a_model_stands_above_its_sets_and_variants(made: Made) -> None:
    for name in ("none", "paper"):
        for variant in ("int8", "fp32", "bf16"):
            made.add(variant=variant, instructions=name)
    made.add(model="org/best", items=better(0.4))
    found = made.lines()
    assert [(line.row.model, line.row.instructions, line.kind, line.level) for line in found] == [
        ("org/best", "paper", HEAD, 0),
        (MODEL, "paper", HEAD, 0),
        (f"{MODEL} (bf16)", "paper", VARIANT, 1),
        (f"{MODEL} (int8)", "paper", VARIANT, 1),
        (MODEL, "none", INSTRUCTIONS, 1),
        (f"{MODEL} (bf16)", "none", VARIANT, 2),
        (f"{MODEL} (int8)", "none", VARIANT, 2),
    ]
    assert [found.index(line.parent) if line.parent else None for line in found] == [None, None, 1, 1, 1, 4, 4]


def test_every_row_of_the_board_has_one_line(made: Made) -> None:
    for name in ("paper", "none", "template"):
        for variant in ("fp32", "int8"):
            made.add("SciFact", "STS12", variant=variant, instructions=name, seed=len(name))
    made.fail("STS12", "OSError: gone", model="org/failed")
    board = made.board(published=list(published().values()))
    found = lines(board, made.evidence)
    assert sorted(line.index for line in found) == list(range(len(board.rows)))
    assert all(board.rows[line.index] is line.row for line in found)


def test_published_rows_come_last_in_the_boards_order(made: Made) -> None:
    made.add("STS12", instructions="none")
    made.add("STS12", seed=3)
    board = made.board(published=list(published().values()))
    found = lines(board, made.evidence)
    others = [line for line in found if line.kind == PUBLISHED]
    assert found[-len(others) :] == others
    assert [line.row for line in others] == [row for row in board.rows if row.source == "published"]
    assert {(line.parent, line.level, line.family) for line in others} == {(None, 0, "")}


@pytest.mark.parametrize(
    ("sets", "head"),
    [
        ({"none": 3, "template": 3, "paper": 1}, "paper"),
        ({"template": 1, "mine.yaml": 2, "none": 1}, "mine.yaml"),
        ({"none": 2, "template": 1}, "none"),
        ({"none": 2, "template": 2}, "template"),
        ({"b": 1, "a": 1}, "a"),
    ],
)
def test_which_set_stands_for_the_model(sets: dict[str, int], head: str, made: Made) -> None:
    for name, n in sets.items():
        made.add(*("SciFact", "STS12", "RTE")[:n], instructions=name)
    found = made.lines()
    assert [line.row.instructions for line in found if line.kind == HEAD] == [head]
    assert {line.row.instructions for line in found if line.parent is found[0]} == set(sets) - {head}


def test_the_set_with_variants_stands_for_the_model(made: Made) -> None:
    made.add(instructions="a")
    for variant in ("fp32", "int8"):
        made.add(instructions="b", variant=variant)
    assert [line.short for line in made.lines()] == [MODEL, "int8", "a"]


def test_sets_differ_by_what_the_items_say(made: Made) -> None:
    tasks = ("SciFact", "STS12", "RTE")
    made.add(*tasks, instructions="none", seed=2)
    made.add(*tasks)
    head, other = made.lines()
    assert set(other.delta) == set(tasks)
    for task, found in other.delta.items():
        mine, theirs = other.row.scores[task], head.row.scores[task]
        seed = f"{mine.identity} {theirs.identity} {task}"
        assert found == difference.paired(mine.metric, made.items(mine), made.items(theirs), seed_text=seed)
    assert other.delta_macro == difference.mean(other.delta.values())
    assert (head.delta, head.delta_macro) == ({}, None)


def test_a_difference_of_means_has_students_interval(made: Made) -> None:
    """By scipy's paired t test."""
    none, paper = made.add(instructions="none", seed=2), made.add()
    _, other = made.lines()
    a, b = (np.array(made.items(score)["ndcg_at_10"]) for score in (none, paper))
    interval = scipy_stats.ttest_rel(a, b).confidence_interval(0.95)
    found = other.delta["SciFact"]
    assert found.delta == pytest.approx(np.mean(a - b), abs=1e-5)  # the scores are rounded to five places
    assert (found.high - found.low) == pytest.approx(interval.high - interval.low, abs=1e-9)
    assert (found.n, found.method) == (40, "t")
    assert other.delta_macro == Difference(**(vars(found) | {"n": 1}))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"data": {"hash": "of another release"}}, "other data"),
        ({"protocol_version": "2"}, "other protocol version"),
        ({"seed": 7}, "other seed"),
    ],
)
def test_what_cannot_be_compared_says_why(fields: dict[str, object], why: str, made: Made) -> None:
    made.add("SciFact", "STS12")
    made.add("STS12", instructions="none", seed=2)
    score = made.add("SciFact", instructions="none", seed=2)
    made.scores[-1] = edited(score, **fields)
    _, other = made.lines()
    assert other.not_comparable == {"SciFact": why}
    assert list(other.delta) == ["STS12"]


def test_other_instruction_texts_are_what_sets_are_for(made: Made) -> None:
    made.add(roles={"query": {"text": "Represent the query: ", "rule": "card"}})
    made.add(instructions="none", roles={"query": {"text": "", "rule": "none"}})
    assert made.lines()[1].not_comparable == {}


def test_without_items_the_difference_is_bare(made: Made) -> None:
    made.add("SciFact", "STS12")
    lost = made.add("SciFact", instructions="none", seed=2)
    made.add("STS12", instructions="none", seed=2)
    made.stored.pop(lost.identity)
    head, other = made.lines()
    bare = other.row.tasks["SciFact"] - head.row.tasks["SciFact"]
    assert other.delta["SciFact"] == Difference(bare, n=lost.n_items)
    assert other.delta["SciFact"].verdict == "unknown"
    assert other.delta_macro == Difference(**(vars(other.delta["STS12"]) | {"n": 1}))


def test_only_tasks_that_both_have_are_compared(made: Made) -> None:
    made.add("SciFact", "STS12")
    made.add("STS12", "RTE", instructions="none")
    assert list(made.lines()[1].delta) == ["STS12"]


def test_variants_have_the_boards_differences(made: Made) -> None:
    for name in ("paper", "none"):
        made.add("SciFact", "STS12", instructions=name)
        made.add("SciFact", "STS12", instructions=name, variant="int8", seed=4)
    variants = [line for line in made.lines() if line.kind == VARIANT]
    assert len(variants) == 2
    for line in variants:
        assert line.delta is line.row.delta
        assert line.delta_macro == line.row.delta_macro
        assert set(line.delta) == {"SciFact", "STS12"}
        assert line.parent.row is line.row.parent


def test_two_checkpoints_of_one_name_are_two_models(made: Made) -> None:
    for revision in ("one", "two"):
        for name in ("paper", "none"):
            score = made.add(instructions=name, fingerprint=revision * 6)
            made.scores[-1] = edited(score, model={"revision": revision}, identity=score.identity + revision)
            made.stored[made.scores[-1].identity] = make_items("ndcg_at_10", 40, 1)
    found = made.lines()
    assert [line.kind for line in found] == [HEAD, INSTRUCTIONS] * 2
    assert [line.row.revision for line in found] in (["one"] * 2 + ["two"] * 2, ["two"] * 2 + ["one"] * 2)


def test_ids_stay_when_the_board_grows(made: Made) -> None:
    made.add(variant="int8")
    made.add()
    before = {(line.row.model, line.row.instructions): line.id for line in made.lines()}
    made.add(instructions="none", items=better(0.3))
    made.add(model="org/best", items=better(0.5))
    made.scores.reverse()
    after = {(line.row.model, line.row.instructions): line.id for line in made.lines()}
    assert {key: after[key] for key in before} == before
    assert len(set(after.values())) == len(after) == 4


def test_ids_are_unique_where_names_are_not() -> None:
    rows = [Row("a", "published", "published") for _ in range(3)]
    found = [line.id for line in lines(Board(rows, [], []), Evidence(None))]
    assert found == [found[0], f"{found[0]}-2", f"{found[0]}-3"]


def test_names_that_are_no_text_have_ids_too(made: Made) -> None:
    made.add(model="org/\ud800")
    made.add(model="org/\ud801", items=better(0.1))
    assert len({line.id for line in made.lines()}) == 2


def test_what_a_line_is_called(made: Made) -> None:
    made.add(variant="int8")
    made.add()
    made.scores[-1] = edited(made.add(instructions="none"), model={"family": "instructor"})
    found = made.lines()
    assert [line.short for line in found] == [MODEL, "int8", "none"]
    assert [line.label for line in found] == [f"{MODEL} · paper", f"{MODEL} (int8) · paper", f"{MODEL} · none"]
    assert [line.family for line in found] == ["plain", "plain", "instructor"]


def test_a_row_that_failed_everywhere_has_a_line(made: Made) -> None:
    made.fail("SciFact", "OSError: gone")
    made.add("STS12", instructions="none")
    head, other = made.lines()
    assert (head.row.failed, head.family) == ({"SciFact"}, "plain")
    assert (other.delta, other.not_comparable, other.delta_macro) == ({}, {}, None)
