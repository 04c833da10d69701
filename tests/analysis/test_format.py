"""How scores, differences and p-values are written."""

from __future__ import annotations

import json
import math

import pytest

from instructor_eval.analysis.format import as_json, interval_text, mark, p_cell, plural, score_text, some
from instructor_eval.analysis.statistics.estimates import Difference


@pytest.mark.parametrize(
    ("difference", "text", "sign", "word"),
    [
        (Difference(-0.0031, -0.0052, -0.001), "-0.31 [-0.52, -0.10]", "▼", "worse"),
        (Difference(0.012, 0.001, 0.023, weak=True), "+1.20 [+0.10, +2.30]", "▲ (weak)", "better (weak)"),
        (Difference(0.0, -0.01, 0.01), "+0.00 [-1.00, +1.00]", "=", "="),
        (Difference(0.5), "+50.00", "?", "?"),
    ],
)
def test_a_difference(difference: Difference, text: str, sign: str, word: str) -> None:
    assert interval_text(difference) == text
    assert (mark(difference, "table"), mark(difference, "latex")) == (sign, word)


def test_json_has_no_infinity() -> None:
    assert as_json(None) is None
    found = as_json(Difference(0.1, 0.0, 0.2, df=math.inf))
    assert found is not None
    assert (found["df"], found["verdict"]) == (None, "same")
    assert json.dumps(found, allow_nan=False)


def test_scores_p_values_and_names() -> None:
    assert (score_text(0.63254), score_text(None)) == ("63.25", None)
    assert (p_cell(0.00099), p_cell(0.0123)) == ("<0.001", "0.012")
    assert (some(["a", "b", "c"]), some(["a", "b", "c", "d"]), some([])) == ("a, b, c", "a, b, c and 1 more", "")


@pytest.mark.parametrize(
    ("unit", "n", "text"),
    [("query", 1, "query"), ("query", 2, "queries"), ("test item", 3, "test items"), ("", 2, "items")],
)
def test_plurals(unit: str, n: int, text: str) -> None:
    assert plural(unit, n) == text
