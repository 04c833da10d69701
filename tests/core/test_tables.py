from __future__ import annotations

import csv
import io
import json
import re

import pytest

from instructor_eval.core import tables
from instructor_eval.core.errors import printable
from instructor_eval.core.tables import BOARD_FORMATS, LISTING_FORMATS, blocks, listing, render

NASTY = [
    "<script>alert(1)</script>",
    "a|b",
    "a\\|b",
    "line\nbreak",
    "\x1b[31mred",
    'quo"te, comma',
    "50 % & $x_1",
    "日本",
]


def cells(line: str) -> list[str]:
    """The cells of one row of a GitHub table: a bar behind an odd number of backslashes splits nothing."""
    return [c.strip() for c in re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]]


def test_json_holds_values_untouched_and_csv_all_text() -> None:
    rows = [[name, 1.25, None] for name in NASTY]
    assert json.loads(render(["name", "x", "y"], rows, "json")) == [{"name": n, "x": 1.25, "y": None} for n in NASTY]
    parsed = list(csv.reader(io.StringIO(render(["name", "x", "y"], rows, "csv"))))
    assert parsed == [["name", "x", "y"], *([printable(n), "1.25", ""] for n in NASTY)]


def test_markdown_rows_have_equal_columns_and_names_no_markup() -> None:
    lines = render(["a|b", "x"], [[name, 1] for name in NASTY], "md", left=1).splitlines()
    assert len(lines) == 2 + len(NASTY)
    assert {len(cells(line)) for line in lines} == {2}
    assert "<" not in "".join(lines)
    assert "&lt;script&gt;" in lines[2]
    assert cells(lines[4])[0] == r"a\\\|b"


def test_latex_escapes_what_is_special() -> None:
    text = render(["name_1", "x"], [["50 % & $x_1 #~^ {\\}", 1]], "latex")
    row = text.splitlines()[4]
    assert row.startswith(r"50 \% \& \$x\_1 \#\textasciitilde{}\textasciicircum{} \{\textbackslash{}\}")
    assert r"name\_1" in text
    assert row.count("&") - row.count(r"\&") == 1


@pytest.mark.parametrize("form", ["table", "md", "latex"])
def test_control_characters_never_reach_the_terminal(form: str) -> None:
    text = render(["a\x1b[0m", "b"], [[name, "x\x07"] for name in NASTY], form)
    assert all(line.isprintable() for line in text.splitlines())
    assert {"md": "line break", "latex": "line?break", "table": "line\ufffdbreak"}[form] in text


@pytest.mark.parametrize("form", sorted({*BOARD_FORMATS, *LISTING_FORMATS}))
def test_no_rows(form: str) -> None:
    text = render(["a", "b"], [], form, left=2)
    if form == "json":
        assert json.loads(text) == []
    else:
        assert "a" in text
        assert "b" in text


def test_numbers_are_shown_as_given() -> None:
    assert "1.50" in render(["a", "b"], [["x", "1.50"]], "table")
    assert "007" in render(["a"], [["007"]], "table")


def test_rows_of_another_length_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        render(["a", "b"], [["x"]], "json")


@pytest.mark.parametrize("width", [40, 80, 120, 1000])
def test_blocks_fit_the_width_and_repeat_the_left_columns(width: int) -> None:
    headers = ["rank", "model", *(f"Task{i}" for i in range(30))]
    rows = [[r, f"model-{r}", *(f"{r}{i}.25" for i in range(30))] for r in (1, 2)]
    text = blocks(headers, rows, left=2, width=width)
    assert all(len(line) <= width for line in text.splitlines())
    shown = [block.splitlines() for block in text.split("\n\n")]
    assert [h for lines in shown for h in lines[0].split()[2:]] == headers[2:]
    for r in (1, 2):
        assert all(lines[1 + r].split()[:2] == [str(r), f"model-{r}"] for lines in shown)
        assert [v for lines in shown for v in lines[1 + r].split()[2:]] == rows[r - 1][2:]
    assert (len(shown) == 1) == (width == 1000)


def test_blocks_narrower_than_one_column_still_show_each_once() -> None:
    text = blocks(["model", "A", "B"], [["a-rather-long-name", "1", "2"]], left=1, width=5)
    assert [block.splitlines()[0].split() for block in text.split("\n\n")] == [["model", "A"], ["model", "B"]]


def test_blocks_without_right_columns() -> None:
    assert blocks(["rank", "model"], [[1, "m"]], left=2, width=80).split()[:2] == ["rank", "model"]


@pytest.mark.parametrize(("width", "left_out"), [(200, ""), (60, "empty, rare"), (45, "empty, rare, rarer")])
def test_a_listing_loses_columns_where_a_terminal_is_narrow(
    width: int, left_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = ["name", "empty", "kind", "rarer", "rare"]
    rows = [["a" * 20, None, "k" * 10, "b" * 12, "c" * 15], ["d", "", "e", "f", "g"]]
    whole = listing(headers, rows, "table", left=5, rare=("rare", "rarer"))
    assert whole == render(headers, rows, "table", left=5)  # in a file or a pipe all of it
    monkeypatch.setattr(tables, "is_terminal", lambda: True)
    monkeypatch.setattr(tables, "columns", lambda: width)
    text, _, said = listing(headers, rows, "table", left=5, rare=("rare", "rarer")).partition("\n\n")
    assert max(map(len, text.splitlines())) <= width
    assert said == (f"left out for the terminal's width: {left_out} (--format json has all)" if left_out else "")
    assert json.loads(listing(headers, rows, "json", left=5, rare=("rare",)))[0]["rare"] == "c" * 15


def test_a_listing_breaks_its_widest_cells_where_nothing_more_can_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "is_terminal", lambda: True)
    monkeypatch.setattr(tables, "columns", lambda: 50)
    text = listing(["form", "what"], [["int8", "word " * 30]], "table", left=2)
    assert max(map(len, text.splitlines())) <= 50
    assert text.count("word") == 30
