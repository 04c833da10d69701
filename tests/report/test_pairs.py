"""Two rows beside each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from made_items import make_items
from made_pages import MODEL, Made, with_ends

from instructor_eval.analysis.statistics import difference
from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.report.lines import Line
from instructor_eval.report.pairs import Pair, instructions_worth, pair, with_baseline, with_parent
from instructor_eval.results.score import Score, key_of

COLUMNS = {"SciFact": 4, "STS12": 7, "RTE": 9}
TASKS = tuple(COLUMNS)


@pytest.fixture
def made(make_score: Callable[..., Score]) -> Made:
    return Made(make_score)


def plain(deltas: dict[str, Difference], **fields: object) -> Pair:
    given = {"columns": {}} | fields
    return pair("c", "b", deltas, ({}, {}), **given)


def texts(found: Pair) -> dict[str, str]:
    return {row.name: row.delta for row in found.rows}


def turned(found: Difference) -> str:
    return with_ends(-found.delta, -found.high, -found.low)


# One pair


def test_the_largest_loss_comes_first_and_equals_by_name() -> None:
    found = plain({"z": Difference(0.1), "b": Difference(-0.2), "c": Difference(0.0), "a": Difference(0.0)})
    assert [row.name for row in found.rows] == ["b", "a", "c", "z"]


def test_the_mean_of_several_stands_first() -> None:
    deltas = {"a": Difference(-0.2), "b": Difference(0.1)}
    mean = Difference(-0.05, n=2)
    found = plain(deltas, macro=mean, columns={"a": 3, "b": 5})
    assert [(row.name, row.column) for row in found.rows] == [("mean of 2 tasks", None), ("a", 3), ("b", 5)]
    assert (found.rows[0].delta, found.rows[0].baseline, found.rows[0].candidate) == ("-5.00", "", "")
    assert [row.name for row in plain({"a": Difference(-0.2)}, macro=mean).rows] == ["a"]


def test_places_are_on_one_axis_with_zero_and_room_at_its_ends() -> None:
    """From -0.1 to 0.1 and 6 % of that at either end: 200 units for 0.224."""
    found = plain({"a": Difference(-0.1), "b": Difference(0.1), "c": Difference(0.05)})
    assert found.zero == 100
    expected = [round(200 * (v + 0.112) / 0.224) for v in (-0.1, 0.05, 0.1)]
    assert [row.at for row in found.rows] == expected == [11, 145, 189]
    assert {(row.low, row.high) for row in found.rows} == {(None, None)}


def test_intervals_widen_the_axis() -> None:
    """From -0.3 to 0.1 and 0.024 at either end: 200 units for 0.448."""
    found = plain({"a": Difference(-0.1, -0.3, 0.1)})
    [row] = found.rows
    places = [round(200 * (v + 0.324) / 0.448) for v in (-0.3, -0.1, 0.0, 0.1)]
    assert [row.low, row.at, found.zero, row.high] == places
    assert (row.verdict, row.delta) == ("same", "-10.00 [-30.00, +10.00]")


def test_scores_words_and_what_is_left_out() -> None:
    found = pair(
        "c", "b", {"a": Difference(0.025)}, ({"a": 0.5, "x": 1.0}, {"a": 0.475}), columns={},
        not_comparable={"x": "other data"}, words={"a": ("OK", "p 0.5"), "": ("REGRESSED", "p 0.01")},
    )  # fmt: skip
    [row] = found.rows
    assert (row.baseline, row.candidate, row.word, row.note) == ("47.50", "50.00", "OK", "p 0.5")
    assert found.left_out == ["x: other data"]
    assert (found.candidate, found.baseline) == ("c", "b")


def test_the_empty_name_has_the_means_word() -> None:
    deltas = {"a": Difference(0.1), "b": Difference(0.2)}
    found = plain(deltas, macro=Difference(0.15, n=2), words={"": ("OK", "whole")})
    assert [(row.word, row.note) for row in found.rows] == [("OK", "whole"), ("", ""), ("", "")]


# Lines


def test_a_line_beside_its_parent(made: Made) -> None:
    made.add(*TASKS)
    made.add(*TASKS, variant="int8", seed=3)
    head, child = made.lines()
    assert with_parent(head, COLUMNS) is None
    found = with_parent(child, COLUMNS)
    assert (found.candidate, found.baseline) == (f"{MODEL} (int8) · paper", f"{MODEL} · paper")
    assert {row.name: row.column for row in found.rows[1:]} == COLUMNS
    macro = child.row.delta_macro
    assert found.rows[0].delta == with_ends(macro.delta, macro.low, macro.high)
    for row in found.rows[1:]:
        d = child.row.delta[row.name]
        assert (row.delta, row.verdict) == (with_ends(d.delta, d.low, d.high), d.verdict)
        assert (row.candidate, row.baseline) == tuple(f"{100 * line.row.tasks[row.name]:.2f}" for line in (child, head))


def test_a_line_with_nothing_in_common_has_no_pair(made: Made) -> None:
    made.add("SciFact")
    made.add("STS12", instructions="none")
    assert [with_parent(line, COLUMNS) for line in made.lines()] == [None, None]


def test_what_cannot_be_compared_is_named(made: Made) -> None:
    made.add("SciFact", "STS12")
    made.add("SciFact", instructions="none", seed=2)
    made.add("STS12", instructions="none", seed=2, data={"hash": "other"})
    found = with_parent(made.lines()[1], COLUMNS)
    assert [row.name for row in found.rows] == ["SciFact"]
    assert found.left_out == ["STS12: other data"]


def test_a_line_beside_the_boards_baseline(made: Made) -> None:
    base = made.add(*TASKS)
    made.add("SciFact", "STS12", model="org/other", seed=5)
    found = made.lines(baseline=key_of(base))
    lines = {line.row.name: line for line in found}
    baseline, other = lines[MODEL], lines["org/other"]
    assert with_baseline(baseline, baseline, COLUMNS) is None
    shown = with_baseline(other, baseline, COLUMNS)
    assert (shown.candidate, shown.baseline) == ("org/other · paper", f"{MODEL} · paper")
    assert shown.rows[0].name == "mean of 2 tasks"
    theirs = next(s for s in made.scores if s.model.name == "org/other" and s.task == "SciFact")
    mine = next(s for s in made.scores if s.model.name == MODEL and s.task == "SciFact")
    expected = difference.paired("ndcg_at_10", made.items(theirs), made.items(mine), seed_text="any: t has no draws")
    assert texts(shown)["SciFact"] == with_ends(expected.delta, expected.low, expected.high)


def test_without_a_baseline_nothing_is_beside_it(made: Made) -> None:
    made.add()
    made.add(model="org/other", seed=5)
    one, other = made.lines()
    assert with_baseline(other, one, COLUMNS) is None


# What instructions are worth


def worth(made: Made, found: list[Line]) -> list[Pair]:
    return instructions_worth(found, COLUMNS, made.evidence)


def test_the_head_beside_none_is_the_difference_turned_round(made: Made) -> None:
    made.add(*TASKS)
    made.add(*TASKS, instructions="none", seed=2)
    found = made.lines()
    head, none = found
    [shown] = worth(made, found)
    assert (shown.candidate, shown.baseline) == (head.label, none.label)
    expected = {"mean of 3 tasks": turned(none.delta_macro)} | {t: turned(d) for t, d in none.delta.items()}
    assert texts(shown) == expected
    names = {"better": "worse", "worse": "better", "same": "same"}
    assert {r.name: r.verdict for r in shown.rows[1:]} == {t: names[d.verdict] for t, d in none.delta.items()}
    for row in shown.rows[1:]:
        assert (row.candidate, row.baseline) == tuple(f"{100 * line.row.tasks[row.name]:.2f}" for line in (head, none))


def test_seen_from_the_other_side_the_drawing_is_its_mirror(made: Made) -> None:
    made.add(*TASKS)
    made.add(*TASKS, instructions="none", seed=2)
    found = made.lines()
    [shown], straight = worth(made, found), with_parent(found[1], COLUMNS)
    mirror = {row.name: row for row in straight.rows}
    assert abs(shown.zero + straight.zero - 200) <= 1
    for row in shown.rows:
        other = mirror[row.name]
        assert abs(row.at + other.at - 200) <= 1
        assert abs(row.low + other.high - 200) <= 1
        assert abs(row.high + other.low - 200) <= 1


def test_every_set_stands_beside_none(made: Made) -> None:
    for seed, name in enumerate(("paper", "none", "template", "mine.yaml"), start=1):
        made.add(*TASKS, instructions=name, seed=seed)
    found = made.lines()
    by_set = {line.row.instructions: line for line in found}
    shown = worth(made, found)
    assert [p.candidate for p in shown] == [f"{MODEL} · {n}" for n in ("paper", "mine.yaml", "template")]
    assert {p.baseline for p in shown} == {f"{MODEL} · none"}
    template, bare = by_set["template"].row.scores["SciFact"], by_set["none"].row.scores["SciFact"]
    expected = difference.paired("ndcg_at_10", made.items(template), made.items(bare), seed_text="any: t has no draws")
    assert texts(shown[2])["SciFact"] == with_ends(expected.delta, expected.low, expected.high)


def test_where_none_is_not_there_sets_stand_beside_the_head(made: Made) -> None:
    made.add(*TASKS)
    made.add(*TASKS, instructions="template", seed=2)
    found = made.lines()
    assert worth(made, found) == [with_parent(found[1], COLUMNS)]


def test_where_none_is_the_head_sets_stand_beside_it(made: Made) -> None:
    made.add(*TASKS, instructions="none")
    made.add("SciFact", "STS12", instructions="template", seed=2)
    [shown] = worth(made, made.lines())
    assert (shown.candidate, shown.baseline) == (f"{MODEL} · template", f"{MODEL} · none")


def test_variants_take_no_part(made: Made) -> None:
    for variant, seed in (("fp32", 1), ("int8", 4)):
        made.add(*TASKS, variant=variant, seed=seed)
        made.add(*TASKS, variant=variant, seed=seed + 1, instructions="none")
    shown = worth(made, made.lines())
    assert [(p.candidate, p.baseline) for p in shown] == [(f"{MODEL} · paper", f"{MODEL} · none")]


def test_one_set_alone_is_worth_nothing_to_say(made: Made) -> None:
    made.add(*TASKS)
    made.add(*TASKS, variant="int8", seed=4)
    assert worth(made, made.lines()) == []


def test_what_cannot_be_compared_with_none_says_why(made: Made) -> None:
    made.add("SciFact", "STS12")
    made.add("SciFact", instructions="none", items=make_items("ndcg_at_10", 30, 1))
    made.add("STS12", instructions="none", seed=2)
    [shown] = worth(made, made.lines())
    assert [row.name for row in shown.rows] == ["STS12"]
    assert shown.left_out == ["SciFact: other items"]
