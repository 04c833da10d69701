from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from made_boards import Made
from made_charts import add, dots, drawn, line_of, points

from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.report import chart
from instructor_eval.report.chart import charts, quality
from instructor_eval.report.lines import lines
from instructor_eval.results.published import Published
from instructor_eval.results.score import Score

EVERY = {"file_bytes": 4 * 10**8, "texts_per_second": 100.0, "size_ratio": 1.0, "baseline": "fp32"}


@pytest.fixture
def made(make_score: Callable[..., Score]) -> Made:
    return Made(make_score)


# Which charts there are


def test_an_axis_needs_two_rows(made: Made) -> None:
    assert drawn(made) == {}
    add(made, "org/a", cost=EVERY)
    assert drawn(made) == {}
    add(made, "org/b", cost={"texts_per_second": 50})
    assert list(drawn(made)) == ["speed"]
    add(made, "org/c", cost={"file_bytes": 7})
    assert list(drawn(made)) == ["speed", "size"]
    add(made, "org/d", cost=EVERY)
    found = drawn(made)
    assert {key: sorted(dots(c)) for key, c in found.items()} == {
        "speed": ["a", "b", "d"],
        "size": ["a", "c", "d"],
        "parameters": ["a", "d"],
    }
    assert list(found) == ["speed", "size", "parameters"]


def test_published_rows_are_not_drawn(made: Made) -> None:
    for name in ("org/a", "org/b"):
        add(made, name, cost=EVERY)
    board = made.board(published=[Published("org/paper", {"SciFact": 0.9}, {}, ["a paper"])])
    assert len(board.rows) == 3
    assert [len(c.dots) for c in charts(board, lines(board, Evidence(None)))] == [2, 2, 2]


@pytest.mark.parametrize("key", ["file_bytes", "texts_per_second"])
def test_a_cost_that_is_none_is_ignored(key: str, made: Made) -> None:
    """A cost that is no number at all, or none above 0, is refused where the file is read."""
    add(made, "org/a", cost=EVERY)
    add(made, "org/b", cost=EVERY | {key: None})
    gone = {"file_bytes": {"size", "parameters"}, "texts_per_second": {"speed"}}[key]
    assert set(drawn(made)) == {"speed", "size", "parameters"} - gone
    add(made, "org/c", cost=EVERY)
    found = drawn(made)
    assert {k: sorted(dots(c)) for k, c in found.items()} == {
        k: ["a", "c"] if k in gone else ["a", "b", "c"] for k in ("speed", "size", "parameters")
    }


def test_a_size_ratio_that_is_none_leaves_parameters_unknown(made: Made) -> None:
    for name in ("org/a", "org/b"):
        add(made, name, cost=EVERY | {"size_ratio": None})
    assert set(drawn(made)) == {"speed", "size"}


# Costs


@pytest.mark.parametrize(
    ("cost", "found"),
    [
        ({"file_bytes": 400, "size_ratio": 1.0, "baseline": "fp32"}, 100),
        ({"file_bytes": 100, "size_ratio": 4.0, "baseline": "fp32"}, 100),
        ({"file_bytes": 125, "size_ratio": 3.2, "baseline": "fp32"}, 100),
        ({"file_bytes": 200, "size_ratio": 1.0, "baseline": "bf16"}, None),
        ({"file_bytes": 200, "size_ratio": 1.0}, None),
        ({"file_bytes": 200, "baseline": "fp32"}, None),
        ({"size_ratio": 1.0, "baseline": "fp32"}, None),
        ({}, None),
    ],
)
def test_parameters_are_counted_by_the_fp32_file(cost: dict[str, Any], found: float | None) -> None:
    assert chart.parameters(line_of(**cost)) == pytest.approx(found)


def test_dots_tell_costs_in_the_units_of_the_axis(made: Made) -> None:
    add(made, "org/a", cost=EVERY)
    add(made, "org/b", variant="int8", cost=EVERY | {"file_bytes": 10**8, "size_ratio": 4.0})
    found = drawn(made)
    assert {k: [d.cost for d in c.dots] for k, c in found.items()} == {
        "speed": [100, 100], "size": [400, 100], "parameters": [100, 100],
    }  # fmt: skip


# Quality


def test_quality_is_a_plain_mean(made: Made) -> None:
    tasks = ["SciFact", "ArguAna", "NFCorpus"]
    for shift, name in enumerate(("org/a", "org/b")):
        for task in tasks:
            add(made, name, task, shift=0.1 * shift, cost=EVERY)
    found = drawn(made)["size"]
    assert (found.tasks, found.of) == (3, 3)
    for dot in found.dots:
        values = [made.stored[dot.line.row.scores[t].identity]["ndcg_at_10"] for t in tasks]
        assert dot.quality == pytest.approx(np.mean([np.mean(v) for v in values]), abs=1e-5)  # nDCG is rounded
        assert dot.complete
        se = math.sqrt(sum(np.var(v, ddof=1) / len(v) for v in values)) / 3
        assert dot.spread.se == pytest.approx(se)
        assert dot.high < dot.y < dot.low  # upwards in a drawing


def test_quality_of_some_tasks(made: Made) -> None:
    for task in ("SciFact", "ArguAna"):
        add(made, "org/a", task)
    board = made.board()
    [line] = lines(board, Evidence(made.items))
    row = line.row
    one, both = row.tasks["SciFact"], (row.tasks["SciFact"] + row.tasks["ArguAna"]) / 2
    assert quality(line, ["SciFact", "ArguAna"])[::2] == (pytest.approx(both), True)
    value, spread, complete = quality(line, ["SciFact", "NFCorpus"])
    assert (value, complete) == (one, False)
    assert (spread.low, spread.high) == (row.spreads["SciFact"].low, row.spreads["SciFact"].high)
    del row.spreads["ArguAna"]
    assert quality(line, ["SciFact", "ArguAna"])[1] is None  # not of half of it


def test_without_intervals_there_are_no_bars(made: Made) -> None:
    for name in ("org/a", "org/b"):
        add(made, name, cost=EVERY)
    found = drawn(made, items=None)["size"]
    assert {(d.spread, d.low, d.high) for d in found.dots} == {(None, None, None)}


@pytest.mark.parametrize(
    ("of_a", "of_b", "over", "complete"),
    [
        ("1234", "1234", 4, {"a", "b"}),
        ("1234", "123", 3, {"a", "b"}),
        ("1234", "12", 2, {"a", "b"}),  # half of all
        ("1234", "1", 4, {"a"}),
        ("123", "134", 2, {"a", "b"}),
        ("123", "34", 4, set()),
        ("12", "34", 4, set()),
    ],
)
def test_which_tasks_the_mean_is_over(of_a: str, of_b: str, over: int, complete: set[str], made: Made) -> None:
    tasks = dict(zip("1234", ("SciFact", "ArguAna", "NFCorpus", "TRECCOVID"), strict=True))
    for name, which in (("a", of_a), ("b", of_b)):
        for n, key in enumerate(which):
            add(made, f"org/{name}", tasks[key], shift=0.1 * n, cost=EVERY)
    found = drawn(made)["size"]
    assert (found.tasks, found.of) == (over, len(set(of_a + of_b)))
    assert {name for name, d in dots(found).items() if d.complete} == complete
    shared = [tasks[k] for k in of_a if k in of_b]
    for dot in found.dots:
        there = shared if 2 * len(shared) >= found.of else list(dot.line.row.tasks)
        assert dot.quality == pytest.approx(sum(dot.line.row.tasks[t] for t in there) / len(there))


# The drawing


def test_places_follow_a_log_and_a_linear_axis(made: Made) -> None:
    for n in range(4):
        add(made, f"org/m{n}", shift=0.05 * n * n, cost={"file_bytes": 100 * 4**n})
    found = drawn(made)["size"]
    xs, ys = [d.x for d in found.dots], [d.y for d in found.dots]
    by_cost = sorted(found.dots, key=lambda d: d.cost)
    steps = np.diff([d.x for d in by_cost])
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)
    slope = np.diff([d.y for d in by_cost]) / np.diff([d.quality for d in by_cost])
    assert slope == pytest.approx([slope[0]] * 3, rel=0.02)
    assert all(52 < x < chart.WIDTH for x in xs)
    assert all(14 <= y <= chart.HEIGHT - 46 for y in (*ys, *(e for d in found.dots for e in (d.low, d.high))))
    for axis in (found.x_ticks, found.y_ticks):
        assert len(axis) >= 2
        assert len({label for _, label in axis}) == len(axis)
        assert len({place for place, _ in axis}) == len(axis)


def test_y_ticks_are_in_points(made: Made) -> None:
    add(made, "org/a", noise=0, cost=EVERY)
    add(made, "org/b", noise=0, shift=0.3, cost=EVERY)
    found = drawn(made, items=None)["size"]
    for place, label in found.y_ticks:
        one, other = found.dots
        at = one.y + (float(label) / 100 - one.quality) * (other.y - one.y) / (other.quality - one.quality)
        assert place == pytest.approx(at, abs=0.2)


def test_rows_of_one_cost_and_score_have_a_place_too(made: Made) -> None:
    for name in ("org/a", "org/b"):
        add(made, name, cost=EVERY)
    for found in drawn(made, items=None).values():
        [one, other] = found.dots
        assert (one.x, one.y) == (other.x, other.y)
        assert not one.label.box.overlaps(other.label.box)
        assert found.x_ticks
        assert found.y_ticks


def test_a_line_goes_from_a_model_to_each_of_its_variants(made: Made) -> None:
    for name, variants in {"org/a": ("fp32", "int8", "bf16"), "org/b": ("fp32",)}.items():
        for variant in variants:
            size = {"fp32": 400, "bf16": 200, "int8": 100}[variant]
            add(made, name, variant=variant, cost={"file_bytes": size})
    found = drawn(made)["size"]
    head, *variants_of_it = [d for d in found.dots if d.line.row.name == "org/a"]
    assert head.line.row.variant == "fp32"
    assert len(variants_of_it) == 2
    assert [points(path) for path in found.families] == [[(head.x, head.y), (d.x, d.y)] for d in variants_of_it]


# Names


def test_variants_of_one_model_have_short_names(made: Made) -> None:
    for variant in ("fp32", "int8", "int8+binary"):
        add(made, "org/a", variant=variant, cost=EVERY)
    assert set(dots(drawn(made)["size"])) == {"a", "int8", "int8+binary"}
    add(made, "org/b", cost=EVERY)
    assert set(dots(drawn(made)["size"])) == {"a", "a · int8", "a · int8+binary", "b"}


def test_instruction_sets_are_shown(made: Made) -> None:
    for own in ("none", "paper", "template"):
        add(made, "org/a", instructions=own, cost=EVERY)
    assert set(dots(drawn(made)["size"])) == {"a", "none", "template"}
    add(made, "org/b", cost=EVERY)
    assert set(dots(drawn(made)["size"])) == {"a", "a · none", "a · template", "b"}


def test_no_two_dots_have_one_name(made: Made) -> None:
    for model in ("one/same", "two/same"):
        for own in ("none", "paper"):
            for variant in ("fp32", "int8"):
                add(made, model, instructions=own, variant=variant, cost=EVERY)
    names = [d.name for d in drawn(made)["size"].dots]
    assert len(set(names)) == len(names) == 8


def test_a_row_with_parts_of_a_task_alone_has_no_place(made: Made) -> None:
    add(made, "org/a", "CQADupstackRetrieval", cost=EVERY)
    add(made, "org/c", "CQADupstackRetrieval", cost=EVERY)
    add(made, "org/b", "CQADupstackAndroidRetrieval", cost=EVERY)
    assert set(dots(drawn(made)["size"])) == {"a", "c"}


def test_variants_have_as_many_parameters_as_their_model(made: Made) -> None:
    add(made, "org/a", cost={"file_bytes": 90_261_504, "size_ratio": 1.0, "baseline": "fp32"})
    add(made, "org/a", variant="int8", cost={"file_bytes": 23_700_001, "size_ratio": 3.8085, "baseline": "fp32"})
    add(made, "org/b", cost={"file_bytes": 50_000_000, "size_ratio": 1.0, "baseline": "fp32"})
    drawing = drawn(made)["parameters"]
    assert {d.cost for d in drawing.dots if d.line.row.name == "org/a"} == {90_261_504 / 4 / 1e6}
    assert sum(d.best for d in drawing.dots if d.line.row.name == "org/a") <= 1


def test_means_that_differ_by_rounding_stay_on_one_height(made: Made) -> None:
    for n, model in enumerate(("org/a", "org/b")):
        add(made, model, noise=0, shift=n * 1e-16, cost={"file_bytes": 10 + n})
    drawing = drawn(made, items=None)["size"]
    assert len({round(d.y) for d in drawing.dots}) == 1
    assert len({text for _, text in drawing.y_ticks}) == len(drawing.y_ticks)


@pytest.mark.parametrize(
    ("model", "name"), [("org/a", "a"), ("a", "a"), ("./here/deep/er", "er"), ("org/a.b-c_d", "a.b-c_d")]
)
def test_a_model_goes_by_the_end_of_its_name(model: str, name: str, made: Made) -> None:
    add(made, model, cost=EVERY)
    add(made, "org/other", cost=EVERY)
    assert set(dots(drawn(made)["size"])) == {name, "other"}
