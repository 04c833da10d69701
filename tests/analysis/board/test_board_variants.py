from __future__ import annotations

from pathlib import Path

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
    items = made.stored.pop(key)
    broken = {
        "no id": {"ndcg_at_10": items["ndcg_at_10"]},
        "no column": {"id": items["id"]},
        "text": items | {"ndcg_at_10": ["x"] * 80},
        "others": items | {"ndcg_at_10": [0.1] * 80},  # whole, but not what the score was computed from
    }
    if damage != "missing":
        made.stored[key] = broken[damage]
    found = made.board()
    row = of(found)["int8"]
    assert row.delta["SciFact"].verdict == "unknown"
    assert row.delta["SciFact"].delta == row.scores["SciFact"].score - of(found)["fp32"].scores["SciFact"].score
    assert row.delta["ArguAna"].low is not None
    # The mean and its interval are of the same tasks: of the one that has an interval.
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
    each = [np.subtract(made.stored[f"int8-{f}"]["ndcg_at_10"], made.stored[f"fp32-{f}"]["ndcg_at_10"]) for f in FORUMS]
    se = np.sqrt(sum(np.var(d, ddof=1) / len(d) for d in each)) / len(FORUMS)
    assert delta.se == pytest.approx(se)
    assert (delta.n, delta.verdict) == (len(FORUMS), "worse")
    assert (found.left_out, set(row.means)) == (0, {"Retrieval", "MTEB-56"})
    assert set(row.tasks) == {"CQADupstackRetrieval", *(() if alone else FORUMS)}
    # A part that is missing, or is not the one that the whole was computed from, costs the interval.
    made.stored["int8-" + FORUMS[3]] = {"id": ["q0"], "ndcg_at_10": [0.5]}
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
            store.write(score, made.stored[score.identity])
    found = board(store.scores(), items=store.items)
    delta = of(found)["int8"].delta["SciFact"]
    assert delta == of(made.board())["int8"].delta["SciFact"]
    [path] = tmp_path.rglob("*.int8*.parquet")
    path.write_bytes(path.read_bytes()[:100])
    found = board(store.scores(), items=store.items)
    assert found.without_interval == ["SciFact (int8)"]
