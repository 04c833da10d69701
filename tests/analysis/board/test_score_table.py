"""The score table in a terminal's width: which names, columns and rows it shows, and where."""

from __future__ import annotations

import dataclasses
import re

import pytest

from instructor_eval.analysis.board.formats import format_board
from instructor_eval.analysis.board.rows import Board, Row
from instructor_eval.analysis.board.score_table import lay_out, short_names

HEADERS = ["rank", "model", "instructions", "mean", "TaskOne", "TaskTwo", "TaskThree"]
OURS = [
    [1, "good", "none", "70.00 ±1.0", "80.00 ±2.0", "70.00 ±3.0", "60.00 ±4.0"],
    [2, "└ int8", "none", "69.00 ±1.0", "79.00 ±2.0", "69.00 ±3.0", "59.00 ±4.0"],
]
THEIRS = [[None, f"of-others-{n}", "published", None, "50.00", None, None] for n in range(8)]


def row(model: str, **values: object) -> Row:
    return Row(model=model, instructions="none", source="measured", **values)  # type: ignore[arg-type] # any field of a row


def blocks_of(text: str) -> list[list[str]]:
    """Each block's first words of its lines, without the line below the heads."""
    return [
        [re.split(r" {2,}", line.strip())[0] for line in block.splitlines() if not line.startswith("-")]
        for block in text.split("\n\n")
    ]


def test_names_lose_the_organisation_where_they_stay_distinct() -> None:
    first, twin, other = row("a/model", name="a/model"), row("b/model", name="b/model"), row("a/other", name="a/other")
    folder, marked = row("./a/b", name="./a/b"), row("a/other (int8) #12ab", name="a/other")
    child = dataclasses.replace(row("a/other@int8", name="a/other", variant="int8"), parent=other)
    found = short_names([first, twin, other, folder, marked, child, row("Contriever (110M)")])
    assert list(found.values()) == [
        "a/model", "b/model", "other", "./a/b", "other (int8) #12ab", "└ int8@int8", "Contriever (110M)",
    ]  # fmt: skip


def test_a_column_that_says_one_thing_is_a_sentence() -> None:
    text, said = lay_out(HEADERS, OURS, families=[0, 0], width=120)
    assert text.split()[:3] == ["rank", "model", "mean"]
    assert said == ["Instructions of every row: none."]
    text, said = lay_out(HEADERS, [*OURS, *THEIRS], families=[0, 0, *range(2, 10)], width=200)
    assert text.split()[:3] == ["rank", "model", "instructions"]
    assert said == []


def test_one_row_has_no_rank() -> None:
    text, _ = lay_out(HEADERS, [OURS[0], *THEIRS], families=range(9), width=200)
    assert text.split()[:2] == ["model", "instructions"]
    board = Board(rows=[row("a/model", tasks={"STS12": 0.5})], tasks=["STS12"], means=[])
    assert format_board(board, "table") == (
        "model      STS12\n-------  -------\nmodel      50.00\n\nScores x 100. Instructions of every row: none."
    )


def test_a_column_without_a_score_is_a_sentence() -> None:
    text, said = lay_out(HEADERS, [[*r[:5], None, r[6]] for r in OURS], families=[0, 0], width=120)
    assert "TaskTwo" not in text
    assert said[0] == "Without a score: TaskTwo."


def test_few_rows_stand_beside_each_other_where_their_tasks_do_not_fit() -> None:
    text, said = lay_out(HEADERS, OURS, families=[0, 0], width=60)
    assert blocks_of(text) == [["good", "rank", "mean", "TaskOne", "TaskTwo", "TaskThree"]]
    assert re.split(r" {2,}", text.splitlines()[-1]) == ["TaskThree", "60.00 ±4.0", "59.00 ±4.0"]
    assert said == ["Instructions of every row: none."]


@pytest.mark.parametrize("width", [60, 80])
def test_blocks_leave_out_rows_without_a_value(width: int) -> None:
    text, _ = lay_out(HEADERS, [*OURS, *THEIRS], families=[0, 0, *range(2, 10)], width=width)
    assert max(map(len, text.splitlines())) <= width
    found = text.split("\n\n")
    assert len(found) > 1
    for block in found:
        assert ("of-others-3" in block) == ("TaskOne" in block)
        assert "good" in block
        assert "└ int8" in block


def test_a_row_stands_above_its_variants_in_every_block() -> None:
    parent, child = [*OURS[0][:4], "80.00", None, None], [*OURS[1][:4], None, "69.00", "59.00"]
    text, _ = lay_out(HEADERS, [parent, child, *THEIRS], families=[0, 0, *range(2, 10)], width=60)
    assert all(block[1:3] == ["1", "2"] for block in blocks_of(text))
