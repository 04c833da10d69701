"""The board in each of its formats, with names that would break them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest
from made_boards import board

from instructor_eval.analysis.board.formats import format_board
from instructor_eval.analysis.board.rows import Board
from instructor_eval.core.errors import printable
from instructor_eval.core.tables import BOARD_FORMATS
from instructor_eval.results.published import published
from instructor_eval.results.score import Score

MakeScore = Callable[..., Score]


# Formats

NASTY = ["<script>alert(1)</script>", "a|b", "a\nb\x1b[31m", "100 % & $x_1", '"quoted", with comma', "日本/モデル"]


@pytest.fixture
def nasty(make_score: MakeScore) -> Board:
    scores = [make_score("STS12", 0.1 * i, model=m, instructions=m) for i, m in enumerate(NASTY, 1)]
    scores += [make_score("mine|own <b>", None, model=NASTY[0], instructions=NASTY[0], benchmark="x|y")]
    return board(scores, published().values())


def test_json(nasty: Board) -> None:
    found = json.loads(format_board(nasty, "json"))
    assert {r["model"] for r in found if r["source"] == "measured"} == set(NASTY)
    by_model = {r["model"]: r for r in found}
    first = by_model["<script>alert(1)</script>"]
    assert first["tasks"] == {"STS12": 0.1, "mine|own <b>": None}
    assert first["failed"] == ["mine|own <b>"]
    assert (first["rank"], first["variant"], first["fingerprint"]) == (6, "fp32", "f" * 16)
    assert first["means"]["STS"] == {"value": 0.1, "n": 1, "of": 10}
    assert by_model["hkunlp/instructor-xl"]["rank"] is None
    assert by_model["hkunlp/instructor-xl"]["source"] == "published"


def test_csv(nasty: Board) -> None:
    table = list(csv.DictReader(io.StringIO(format_board(nasty, "csv"), newline="")))
    assert len(table) == len(NASTY) + 12
    assert {r["model"] for r in table[: len(NASTY)]} == set(map(printable, NASTY))
    assert all(None not in r and None not in r.values() for r in table)
    assert [r["rank"] for r in table] == ["1", "2", "3", "4", "5", "6"] + [""] * 12
    assert table[5]["mine|own <b>"] == "failed"


def test_markdown(nasty: Board) -> None:
    lines, caption, notes = (part.splitlines() for part in format_board(nasty, "md").split("\n\n"))
    assert len(lines) == 2 + len(NASTY) + 12
    assert (len(caption), len(notes)) == (1, 1)
    columns = {line.replace("\\|", "").count("|") for line in lines}
    assert len(columns) == 1
    assert "<" not in "".join(lines)
    assert all(line.isprintable() for line in lines)


def test_latex(nasty: Board) -> None:
    text = format_board(nasty, "latex")
    body = [line for line in text.splitlines() if line.endswith("\\\\")]
    assert len({line.count("&") - line.count(r"\&") for line in body}) == 1
    assert len(body) == 1 + len(NASTY) + 12
    assert r"100 \% \& \$x\_1" in text
    assert "<script>" not in text
    assert "\x1b" not in text


def test_table(nasty: Board) -> None:
    text = format_board(nasty, "table")
    assert all(line.isprintable() for line in text.splitlines())
    assert "failed" in text
    assert "Borda count over the task columns, measured rows only." in text


@pytest.mark.parametrize("form", BOARD_FORMATS)
def test_nothing_to_show(form: str) -> None:
    text = format_board(board([]), form)
    if form == "json":
        assert json.loads(text) == []
    elif form == "csv":
        assert list(csv.reader(io.StringIO(text))) == [["rank", "model", "instructions"]]
    else:
        assert text.startswith("no results yet: run `evaluate demo`")


def test_an_own_task_names_its_benchmark(make_score: MakeScore) -> None:
    given = {"Mine": (0.5, "own"), "Theirs": (0.7, "acme"), "Posing": (0.9, "mteb")}
    [row] = board([make_score(task, value, benchmark=b) for task, (value, b) in given.items()]).rows
    assert {name: mean.value for name, mean in row.means.items()} == {"own": pytest.approx(0.7), "acme": 0.7}
