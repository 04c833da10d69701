from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.core.errors import ModelOutputError, UserError, did_you_mean, fitted, one_line


@given(st.text())
def test_a_user_error_is_one_printable_line(text: str) -> None:
    shown = str(UserError(text))
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    assert one_line(shown) == shown


def test_line_breaks_become_spaces_and_escapes_are_removed() -> None:
    assert one_line("a\n\tb  c\r\nd") == "a b c d"
    assert one_line("\x1b[31mred\x1b[0m") == "\ufffd[31mred\ufffd[0m"


def test_model_errors_are_user_errors() -> None:
    assert issubclass(ModelOutputError, UserError)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ArguAn", ": did you mean ArguAna?"),
        ("arguana", ": did you mean ArguAna?"),
        ("scifct", ": did you mean SciFact?"),
        ("STS-12", ": did you mean STS12 or STS13?"),
        ("zzzzzz", ""),
        ("", ""),
    ],
)
def test_did_you_mean(name: str, hint: str) -> None:
    assert did_you_mean(name, ["ArguAna", "SciFact", "STS12", "STS13"]) == hint


@given(st.text())
def test_a_user_error_is_never_long(text: str) -> None:
    assert len(str(UserError(text * 300))) <= 480


def test_a_long_error_keeps_its_beginning_and_its_next_step() -> None:
    shown = str(UserError(f"'{'a' * 4000}' is no model, nor is {'b' * 300}: give another"))
    assert shown.startswith("'aaaa")
    assert "' is no model, nor is b" in shown
    assert shown.endswith("b: give another")
    assert 470 <= len(shown) <= 480
    words = fitted("first " + "many words " * 100 + "last", 50)
    assert len(words) == 50
    assert words.startswith("first many")
    assert words.endswith("words last")
