"""Markdown and LaTeX as a paper has them: the best in bold, a caption, notes, chosen columns and digits."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from parsed_latex import LatexError, parse
from test_intervals import TASKS, Made

from instructor_eval.analysis.board.best import best_of
from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.analysis.board.formats import format_board
from instructor_eval.analysis.board.paper import Paper
from instructor_eval.core.errors import UserError
from instructor_eval.core.escapes import latex
from instructor_eval.core.tables import render
from instructor_eval.results.published import published

NASTY = [
    "50 % & $x_1$ #~^ {\\}", "a<b>|c", "[x] at the start", "*starred", "--limit", "?`no", "line\nbreak", "\x1b[31mred",
    "\\input{/etc/passwd}", "% a remark", "\\\\[1cm]", "{", "}", "$", "日本", "-1", "under_score", 'quo"te', "a\u202eb",
]  # fmt: skip


@pytest.fixture
def made(make_score: Any) -> Made:
    """Three models in three tasks: `top` and `near` differ by noise, `low` is far below."""
    made = Made(make_score)
    for task in TASKS:
        top = made.add("top", task)
        turns = [v + 0.02 * (-1) ** i - 0.001 for i, v in enumerate(made.items(top)["ndcg_at_10"])]
        made.add("near", task, items=made.items(top) | {"ndcg_at_10": turns})
        made.add("low", task, shift=-0.2)
    return made


def bold(text: str) -> dict[str, list[str]]:
    """Model -> what is bold in its row of the first table, LaTeX or Markdown."""
    if text.startswith("\\begin"):
        rows = parse(text).tables[0][1:]
        return {row[1]: re.findall(r"\*(.+?)\*", " ".join(row)) for row in rows}
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.split("\n\n")[0].splitlines()[2:]]
    return {row[1]: re.findall(r"\*\*(.+?)\*\*", " ".join(row)) for row in lines}


@pytest.mark.parametrize("form", ["md", "latex"])
def test_the_best_is_bold_and_what_noise_hides_from_it(form: str, made: Made) -> None:
    board = made.board()
    assert board.tasks
    by_model = {row.model: row for row in board.rows}
    text = format_board(board, form, evidence=Evidence(made.items))
    found = bold(text)
    for model in ("top", "near"):
        row = by_model[model]
        values = [*(row.means[name].value for name in ("Retrieval", "MTEB-56")), *map(row.tasks.get, board.tasks)]
        assert found[model] == [f"{100 * value:.2f}" for value in values]
    assert found["low"] == []
    assert "what the paired 95 % interval does not tell from it" in text.replace("\\%", "%")


@pytest.mark.parametrize("form", ["md", "latex"])
def test_without_items_the_value_alone_counts(form: str, made: Made) -> None:
    board = made.board(items=None)
    text = format_board(board, form)
    for place, task in enumerate(board.tasks, 1):
        best = max(board.rows, key=lambda row, task=task: row.tasks[task])
        assert bold(text)[best.model].count(f"{100 * best.tasks[task]:.2f}") >= 1, place
    assert sum(map(len, bold(text).values())) == 2 + len(TASKS)  # the means of Retrieval and of MTEB
    assert "Bold: the best of a column." in text


def test_scores_that_are_shown_alike_are_bold_alike(make_score: Any) -> None:
    made = Made(make_score)
    for model, value in (("a", 0.50001), ("b", 0.50002), ("c", 0.4)):
        made.add(model, items={"id": ["q"], "ndcg_at_10": [value]}, n=1)
    text = format_board(made.board(items=None), "md")
    assert {model: len(found) for model, found in bold(text).items()} == {"a": 3, "b": 3, "c": 0}
    finer = format_board(made.board(items=None), "md", paper=Paper(precision=4))
    assert {model: found for model, found in bold(finer).items()} == {"a": [], "b": ["50.0020"] * 3, "c": []}


def test_what_is_neither_good_nor_bad_is_not_bold(made: Made) -> None:
    assert "textbf" not in format_board(made.board(), "latex", paper=Paper(bold=False))


def test_one_row_alone_is_not_the_best(make_score: Any) -> None:
    made = Made(make_score)
    made.add("a")
    text = format_board(made.board(), "latex")
    assert "textbf" not in text
    assert "Bold" not in text


def test_where_lower_is_better_the_lowest_is_bold(made: Made) -> None:
    board = dataclasses.replace(made.board(), lower=True)
    found = best_of(board, Evidence(made.items))
    for task in TASKS:
        assert [row.model for row in found.tasks[task]] == ["low"]
    assert [row.model for row in found.means["Retrieval"]] == ["low"]


def test_a_published_best_is_bold_and_noise_is_not_asked(made: Made) -> None:
    board = made.board(published=published().values())
    others = [row for row in board.rows if row.source == "published" and "SciFact" in row.tasks]
    assert others
    found = best_of(board, Evidence(made.items)).tasks["SciFact"]
    best = max((row for row in board.rows if "SciFact" in row.tasks), key=lambda row: row.tasks["SciFact"])
    assert found[0] is best
    assert best.source == "published"
    assert all(row.tasks["SciFact"] == best.tasks["SciFact"] for row in found)


def test_means_of_other_tasks_are_not_compared(make_score: Any) -> None:
    made = Made(make_score)
    for task in TASKS:
        made.add("whole", task)
    made.add("part", "SciFact", shift=0.3)
    found = best_of(made.board(), Evidence(made.items))
    assert "Retrieval" not in found.means
    assert [row.model for row in found.tasks["SciFact"]] == ["part"]


def test_latex_is_what_booktabs_takes(made: Made) -> None:
    parsed = parse(format_board(made.board(), "latex", evidence=Evidence(made.items)))
    assert parsed.captions == ["Scores x 100 in 3 tasks."]
    assert parsed.labels == ["tab:scores"]
    [table] = parsed.tables
    assert table[0] == ["rank", "model", "instructions", "Retrieval", "MTEB-56", *made.board().tasks]
    assert re.fullmatch(r"\*\d\d\.\d\d\* ±\d\.\d", table[1][-1])
    [notes] = parsed.notes
    assert "±: half of the 95 % interval" in notes
    assert "rank: Borda count over the task columns" in notes


def test_columns_and_digits(made: Made) -> None:
    paper = Paper(("SciFact", "model", "Retrieval"), 1)
    parsed = parse(format_board(made.board(), "latex", paper=paper, evidence=Evidence(made.items)))
    [table] = parsed.tables
    assert table[0] == ["SciFact", "model", "Retrieval"]
    assert re.fullmatch(r"\*\d\d\.\d\* ±\d\.\d", table[1][0])
    assert "rank" not in parsed.notes[0]
    assert parsed.captions == ["Scores x 100 in 1 task."]
    lines = format_board(made.board(), "md", paper=Paper(("rank", "SciFact"), 0)).splitlines()
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == ["model", "rank", "SciFact"]
    assert re.search(r"\| +\*\*\d\d\*\* ±\d \|$", lines[2])
    assert "Borda count over 3 tasks" in lines[-1]
    three = format_board(made.board(), "md", paper=Paper(("SciFact",), 3)).splitlines()[2]
    assert re.search(r"\d\d\.\d{3}(\*\*)? ±\d\.\d\d \|$", three)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (("SciFcat",), "--columns SciFcat: there is no such column: did you mean SciFact?"),
        (("STS12",), "--columns STS12: there is no such column: this board has rank, model, instructions, "),
        (("SciFact", "SciFact"), "--columns SciFact: it is named twice"),
    ],
)
def test_columns_that_are_not_there(columns: tuple[str, ...], said: str, made: Made) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        format_board(made.board(), "md", paper=Paper(columns))


@pytest.mark.parametrize("name", NASTY)
def test_no_name_is_latex(name: str, make_score: Any) -> None:
    made = Made(make_score)
    made.add(name, instructions=name)
    made.add("other", shift=-0.3, fingerprint="o")
    parsed = parse(format_board(made.board(), "latex", paper=Paper(("model", "instructions", "SciFact"))))
    [table] = parsed.tables
    shown = " ".join("".join(c if c.isprintable() else "?" for c in name).split())
    assert " ".join(table[1][0].split()) == shown
    assert "other" in table[2][0]


@pytest.mark.parametrize("name", NASTY)
def test_the_reader_of_latex_is_strict(name: str) -> None:
    """Raw, most of these names would not compile; each that says nothing to LaTeX is read as it is."""
    raw = render(["a"], [["x"]], "latex").replace("x", name)
    special = any(c in name for c in "\\%&$#_~^{}<>|\x1b\u202e") or name.startswith("*")
    if special or name.startswith("["):
        with pytest.raises(LatexError):
            parse(raw.replace("\\midrule\n", ""))
    else:
        parse(raw)


def test_a_minus_is_no_hyphen() -> None:
    assert latex("-0.31 [-0.52, +0.10]") == "$-$0.31 [$-$0.52, +0.10]"
    assert latex("all-MiniLM-L6-v2") == "all-MiniLM-L6-v2"
