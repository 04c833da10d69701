from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_boards import COSTS, FORUMS, Made, MakeScore, board, of

from instructor_eval.analysis.board.formats import format_board
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.tasks.cards import select

# Families


def test_children_follow_the_order_of_the_forms(made: Made) -> None:
    names = ["mystery-form", "onnx-int8", "int8-dynamic", "int8@256", "int8+binary@256", "int8@64", "int8+int8",
             "int8", "bf16", "fp32+float16", "fp32"]  # fmt: skip
    for name in names:
        made.add(name)
    found = made.board()
    assert [row.variant for row in found.rows] == [
        "fp32", "fp32+float16", "bf16", "int8", "int8@64", "int8@256", "int8+int8", "int8+binary@256", "int8-dynamic",
        "onnx-int8", "mystery-form",
    ]  # fmt: skip
    assert [row.parent for row in found.rows] == [None] + [found.rows[0]] * 10
    assert found.families == {found.rows[0]: found.rows[1:]}


@pytest.mark.parametrize(
    ("variants", "parent"),
    [
        (["int8", "bf16", "fp32"], "fp32"),
        (["int8", "fp16", "bf16"], "bf16"),
        (["int8-dynamic", "fp16", "int8"], "fp16"),
        (["bf16", "fp32+float16"], "bf16"),
    ],
)
def test_which_variant_is_the_parent(variants: list[str], parent: str, made: Made) -> None:
    for name in variants:
        made.add(name)
    found = made.board()
    assert [row.variant for row in found.rows if row.parent is None] == [parent]


@pytest.mark.parametrize("form", ["table", "md", "latex"])
def test_only_fp32_is_called_the_baseline(form: str, made: Made) -> None:
    for name in ("int8", "int8-dynamic"):
        made.add(name)
    text = format_board(made.board(), form)
    assert "(baseline)" not in text
    assert "int8 (compared with)" in text
    if form == "table":
        assert "Variants of org/model (int8), instructions paper; no fp32 row: compared with int8\n" in text
        assert "org/model (int8), instructions paper, no fp32 row: compared with int8:\n" in text
        assert "from the row compared with over" in text
    made.add("fp32")
    assert "fp32 (baseline)" in format_board(made.board(), form)
    assert "compared with" not in format_board(made.board(), form)


def test_one_row_alone_has_no_family(made: Made) -> None:
    made.add("bf16", cost=COSTS["bf16"])
    found = made.board()
    [row] = found.rows
    assert (row.model, row.rank, row.pareto, found.families) == ("org/model (bf16)", 1, None, {})
    text = format_board(found, "table")
    assert "\nmodel (bf16) " in text
    assert "Variants" not in text
    assert "└" not in text
    assert "delta" not in format_board(found, "csv")


@pytest.mark.parametrize("field", ["model", "instructions"])
def test_another_model_or_set_is_another_family(field: str, made: Made) -> None:
    made.add("fp32")
    made.add("int8", **{field: "other"})
    assert made.board().families == {}


def test_a_variant_of_two_like_named_checkpoints_has_no_parent(made: Made) -> None:
    made.add("fp32", fingerprint="a" * 16, identity="a")
    made.add("fp32", fingerprint="b" * 16, identity="b", shift=0.1)
    made.add("int8", shift=-0.2)
    found = made.board()
    assert found.families == {}
    assert [row.model for row in found.rows] == ["org/model #bbbbbb", "org/model #aaaaaa", "org/model (int8)"]


def test_a_score_that_names_its_checkpoint_joins_that_one_only(made: Made) -> None:
    made.add("fp32", fingerprint="a" * 16, identity="a")
    made.add("fp32", fingerprint="b" * 16, identity="b")
    made.add("int8", base_fingerprint="b" * 16)
    [(parent, children)] = made.board().families.items()
    assert parent.fingerprint == "b" * 16
    assert [row.variant for row in children] == ["int8"]
    made.scores = [s for s in made.scores if s.identity != "b"]  # the other checkpoint alone is no parent
    assert made.board().families == {}


def test_two_recipes_of_a_form_have_different_labels(made: Made) -> None:
    made.add("fp32")
    made.add("int8", fingerprint="1" * 16, identity="old")
    made.add("int8", fingerprint="2" * 16, identity="new", shift=0.01)
    found = made.board()
    assert [row.short for row in found.rows] == ["fp32", "int8 #111111", "int8 #222222"]
    assert "└ int8 #222222" in format_board(found, "table")


def test_a_baseline_that_failed_at_everything_is_none(made: Made, make_score: MakeScore) -> None:
    made.scores.append(make_score("SciFact", None, variant="fp32", type="Retrieval"))
    made.add("bf16")
    made.add("int8")
    found = made.board()
    assert [(row.variant, row.rank) for row in found.rows] == [("bf16", 1), ("fp32", None), ("int8", None)]
    assert found.rows[1].delta_macro is None
    assert "fp32: no task to compare" in format_board(found, "table")
    assert "fp32 has no scores: compared with bf16:" in format_board(found, "table")


# Ranks


def test_variants_push_no_other_model_around(made: Made, make_score: MakeScore) -> None:
    made.add("fp32")
    made.scores += [
        make_score("SciFact", v, model=m, type="Retrieval", fingerprint=m) for m, v in (("hi", 1.0), ("lo", 0.0))
    ]
    alone = {row.model: (row.rank, row.borda) for row in made.board().rows}
    for name in ("bf16", "int8", "int4-weight"):
        made.add(name, shift=0.2)
    found = made.board()
    assert {row.model: (row.rank, row.borda) for row in found.rows if row.parent is None} == alone
    assert [(row.rank, row.short) for row in found.rows] == [
        (1, "fp32"), (2, "fp32"), (None, "bf16"), (None, "int8"), (None, "int4-weight"), (3, "fp32"),
    ]  # fmt: skip
    assert "baseline variants only" in format_board(found, "table")


# Differences


def test_a_difference_has_an_interval(made: Made) -> None:
    parent, child = made.add("fp32"), made.add("int8", shift=-0.03)
    made.add("int8", "ArguAna")  # the parent has no score of it
    row = of(made.board())["int8"]
    delta = row.delta["SciFact"]
    assert set(row.delta) == {"SciFact"}
    assert delta.delta == pytest.approx((child.score or 0) - (parent.score or 0), abs=1e-12)
    assert (delta.method, delta.n, delta.verdict) == ("t", 80, "worse")
    assert row.delta_macro is not None
    assert (row.delta_macro.delta, row.delta_macro.low, row.delta_macro.n) == (delta.delta, delta.low, 1)


def test_items_are_read_once_for_all_that_comes_of_them(made: Made) -> None:
    variants = ("fp32", "bf16", "fp16", "int8", "int8-weight", "int4-weight", "fp32@32")
    for name in variants:
        for task in ("SciFact", "ArguAna"):
            made.add(name, task)
    made.add("fp32", model="lonely", identity="lonely")
    baseline = next(row.key for row in made.board(items=None).rows if row.model == "lonely")
    made.board(baseline=baseline)
    assert sorted(made.asked) == sorted([*(f"{v}-{t}" for v in variants for t in ("SciFact", "ArguAna")), "lonely"])


def test_without_items_differences_have_no_interval(made: Made) -> None:
    made.add("fp32")
    made.add("int8", shift=-0.1)
    found = made.board(items=None)
    delta = of(found)["int8"].delta["SciFact"]
    assert (delta.verdict, delta.low, delta.n) == ("unknown", None, 80)
    assert found.without_interval == []
    text = format_board(found, "table")
    assert "cannot be said without an interval" in text
    assert "missing or damaged" not in text


@pytest.mark.parametrize("damage", ["missing", "no id", "no column", "text", "others"])
@pytest.mark.parametrize("whose", ["fp32", "int8"])
def test_damaged_items_cost_the_interval_and_no_more(damage: str, whose: str, made: Made) -> None:
    for name in ("fp32", "int8"):
        made.add(name)
        made.add(name, "ArguAna")
    key = f"{whose}-SciFact"
    items = made.kept.pop(key)
    broken = {
        "no id": {"ndcg_at_10": items["ndcg_at_10"]},
        "no column": {"id": items["id"]},
        "text": items | {"ndcg_at_10": ["x"] * 80},
        "others": items | {"ndcg_at_10": [0.1] * 80},  # whole, but not what the score was computed from
    }
    if damage != "missing":
        made.kept[key] = broken[damage]
    found = made.board()
    row = of(found)["int8"]
    assert row.delta["SciFact"].verdict == "unknown"
    assert row.delta["SciFact"].delta == row.scores["SciFact"].score - of(found)["fp32"].scores["SciFact"].score
    assert row.delta["ArguAna"].low is not None
    # The mean and its interval are of the same tasks: of the one that has an interval.
    assert row.delta_macro is not None
    assert (row.delta_macro.n, row.delta_macro.delta) == (1, row.delta["ArguAna"].delta)
    assert found.without_interval == ["SciFact (int8)"]
    text = format_board(found, "table")
    assert text.count("items are missing or damaged: SciFact (int8); run these again") == 1
    assert "1 of 2" in text
    assert "n of m tasks: n have an interval, of m that both have." in text


def test_scores_of_other_data_are_not_compared(made: Made) -> None:
    made.add("fp32", data={"hash": "a"})
    made.add("fp32", "ArguAna")
    made.add("int8", data={"hash": "b"})
    made.add("int8", "ArguAna", items={"id": ["other", "ones"], "ndcg_at_10": [0.1, 0.2]})
    found = made.board()
    row = of(found)["int8"]
    assert row.not_comparable == {"SciFact": "other data", "ArguAna": "other items"}
    assert (row.delta, row.delta_macro) == ({}, None)
    text = format_board(found, "table")
    assert "Not compared: ArguAna (int8: other items), SciFact (int8: other data)." in text
    assert "nothing to compare" in text


@pytest.mark.parametrize("alone", [False, True])
def test_a_mean_of_parts_is_compared_part_by_part(alone: bool, made: Made) -> None:
    parts: dict[str, list[Score]] = {}
    for name, shift in (("fp32", 0.0), ("int8", -0.05)):
        parts[name] = [made.add(name, forum, shift=shift, n=20 + i) for i, forum in enumerate(FORUMS)]
        items = {"id": list(FORUMS), "value": [s.score for s in parts[name]]}
        made.add(name, "CQADupstackRetrieval", items=items, metric="mean_of_parts")
    # Asked for alone, as a run's own board asks: parts are read, and are no columns.
    only = [c for c in select(["CQADupstackRetrieval"]) if c.part_of is None] if alone else None
    found = made.board(only=only)
    row = of(found)["int8"]
    assert found.tasks == ["CQADupstackRetrieval"]
    delta = row.delta["CQADupstackRetrieval"]
    assert delta.delta == pytest.approx(row.tasks["CQADupstackRetrieval"] - found.rows[0].tasks["CQADupstackRetrieval"])
    each = [np.subtract(made.kept[f"int8-{f}"]["ndcg_at_10"], made.kept[f"fp32-{f}"]["ndcg_at_10"]) for f in FORUMS]
    se = np.sqrt(sum(np.var(d, ddof=1) / len(d) for d in each)) / len(FORUMS)
    assert delta.se == pytest.approx(se)
    assert (delta.n, delta.verdict) == (len(FORUMS), "worse")
    assert (found.left_out, set(row.means)) == (0, {"Retrieval", "MTEB-56"})
    assert set(row.tasks) == {"CQADupstackRetrieval", *(() if alone else FORUMS)}
    # A part that is missing, or is not the one that the whole was computed from, costs the interval.
    made.kept["int8-" + FORUMS[3]] = {"id": ["q0"], "ndcg_at_10": [0.5]}
    assert made.board().without_interval == []  # other items: a reason of its own
    assert of(made.board())["int8"].not_comparable == {"CQADupstackRetrieval": "other items"}
    made.scores.remove(parts["int8"][3])
    assert made.board().without_interval == ["CQADupstackRetrieval (int8)"]


@pytest.mark.parametrize("noise", [0.05, 0.0])
def test_a_part_without_an_interval_leaves_the_whole_without(noise: float, made: Made) -> None:
    for name in ("fp32", "int8"):
        values = [made.add(name, forum, n=1 if forum == FORUMS[5] else 30, noise=noise).score for forum in FORUMS]
        made.add(name, "CQADupstackRetrieval", items={"id": list(FORUMS), "value": values}, metric="mean_of_parts")
    found = made.board()
    assert found.without_interval == ["CQADupstackRetrieval (int8)"]
    assert of(found)["int8"].delta["CQADupstackRetrieval"].verdict == "unknown"


def test_a_part_run_again_does_not_count_for_the_old_whole(made: Made) -> None:
    for name in ("fp32", "int8"):
        values = [made.add(name, forum).score for forum in FORUMS]
        made.add(name, "CQADupstackRetrieval", items={"id": list(FORUMS), "value": values}, metric="mean_of_parts")
    made.add("int8", FORUMS[0], shift=0.3, identity="again", created="2027")
    assert made.board().without_interval == ["CQADupstackRetrieval (int8)"]


def test_items_come_from_a_results_folder(made: Made, tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("fp32", "int8"):
        for score in (made.add(name, shift=-0.1 * (name == "int8")),):
            store.write(score, made.kept[score.identity])
    found = board(store.scores(), items=store.items)
    delta = of(found)["int8"].delta["SciFact"]
    assert delta == of(made.board())["int8"].delta["SciFact"]
    [path] = tmp_path.rglob("*.int8*.parquet")
    path.write_bytes(path.read_bytes()[:100])
    found = board(store.scores(), items=store.items)
    assert found.without_interval == ["SciFact (int8)"]


# Costs


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


# Pareto


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
