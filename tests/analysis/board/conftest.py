"""Fixtures for the tests of the board."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from made_boards import Made

from instructor_eval.results.score import Score


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables wrap at the terminal's width, whichever the tests run in."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def made(make_score: Callable[..., Score]) -> Made:
    """To make scores of variants with."""
    return Made(make_score)
