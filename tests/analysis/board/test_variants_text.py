from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_boards import COSTS, Made

from instructor_eval.analysis.board.formats import format_board
from instructor_eval.analysis.board.rows import Board, Figures, Row
from instructor_eval.analysis.board.variants_text import CSV_COLUMNS, deploy, line_of
from instructor_eval.analysis.statistics.estimates import Difference
from instructor_eval.core.tables import BOARD_FORMATS
from instructor_eval.results.published import published
from instructor_eval.results.store import Store

# In words


PARENT = Row("m", "paper", "measured", "fp32", name="m", figures=Figures(400, 1.0, 1.0, 256))


def child(delta: Difference | None, *, smaller: float | None = None, faster: float | None = None,
          index: int | None = 256, variant: str = "int8", device: str | None = None) -> Row:  # fmt: skip
    figures = Figures(None, smaller, faster, index, device)
    return Row(f"m ({variant})", "paper", "measured", variant, name="m", parent=PARENT, delta_macro=delta,
               figures=figures)  # fmt: skip


LOSS = Difference(-0.003, -0.005, -0.001, 0.001, 12, "normal")
BOUNDED = "Safe (no loss shown, at most 1.0 point could be lost)"
NONE = Difference(-0.001, -0.004, 0.002, 0.0015, 12, "normal")
OPEN = Difference(-0.0212, -0.0437, 0.0002, 0.01, 4, "normal")
GAIN = Difference(0.003, 0.001, 0.005, 0.001, 1, "t")


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (child(LOSS, smaller=2.41, faster=1.6),
         "int8: 2.4x smaller, 1.6x faster here, -0.30 points [-0.50, -0.10] on 12 tasks: a real loss"),
        (child(NONE, smaller=0.5, faster=0.5),
         "int8: 2.0x larger, 2.0x slower here, -0.10 points [-0.40, +0.20] on 12 tasks: no loss shown "
         "(could hide up to 0.40)"),
        (child(GAIN, smaller=1.02, faster=0.99, index=8),
         "int8: the same size, as fast here, 32x smaller index, +0.30 points [+0.10, +0.50] on 1 task: a real gain"),
        (child(Difference(0.0, 0.0, 0.0, 0.0, 2)),
         "int8: 0.00 points [0.00, 0.00] on 2 tasks: no difference in the score or in its interval"),
        (child(Difference(0.002, 0.0, 0.006, 0.002, 1, "bootstrap")),
         "int8: +0.20 points [0.00, +0.60] on 1 task: no loss in the interval"),
        (child(Difference(0.002, 0.0, 0.0, 0.002, 1, "bootstrap")),
         "int8: +0.20 points [0.00, 0.00] on 1 task: no loss in the interval"),
        (child(Difference(-0.0212, -0.0437, 0.0002, 0.01, 4, "normal")),
         "int8: -2.12 points [-4.37, +0.02] on 4 tasks: undecided: could lose up to 4.37"),
        (child(Difference(0.0, -0.02, 0.02, 0.01, 1, "t", weak=True)),
         "int8: 0.00 points [-2.00, +2.00] on 1 task: undecided: could lose up to 2.00 (weak: few items)"),
        (child(Difference(0.0, -0.01, 0.01, 0.005, 4, "normal")),
         "int8: 0.00 points [-1.00, +1.00] on 4 tasks: no loss shown (could hide up to 1.00)"),
        (child(Difference(-0.2, n=3)),
         "int8: -20.00 points on 3 tasks: whether that is a loss cannot be said without an interval"),
        (child(Difference(-0.2, -0.3, -0.1, 0.05, 3, "t", weak=True)),
         "int8: -20.00 points [-30.00, -10.00] on 3 tasks: a real loss (weak: few items)"),
        (child(None, smaller=4), "int8: 4.0x smaller, no task to compare"),
        (child(Difference(-0.00001, -0.00002, -0.000004, 1e-6, 5)),
         "int8: -0.0010 points [-0.0020, -0.00040] on 5 tasks: a real loss"),
    ],
)  # fmt: skip
def test_a_child_in_words(row: Row, line: str) -> None:
    assert line_of(row) == line


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ([child(LOSS, smaller=9, faster=9)],
         ["No variant is safe yet: each shows a loss, or could lose more than 1.0 point. Keep fp32."]),
        ([child(NONE, smaller=4.0, faster=0.5)],
         [f"{BOUNDED}: smallest: int8 (could hide up to 0.40, 12 tasks); fastest: fp32 itself"]),
        ([child(NONE, smaller=4.0, faster=2.0), child(LOSS, smaller=8.0, faster=9.0, variant="int4-weight"),
          child(GAIN, smaller=2.0, faster=3.0, variant="bf16", index=64)],
         [f"{BOUNDED}: smallest: int8 (could hide up to 0.40, 12 tasks); "
          "fastest and smallest index: bf16 (no loss in the interval, 1 task)"]),
        ([child(NONE, smaller=4.0, faster=2.0, device="cpu"),
          child(NONE, smaller=2.0, faster=3.0, variant="fp8", device="cuda")],
         [f"{BOUNDED}: smallest and fastest on cpu: int8 (could hide up to 0.40, 12 tasks); "
          "fastest on cuda: fp8 (could hide up to 0.40, 12 tasks)"]),
        ([child(NONE)], [f"{BOUNDED}: int8"]),
        ([child(OPEN, index=8)],
         ["No variant is safe yet: each loses, or could lose, more than 1.0 point. Keep fp32.",
          "Undecided, could lose more than 1.0 point: int8 (up to 4.37)"]),
        ([child(NONE, smaller=4.0), child(OPEN, smaller=8.0, index=8, variant="int8-weight+binary")],
         [f"{BOUNDED}: smallest: int8 (could hide up to 0.40, 12 tasks)",
          "Undecided, could lose more than 1.0 point: int8-weight+binary (up to 4.37)"]),
        ([child(NONE, smaller=4.0, faster=1.02)],  # as fast, as far as one can tell
         [f"{BOUNDED}: smallest: int8 (could hide up to 0.40, 12 tasks)"]),
        ([child(NONE, smaller=2.0, faster=1.5), child(NONE, smaller=2.0, faster=1.53, variant="int8-dynamic")],
         [f"{BOUNDED}: smallest and fastest: int8 (could hide up to 0.40, 12 tasks)"]),
        ([child(Difference(0.1, n=3), smaller=9)], []),
        ([child(Difference(0.1, 0.05, 0.2, 0.01, 2, "t", weak=True), smaller=9)], []),
        ([child(None, smaller=9)], []),
    ],
)  # fmt: skip
def test_what_to_deploy(rows: list[Row], lines: list[str]) -> None:
    assert deploy(PARENT, rows) == lines


# Formats


@pytest.fixture
def full(made: Made) -> Board:
    shifts = {"fp32": 0.0, "bf16": 0.0, "int8": -0.05}
    for name, cost in COSTS.items():
        for task in ("SciFact", "ArguAna"):
            made.add(name, task, shift=shifts[name], cost=cost | {"baseline": "fp32", "device": "cpu"})
    made.add("fp32", model="other", identity="other", shift=-0.2)
    return made.board(published=published().values())


def test_table(full: Board) -> None:
    text = format_board(full, "table")
    scores, variants, words = text.partition("\n\nScores x 100")[0], text.partition("Variants of")[2], text
    lines = scores.splitlines()
    assert [line.split()[:2] for line in lines[2:6]] == [
        ["1", "[1,"], ["└", "bf16"], ["└", "int8"], ["2", "[2,"],
    ]  # fmt: skip
    rows = [line.split("  ") for line in variants.splitlines()]
    assert variants.startswith(" org/model, instructions paper\n")
    [int8] = [" ".join(row).split() for row in rows if row[0] == "int8"]
    assert int8[4] == "▼"
    assert int8[5:] == ["2", "100", "4.00", "2.00", "256", "*"]
    [bf16] = [" ".join(row).split() for row in rows if row[0] == "bf16"]
    assert bf16[4] == "="
    assert "fp32 (baseline)" in variants
    assert "\n  int8: 4.0x smaller, 2.0x faster here, -" in words
    assert "on 2 tasks: a real loss\n" in words
    assert f"\n  {BOUNDED}: smallest and fastest: bf16 (could hide up to " in words
    assert all(line.isprintable() for line in text.splitlines())


def test_csv_has_further_columns_behind_the_old_ones(full: Board) -> None:
    table = list(csv.DictReader(io.StringIO(format_board(full, "csv"))))
    old = ["rank", "model", "instructions", *full.means, *full.tasks, *CSV_COLUMNS]
    ends = [f"{name}_{end}" for name in ("rank", *full.means, *full.tasks) for end in ("low", "high")]
    assert list(table[0]) == old + ends
    by_model = {r["model"]: r for r in table}
    int8 = by_model["org/model (int8)"]
    assert (int8["rank"], int8["variant"], int8["parent"]) == ("", "int8", "org/model")
    assert float(int8["delta_low"]) < float(int8["delta"]) < float(int8["delta_high"]) < 0
    scores = [float(by_model[m]["SciFact"]) + float(by_model[m]["ArguAna"]) for m in ("org/model (int8)", "org/model")]
    assert float(int8["delta"]) == pytest.approx((scores[0] - scores[1]) / 2, abs=0.02)  # in points, as they are
    names = ("delta_tasks", "file_bytes", "times_smaller", "times_faster", "device", "pareto")
    assert [int8[n] for n in names] == ["2", "100000000", "4.0000", "2.0000", "cpu", "1"]
    assert int8["index_bytes_per_million_texts"] == "256000000"
    assert [by_model["org/model"][n] for n in ("parent", "delta", "times_smaller")] == ["", "", "1.0000"]
    assert all(by_model["hkunlp/instructor-xl"][n] == "" for n in CSV_COLUMNS)


def test_json_has_everything(full: Board) -> None:
    by_model = {r["model"]: r for r in json.loads(format_board(full, "json"))}
    parent, int8 = by_model["org/model"], by_model["org/model (int8)"]
    assert (parent["parent"], parent["children"]) == (None, ["org/model (bf16)", "org/model (int8)"])
    assert (parent["rank"], int8["rank"], int8["borda"], int8["parent"]) == (1, None, None, "org/model")
    assert set(int8["deltas"]) == {"SciFact", "ArguAna"}
    delta = int8["deltas"]["SciFact"]
    assert delta["delta"] == pytest.approx(int8["tasks"]["SciFact"] - parent["tasks"]["SciFact"], abs=1e-12)
    assert set(delta) == {"delta", "low", "high", "se", "n", "method", "weak", "verdict", "lower", "upper", "df"}
    assert (int8["delta"]["n"], int8["delta"]["verdict"], int8["delta"]["method"]) == (2, "worse", "welch")
    assert (int8["cost"]["speed_ratio"], int8["times_smaller"], int8["pareto"]) == (2.0, 4.0, True)
    assert by_model["other"]["children"] == []
    assert by_model["hkunlp/instructor-xl"]["delta"] is None


@pytest.mark.parametrize("form", ["md", "latex"])
def test_documents_have_a_second_table_of_all_variants(form: str, full: Board) -> None:
    scores, *others = format_board(full, form).split("\n\n")
    [variants] = [part for part in others if "fp32 (baseline)" in part]
    for name in ("org/model (bf16)", "org/model (int8)"):
        assert name in scores
        assert name in variants
    assert ("▼" in variants, "worse" in variants) == ((True, False) if form == "md" else (False, True))
    mark = "|" if form == "md" else "&"
    body = [line for line in variants.splitlines() if mark in line]
    assert len({line.count(mark) for line in body}) == 1
    assert len(body) == (5 if form == "md" else 4)
    assert "other" not in variants
    assert all(line.isprintable() for line in variants.splitlines())
    if form == "latex":
        assert variants.isascii()


@pytest.mark.parametrize("form", BOARD_FORMATS)
def test_names_from_strangers_break_no_format(form: str, made: Made) -> None:
    for name in ("fp32", "a|b\x1b[31m <i>\n&"):
        made.add(name, model="x|<b>\x1b[31m", instructions="p\nq", cost={"device": "\x1b[31m", "file_bytes": 5})
    text = format_board(made.board(), form)
    if form == "csv":
        table = list(csv.DictReader(io.StringIO(text, newline="")))
        assert [r["variant"] for r in table] == ["fp32", "a|b\ufffd[31m <i>\ufffd&"]
    elif form == "json":
        assert len(json.loads(text)) == 2
    else:
        assert all(line.isprintable() for line in text.splitlines())
    if form == "md":
        assert "<" not in text
        for table in text.split("\n\n"):
            assert len({line.replace("\\|", "").count("|") for line in table.splitlines()}) == 1


# What reading costs


def test_what_a_look_at_the_board_loads(made: Made, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom instructor_eval.cli.main import main\nmain(['leaderboard', '--results', *sys.argv[1:]])\n"
        "heavy = ('scipy.stats', 'pyarrow', 'torch', 'mteb')\n"
        "print(sorted(m for m in sys.modules if m in heavy), file=sys.stderr)"
    )
    for name in ("fp32", "int8"):
        score = made.add(name)
        Store(tmp_path).write(score, made.stored[score.identity])
    found = []
    for flags in (["--no-intervals"], [], []):
        command = [sys.executable, "-c", program, tmp_path, *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append((done.stderr.strip(), done.stdout))
    # What was computed once is not computed again.
    assert [heavy for heavy, _ in found] == ["[]", "['pyarrow']", "[]"]
    assert found[1][1] == found[2][1] != found[0][1]
    assert "└ int8" in found[1][1]
    assert "Δ points" in found[1][1]
