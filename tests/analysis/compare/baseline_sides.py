"""Sides to be set as baselines, and what is looked at of their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from instructor_eval.analysis.compare.side import Side
from instructor_eval.core.errors import UserError
from instructor_eval.results.score import Score

MakeScore = Callable[..., Score]
MakeSide = Callable[..., Side]


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def error(action: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)
