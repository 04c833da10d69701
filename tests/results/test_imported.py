"""Imported scores: filed whole, shown with their source, checked, and taken by no gate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_results
import pytest

import instructor_eval as ie
from instructor_eval.results.imported import Imported, ImportedScore, imported_in, read, rows_of, write
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store


def of(source: str = "a friend", revision: str = "abc123456789", **scores: float) -> Imported:
    found = tuple(ImportedScore(task, value, "cosine_spearman", f"{task}.json") for task, value in scores.items())
    return Imported("org/model", source, revision, created="2026-01-01T00:00:00+00:00", scores=found)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_they_are_read_as_they_were_written(root: Path) -> None:
    path = write(root, of(STS12=0.5, SciFact=-0.25))
    assert {s.task: s.score for s in read(path).scores} == {"STS12": 0.5, "SciFact": -0.25}
    assert imported_in(root) == [read(path)]


def test_a_second_import_adds_and_replaces(root: Path) -> None:
    write(root, of(STS12=0.5, STS13=0.6))
    write(root, of(STS13=0.7, STS14=0.8))
    [one] = imported_in(root)
    assert {s.task: s.score for s in one.scores} == {"STS12": 0.5, "STS13": 0.7, "STS14": 0.8}


def test_rows_have_names_of_their_own(root: Path) -> None:
    write(root, of(STS12=0.5))
    assert [row.model for row in rows_of(root)] == ["org/model"]
    write(root, of(revision="fff111", STS12=0.5))
    assert {row.model for row in rows_of(root)} == {"org/model @abc12345", "org/model @fff111"}
    write(root, of(source="another", STS12=0.5))
    names = {row.model for row in rows_of(root)}
    assert names == {"org/model @abc12345 of a friend", "org/model @abc12345 of another", "org/model @fff111"}


EDITS: list[tuple[str, Callable[[str], str], str]] = [
    ("another score", lambda text: text.replace("0.5", "0.9"), "edited since it was filed (scores)"),
    ("half", lambda text: text[:100], "not a readable file"),
    ("no checksum", lambda _: json.dumps({"schema_version": 1, "model": "m", "source": "s"}), "edited since"),
    ("later version", lambda text: text.replace('"schema_version": 1', '"schema_version": 9'), "schema version 9"),
    ("a list", lambda _: "[]", "schema version None"),
]


@pytest.mark.parametrize(("change", "why"), [e[1:] for e in EDITS], ids=[e[0] for e in EDITS])
def test_a_damaged_file_is_one_line(change: Callable[[str], str], why: str, root: Path, cli: Any) -> None:
    path = write(root, of(STS12=0.5))
    path.write_text(change(path.read_text()))
    line = cli("leaderboard").error
    assert why in line
    assert "import again" in line
    done = cli("validate", "--results", "results")
    assert done.code == 2
    assert why in done.out


def test_validate_knows_them(root: Path, cli: Any) -> None:
    path = write(root, of(STS12=0.5, STS13=0.5))
    done = cli("validate", "--results", "results")
    assert done.code == 0
    assert "ok: 2 scores of org/model, imported, revision abc123456789 of a friend" in done.out
    assert "1 result: 1 good, 0 failed runs, 0 with errors; 1 of the good ones are imported" in done.out
    path.rename(path.with_name("x.json"))
    (path.parent / "notes.txt").write_text("x")
    done = cli("validate", "--results", "results")
    assert done.code == 2
    assert "it was renamed" in done.out
    assert "no file of imported scores" in done.out


def test_the_board_and_the_page_show_them_with_their_source(root: Path, cli: Any, make_score: Any) -> None:
    made_results.file(root, make_score, tasks={"STS12": ("STS", "cosine_spearman")})
    write(root, of(STS12=0.9))
    board = cli("leaderboard").out
    assert "imported: from others' files, not tested here: org/model (revision abc123456789 of a friend)." in board
    [row] = [line for line in board.splitlines() if line.strip().startswith("model ") and "90.00" in line][:1]
    assert row.split() == ["model", "imported", "90.00", "(1/10)", "90.00", "(1/56)", "90.00"]
    rows = {(r["model"], r["source"]): r for r in json.loads(cli("leaderboard", "--format", "json").out)}
    found = rows["org/model", "imported"]
    assert (found["rank"], found["tasks"], found["intervals"]) == (None, {"STS12": 0.9}, {})
    [measured] = [r for r in rows.values() if r["source"] == "measured"]
    assert measured["rank"] == 1  # others' scores push nobody down
    assert "90.00" not in cli("leaderboard", "--no-published").out
    assert cli("report", "-o", "page.html").code == 0
    page = Path("page.html").read_text()
    assert 'data-side="imported:org/model"' in page
    assert "1 imported for comparison" in page
    assert "revision abc123456789 of a friend" in page


def test_a_comparison_shows_them_and_no_gate_takes_them(root: Path, cli: Any, make_score: Any) -> None:
    made_results.file(root, make_score, tasks={"STS12": ("STS", "cosine_spearman")})
    write(root, of(STS12=0.9))
    done = cli("compare", "imported:org/model", "minilm")
    assert done.code == 0
    assert "imported scores have no items: differences without intervals" in done.out
    for sides in (("imported:org/model", "minilm"), ("minilm", "imported:org/model")):
        line = cli("gate", "--baseline", sides[0], "--candidate", sides[1]).error
        assert "imported scores were not measured here and have no items to test" in line
        with pytest.raises(ie.UserError, match="not measured here"):
            ie.gate(*sides, results=root)
    assert "imported scores have no items" in cli("baseline", "set", "imported:org/model").error
    assert (
        "nothing imported in results is called 'nobody': there are org/model"
        in cli("compare", "imported:nobody", "minilm").error
    )


def test_they_are_no_results_of_ours(root: Path, make_score: Callable[..., Score]) -> None:
    Store(root).write(make_score("STS12"), {"id": ["0"], "gold": [1.0], "cosine": [0.5]})
    write(root, of(STS13=0.9))
    assert ie.load_results(root).tasks == ["STS12"]
