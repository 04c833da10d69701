from __future__ import annotations

import json
import re

import pytest

from instructor_eval.core.escapes import csv_cell, json_text, markdown

MARKUP = {
    "![x](https://e.vil/a.png)": r"!\[x\](https\://e.vil/a.png)",
    "[a](b) [c][d] [^1]": r"\[a\](b) \[c\]\[d\] \[^1\]",
    "https://e.vil www.e.vil mailto:a@b.c": "https\\://e.vil www\\.e.vil mailto\\:a@\u2060b.c",
    "<img src=x> &amp; <a@b.c>": "&lt;img src=x&gt; &amp;amp; &lt;a@\u2060b.c&gt;",
    "@you and (@you) but m@int8": "@\u2060you and (@\u2060you) but m@int8",
    "#12 o/r#12 GH-12": "\\#\u206012 o/r\\#\u206012 GH-\u206012",
    "`a` *b* _c_ a_b ~~d~~ $e$ f|g": r"\`a\` \*b\* \_c\_ a_b \~\~d\~\~ \$e\$ f\|g",
    "\\": r"\\",
    "a\nb\x1b[31m\u202e": "a b\ufffd\\[31m\ufffd",
    "64.51 ±4.1": "64.51 ±4.1",
    "1 [1, 2]": "1 [1, 2]",
    "▼ -0.31 [-0.52, -0.10]": "▼ -0.31 [-0.52, -0.10]",
    "-0.31 [-0.52, -0.10] ▼": "-0.31 [-0.52, -0.10] ▼",
    "org/model (int8)": "org/model (int8)",
}


@pytest.mark.parametrize("text", MARKUP)
def test_markdown_shows_what_is_there(text: str) -> None:
    assert markdown(text) == MARKUP[text]


FORMULAS = ["=1+1", "+cmd", "-2+3", "@SUM(1)", "\t=1", "\r=1", "=HYPERLINK(1)", "+", "-", "-1-1", "+1e"]
NUMBERS = ["-0.12", "+0.5", "-1", "-1e-7", "-1,234.5", "12", "0.5%", "-.5"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_formula_gets_into_csv(text: str) -> None:
    assert csv_cell(text)[0] == "'"


@pytest.mark.parametrize("value", [*NUMBERS, -0.12, 3, "name", "a=b", "a - b", "▼ 1"])
def test_numbers_and_names_stay(value: object) -> None:
    assert csv_cell(value) == value


def test_csv_has_no_control_characters() -> None:
    assert csv_cell("a\x1b[31m\x9bb\u202e\n") == "a\ufffd[31m\ufffdb\ufffd\ufffd"
    assert csv_cell(None) == ""


def test_json_has_no_raw_control_characters_and_the_same_values() -> None:
    value = {"a\x1b\x7f\x9b": ["\u202e\u200b\ud800", "日本 ±", "😀\U000e0001"], "b": [1.5, None, True, -3]}
    text = json_text(value)
    assert json.loads(text) == value
    assert not re.search(r"[^\x20-\x7e\n日本±😀]", text)
    assert json_text({"x": [float("nan"), float("inf"), (1, float("-inf"))]}) == json_text(
        {"x": [None, None, [1, None]]}
    )
