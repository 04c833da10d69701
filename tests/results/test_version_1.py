"""Files of schema version 1 stay readable: a results folder and a baseline that version 0.1.0 wrote.

`data_v1/expected/` is what that version itself printed of them.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import instructor_eval as ie

Run = Callable[..., Any]
FOLDER = Path(__file__).parent / "data_v1"
EXPECTED = FOLDER / "expected"
CHILD, PARENT = "minilm@int8:none", "minilm@fp32:none"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A copy, as reading commands write statistics beside it."""
    folder = tmp_path / "results"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("expected"))
    return folder


def expected(name: str) -> Any:
    return json.loads((EXPECTED / name).read_text(encoding="utf-8"))


def same(found: Any, wanted: Any) -> bool:
    """Return whether two values of JSON are equal, floats to the last digits that another machine may give."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    if isinstance(wanted, float):
        return bool(found == pytest.approx(wanted, rel=1e-9, abs=1e-12))
    return bool(found == wanted)


def test_the_leaderboard_is_what_it_was(results: Path, cli: Run) -> None:
    assert same(json.loads(cli("leaderboard", "--format", "json").out), expected("leaderboard.json"))


def test_a_comparison_is_what_it_was(results: Path, cli: Run) -> None:
    assert same(json.loads(cli("compare", PARENT, CHILD, "--format", "json").out), expected("compare.json"))


def test_a_validation_is_what_it_was(results: Path, cli: Run) -> None:
    done = cli("validate", "--results", "results")
    assert [line.split() for line in done.out.splitlines()] == [
        line.split() for line in (EXPECTED / "validate.txt").read_text(encoding="utf-8").splitlines()
    ]


def test_a_gate_takes_the_baseline(results: Path, cli: Run) -> None:
    done = cli("gate", "--candidate", PARENT, "--gate", "quality", "--output", "gate")
    assert done.code == 4, done.err
    assert "NOT COMPARABLE: Broken (only in the candidate); 5 tasks: 2 NOT COMPARABLE, 3 OK" in done.out


def test_the_page_shows_intervals_and_histograms(results: Path, cli: Run) -> None:
    assert cli("report", "-o", "page.html").code == 0
    text = Path("page.html").read_text(encoding="utf-8")
    assert "95 % interval 69.3 to 83.9 (influence)" in text
    assert "median" in text


def test_python_reads_them(results: Path) -> None:
    found = ie.load_results(results)
    assert len(found) == 10
    frame = found["minilm@int8:none"].to_dataframe().set_index("task")
    assert frame.loc["DemoSTS", "score"] == pytest.approx(0.7755272910590151)
    assert frame.loc["DemoSTS", "low"] == pytest.approx(0.69237, abs=1e-4)
