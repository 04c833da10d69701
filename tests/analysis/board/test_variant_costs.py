"""The costs of variants of a model beside it, and which of them no other beats."""

from __future__ import annotations

from typing import Any

import pytest
from made_boards import COSTS, Made, MakeScore, of

from instructor_eval.analysis.board.formats import format_board


def test_figures(made: Made) -> None:
    for name, cost in COSTS.items():
        made.add(name, cost=cost | {"baseline": "fp32", "device": "cpu"})
    made.add("int8+binary@32", cost=COSTS["int8"], embedding={"precision": "binary", "dim": 32, "bytes_per_vector": 4})
    made.add("int8+uint8")
    figures = {short: row.figures for short, row in of(made.board()).items()}
    assert (figures["fp32"].smaller, figures["fp32"].faster, figures["fp32"].vector_bytes) == (1.0, 1.0, 256)
    assert (figures["bf16"].smaller, figures["bf16"].faster, figures["bf16"].vector_bytes) == (2.0, 1.3, 256)
    assert (figures["int8"].smaller, figures["int8"].faster, figures["int8"].file_bytes) == (4.0, 2.0, 100_000_000)
    assert figures["int8+binary@32"].vector_bytes == 4
    assert (figures["int8+uint8"].vector_bytes, figures["int8+uint8"].file_bytes) == (64, None)
    assert figures["int8+uint8"].smaller is None


def test_what_was_not_measured_is_unknown(made: Made) -> None:
    for name in ("fp32", "int8"):
        made.add(name)
    found = made.board()
    row = of(found)["int8"]
    assert (row.figures.smaller, row.figures.faster, row.figures.device, row.cost, row.pareto) == (None,) * 5
    table = format_board(found, "table").partition("Variants of")[2]
    assert all(word not in table for word in ("x smaller", "size MB", "faster", "Pareto"))


def test_a_ratio_to_something_else_than_the_parent_is_not_shown(made: Made) -> None:
    made.add("bf16")
    made.add("int8", cost={"speed_ratio": 3.0, "size_ratio": 4.0, "baseline": "fp32"})
    made.add("fp16", cost={"speed_ratio": 1.1, "size_ratio": 1.0, "baseline": "bf16"})
    rows = of(made.board())
    assert (rows["int8"].figures.faster, rows["int8"].figures.smaller) == (None, None)
    assert (rows["fp16"].figures.faster, rows["fp16"].figures.smaller) == (1.1, 1.0)
    assert rows["bf16"].figures.faster == 1.0


def test_the_newest_measurement_counts(made: Made) -> None:
    made.add("fp32")
    made.add("int8", cost={"speed_ratio": 2.0}, created="2026")
    made.add("int8", "ArguAna", cost={"speed_ratio": 3.0}, created="2027")
    made.add("int8", "NFCorpus", cost={"speed_ratio": 1.0}, created="2025")
    made.add("int8", "STS12", created="2028")
    assert of(made.board())["int8"].cost.speed_ratio == 3.0


def test_two_ratios_to_one_baseline_give_the_ratio_to_the_parent(made: Made) -> None:
    """On a GPU the baseline of all costs is fp32, and the parent may be bf16."""
    beside = {"baseline": "fp32", "device": "cuda"}
    made.add("bf16", cost=beside | {"speed_ratio": 2.0, "size_ratio": 2.0})
    made.add("fp16", cost=beside | {"speed_ratio": 3.0, "size_ratio": 2.0})
    made.add("fp8", cost=beside | {"speed_ratio": 1.0, "size_ratio": 4.0})
    found = made.board()
    figures = {short: (row.figures.smaller, row.figures.faster) for short, row in of(found).items()}
    assert figures == {"bf16": (None, 1.0), "fp16": (1.0, 1.5), "fp8": (2.0, 0.5)}
    text = format_board(found, "table")
    assert "fp16: the same size, 1.5x faster here, " in text
    assert "speed not compared" not in text


@pytest.mark.parametrize(
    ("parent", "why"),
    [
        ({}, "measured beside fp32, but bf16 was not"),
        ({"baseline": "fp32", "device": "cuda"}, "measured beside fp32, but bf16 was not"),
        ({"baseline": "bf16", "device": "cuda", "speed_ratio": 1.0}, "measured beside fp32, but bf16 beside bf16"),
        ({"device": "cuda", "speed_ratio": 1.0}, "measured beside fp32, but bf16 beside nothing named"),
        ({"baseline": "fp32", "device": "cpu", "speed_ratio": 1.0}, "measured on cuda, but bf16 on cpu"),
        ({"baseline": "fp32", "speed_ratio": 1.0}, "measured on cuda, but bf16 on a device not named"),
    ],
)
def test_words_say_why_a_speed_is_not_compared(parent: dict[str, Any], why: str, made: Made) -> None:
    made.add("bf16", cost=parent)
    for name in ("fp16", "int8"):
        made.add(name, cost={"speed_ratio": 3.0, "baseline": "fp32", "device": "cuda"})
    made.add("int8-weight", cost={"file_bytes": 7})
    made.add("int8+binary")
    found = made.board()
    assert all(row.figures.faster is None for row in found.rows[1:])
    line = f"\n  speed not compared: fp16, int8 ({why}); int8-weight (no speed among its figures)"
    assert format_board(found, "table").count(line) == 1


def pareto(made: Made, variants: dict[str, tuple[float, int, float, int]], **devices: str) -> set[str]:
    """Names on the front; each variant is (shift, file bytes, speed, bytes of a vector)."""
    for name, (shift, size, speed, index) in variants.items():
        cost = {"file_bytes": size, "speed_ratio": speed, "device": devices.get(name.replace("-", "_"), "cpu")}
        made.add(name, noise=0, shift=shift, cost=cost, embedding={"bytes_per_vector": index})
    return {short for short, row in of(made.board()).items() if row.pareto}


@pytest.mark.parametrize(
    ("int8", "front"),
    [
        ((0.0, 100, 1.0, 8), {"fp32", "int8"}),  # all equal: neither is beaten
        ((0.1, 100, 1.0, 8), {"int8"}),
        ((0.0, 90, 1.0, 8), {"int8"}),
        ((0.0, 100, 1.1, 8), {"int8"}),
        ((0.0, 100, 1.0, 7), {"int8"}),
        ((-0.1, 90, 1.0, 8), {"fp32", "int8"}),
        ((0.1, 100, 0.9, 8), {"fp32", "int8"}),
        ((0.0, 90, 1.1, 9), {"fp32", "int8"}),
        ((-0.1, 100, 1.0, 8), {"fp32"}),
        ((-0.1, 110, 0.9, 9), {"fp32"}),
        ((0.0, 100, 1.02, 8), {"fp32", "int8"}),  # as fast, as far as one can tell
        ((0.1, 100, 0.98, 8), {"int8"}),
        ((-0.1, 100, 1.02, 8), {"fp32"}),
        ((0.1, 100, 0.96, 8), {"fp32", "int8"}),
    ],
)
def test_the_front(int8: tuple[float, int, float, int], front: set[str], made: Made) -> None:
    assert pareto(made, {"fp32": (0.0, 100, 1.0, 8), "int8": int8}) == front


def test_a_sibling_beats_a_sibling_but_not_across_devices(made: Made, make_score: MakeScore) -> None:
    variants = {"fp32": (0.1, 100, 1.0, 8), "int8": (0.0, 50, 2.0, 8), "fp8": (-0.1, 60, 1.5, 8)}
    assert pareto(made, variants) == {"fp32", "int8"}
    assert pareto(Made(make_score), variants, fp8="cuda") == {"fp32", "int8", "fp8"}


def test_a_parent_is_beaten_across_devices(made: Made) -> None:
    """A child's speed is its ratio to the parent, wherever that was taken."""
    assert pareto(made, {"fp32": (0.0, 100, 1.0, 8), "fp8": (0.0, 60, 1.5, 8)}, fp8="cuda") == {"fp8"}


def test_without_a_task_in_common_none_beats_the_other(made: Made) -> None:
    cost = {"file_bytes": 100, "speed_ratio": 1.0}
    for task in ("SciFact", "ArguAna"):
        made.add("fp32", task, cost=cost, shift=1.0)
    made.add("int8", cost=cost | {"file_bytes": 50})
    made.add("fp16", "ArguAna", cost=cost | {"file_bytes": 60})
    assert {short for short, row in of(made.board()).items() if row.pareto} == {"fp32", "int8", "fp16"}


def test_quality_is_taken_over_the_tasks_both_have(made: Made) -> None:
    """int8 is better on the one shared task, whatever else the other was asked."""
    variants = {"fp32": (0.2, 999, 1.0, 8), "int8": (0.1, 50, 2.0, 8), "fp16": (0.0, 60, 1.5, 8)}
    pareto(made, variants)
    made.add("fp16", "ArguAna", noise=0, shift=5.0)
    assert {short for short, row in of(made.board()).items() if row.pareto} == {"fp32", "int8"}


def test_no_mark_where_a_figure_is_unknown(made: Made) -> None:
    pareto(made, {"fp32": (0.0, 100, 1.0, 8), "int8": (0.1, 50, 2.0, 8)})
    made.add("fp16", shift=1.0)
    rows = of(made.board())
    assert (rows["fp32"].pareto, rows["int8"].pareto, rows["fp16"].pareto) == (False, True, None)
