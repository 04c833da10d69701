"""`evaluate report`: the page it writes, what it says, and what it makes of files and names that mean harm."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_results
import pytest
from parsed_page import Page, read
from rewritten import as_before

from instructor_eval.report import page as pages
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

Run = Callable[..., Any]
MakeScore = Callable[..., Score]

FEW = {task: made_results.TASKS[task] for task in ("SciFact", "STS12", "RTE")}
HEAVY = (
    "torch", "mteb", "transformers", "datasets", "pandas", "sklearn", "tokenizers", "huggingface_hub", "scipy.stats"
)  # fmt: skip
SAME = {"model": made_results.MINILM, "fingerprint": "fp32".ljust(16, "0")}


@pytest.fixture
def results(tmp_path: Path, make_score: MakeScore) -> Path:
    """`./results` of `cli`: a model with a variant and a second set, and another that failed at a task."""
    root = tmp_path / "results"
    made_results.file(root, make_score, tasks=FEW, n=80)
    made_results.file(root, make_score, tasks=FEW, n=80, variant="int8", change=made_results.lowered(0.5, 0.3))
    made_results.file(root, make_score, tasks=FEW, n=80, instructions="none", seed=2)
    two = {task: FEW[task] for task in ("SciFact", "STS12")}
    store = made_results.file(root, make_score, tasks=two, n=80, model="org/other", seed=5)
    store.write(make_score("RTE", None, type="PromptRetrieval", model="org/other", fingerprint=SAME["fingerprint"],
                           identity="9" * 16, error="OutOfMemoryError: no room"))  # fmt: skip
    return root


@pytest.fixture
def gated(cli: Run, results: Path) -> Path:
    """The same, with the files of a gate in it."""
    done = cli("gate", "--baseline", "minilm:paper", "--candidate", "minilm@int8", "--output", "results/gate")
    assert done.code == 1
    return results


def rows(page: Page) -> list[dict[str, str]]:
    return [attributes for attributes in page.of("tr") if "data-r" in attributes]


def json_of(root: Path, task: str, variant: str = "fp32") -> Path:
    """The file of a score of the first model with the paper's instructions."""
    return next(
        p for p in sorted(root.rglob("scores/**/paper/*.json"))
        if (d := json.loads(p.read_bytes()))["task"] == task and d["model"]["variant"] == variant
        and d["model"]["name"] == made_results.MINILM
    )  # fmt: skip


# What is written


def test_one_file_is_written_and_its_size_said(cli: Run, results: Path, tmp_path: Path) -> None:
    done = cli("report", "--no-published")
    assert (done.code, done.err) == (0, "")
    page = tmp_path / "report.html"
    assert done.out == f"report.html: 4 rows, 3 tasks, {page.stat().st_size / 1000:,.0f} kB\n"
    assert {p.name for p in tmp_path.iterdir()} == {"results", "report.html"}
    assert [a["data-k"] for a in rows(read())] == ["model", "variant", "instructions", "model"]


def test_the_page_is_where_it_was_wanted(cli: Run, results: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    results.rename(tmp_path / "elsewhere")
    done = cli("report", "--results", "elsewhere", "-o", "out/page.html", "--title", "Release 2026-11")
    assert done.out.startswith("out/page.html: ")
    page = read("out/page.html")
    assert page.packed["results"] == "elsewhere"
    assert page.text.count("Release 2026-11") >= 2
    assert "evaluate report --results elsewhere -o out/page.html --title 'Release 2026-11'" in page.text


def test_the_page_is_whole(cli: Run, results: Path) -> None:
    """Every element is closed, ids are unique, and every link inside the page leads somewhere."""
    cli("report")
    page = read()
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(set(ids)) == len(ids)
    links = [a["href"][1:] for a in page.of("a")]
    assert set(links) <= set(ids)
    assert all(re.fullmatch(r"[\w.-]+", i) for i in ids)
    assert "StrictUndefined" not in page.text
    assert Path("report.html").read_bytes().startswith(b"<!doctype html>")


def test_cells_have_their_evidence(cli: Run, results: Path) -> None:
    cli("report", "--no-published")
    page = read()
    cells = [a["id"] for a in page.of("article")]
    assert len(cells) == len(set(cells)) == 3 * 4
    assert "failed: OutOfMemoryError: no room" in page.text
    assert "1 failed score" in page.text


def test_the_csv_is_that_of_the_terminal(cli: Run, results: Path) -> None:
    for flags in ((), ("--no-published",), ("--no-intervals",), ("--baseline", "org/other"), ("--task", "STS12")):
        header, *lines = csv.reader(io.StringIO(cli("leaderboard", "--format", "csv", *flags).out))
        assert cli("report", *flags).code == 0
        packed = read().packed
        assert packed["columns"] == header
        columns = packed["values"]
        assert [list(line) for line in zip(*columns, strict=True)] == lines
        assert [header[i] for i in packed["tasks"]] == [t for t in header if t in FEW]


def test_a_large_page_is_packed_and_says_the_same(cli: Run, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("report", "-o", "open.html")
    monkeypatch.setattr(pages, "INLINE", 0)
    cli("report", "-o", "packed.html")
    whole, packed = read("open.html"), read("packed.html")
    assert whole.packed["parts"] == {}
    assert packed.of("article") == []
    unpacked = packed.packed["parts"]
    content = Path("open.html").read_text("utf-8")
    articles = [key for key in unpacked if key.startswith("c-")]
    assert set(articles) == {a["id"] for a in whole.of("article")}
    for key, part in unpacked.items():
        assert part in content, key


def test_the_same_results_give_the_same_bytes(cli: Run, gated: Path, tmp_path: Path) -> None:
    found = []
    for fresh in (True, False, True):
        if fresh:
            (gated / "statistics" / "board.v2").unlink(missing_ok=True)
        assert cli("report", "--baseline", "minilm:paper").code == 0
        found.append((tmp_path / "report.html").read_bytes())
    assert found[0] == found[1] == found[2]


def test_another_process_writes_the_same_bytes(cli: Run, gated: Path, tmp_path: Path, cli_process: Run) -> None:
    cli("report")
    first = (tmp_path / "report.html").read_bytes()
    (gated / "statistics" / "board.v2").unlink()
    assert cli_process("report", env={"PYTHONHASHSEED": "7", "COLUMNS": "40"}).code == 0
    assert (tmp_path / "report.html").read_bytes() == first


def test_no_model_library_is_imported(gated: Path) -> None:
    code = (
        "import sys\nfrom instructor_eval.cli.main import main\nassert main(['report']) == 0\n"
        f"assert not set({HEAVY!r}) & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=gated.parent, check=True, capture_output=True)


# Flags


def test_only_these_tasks(cli: Run, results: Path) -> None:
    cli("report", "--task", "STS12", "--no-published")
    page = read()
    assert [page.packed["columns"][i] for i in page.packed["tasks"]] == ["STS12"]
    assert {a["id"] for _, a in page.elements if a.get("id", "").startswith("t-")} == {"t-STS12"}
    assert "did you mean SciFact?" in cli("report", "--task", "SciFakt").error


def test_published_rows_are_shown_beside_measured_ones(cli: Run, results: Path) -> None:
    cli("report")
    assert {a["data-k"] for a in rows(read())} == {"model", "variant", "instructions", "published"}


def test_a_baseline_row_marks_and_pairs(cli: Run, results: Path) -> None:
    cli("report", "--no-published")
    assert "org/other · paper beside" not in read().text
    assert cli("report", "--no-published", "--baseline", "minilm:paper").code == 0
    assert f"org/other · paper beside {made_results.MINILM} · paper" in read().text
    assert "no row of results is called 'nobody'" in cli("report", "--baseline", "nobody").error
    assert "leave --no-intervals out" in cli("report", "--baseline", "minilm", "--no-intervals").error


def test_without_intervals_no_file_of_items_is_read(cli: Run, results: Path) -> None:
    for path in results.rglob("scores/**/*.parquet"):
        path.write_bytes(b"")
    done = cli("report", "--no-intervals", "--no-published")
    assert (done.code, done.err) == (0, "")
    assert "±" not in read().text


def test_a_browser_that_cannot_be_started_is_no_error(
    cli: Run, results: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: bool(asked.append(url)))
    done = cli("report", "--open")
    assert done.code == 0
    assert asked == [(tmp_path / "report.html").as_uri()]
    assert done.err == "evaluate: no browser could be started: open report.html yourself\n"


# Results that are not all there


def test_no_results_folder(cli: Run, tmp_path: Path) -> None:
    assert "no results folder at results: run something first" in cli("report").error
    assert not (tmp_path / "report.html").exists()


def test_an_empty_folder_is_a_page_that_says_so(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    for flags in ((), ("--no-published",)):
        done = cli("report", *flags)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("report.html: no results yet")
        assert "No results yet" in read().text


def test_one_item(cli: Run, tmp_path: Path, make_score: MakeScore) -> None:
    made_results.file(tmp_path / "results", make_score, tasks={"SciFact": FEW["SciFact"]}, n=1)
    assert cli("report").code == 0
    assert "1 item" in read().text


def test_failed_tasks_alone(cli: Run, tmp_path: Path, make_score: MakeScore) -> None:
    Store(tmp_path / "results").write(make_score("STS12", None, error="ValueError: two\nlines"))
    assert cli("report", "--no-published").code == 0
    page = read()
    assert "failed: ValueError: two lines" in page.text
    assert page.text.count("failed") >= 2


def test_items_deleted_by_hand(cli: Run, results: Path) -> None:
    for path in results.rglob("scores/**/SciFact.*.parquet"):
        path.unlink()
    done = cli("report", "--no-published")
    assert (done.code, done.err) == (0, "")
    text = read().text
    assert "items are not whole" in text
    assert text.count("No histogram: the items are missing or damaged") == 4


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_score_that_is_no_number_is_a_failed_cell(value: str, cli: Run, results: Path) -> None:
    path = json_of(results, "SciFact")
    as_before(path, score=float(value))
    done = cli("report", "--no-published")
    assert (done.code, done.err) == (0, "")
    page = read()
    assert "failed: the score is not a number (NaN)" in page.text
    assert sum(a.get("class") == "x" for a in page.of("td")) == 2  # and the one that failed before
    headers, *lines = csv.reader(io.StringIO(cli("leaderboard", "--format", "csv", "--no-published").out))
    assert [line[headers.index("SciFact")] for line in lines].count("failed") == 1


def test_a_page_of_limited_results_has_no_published_scores(cli: Run, tmp_path: Path, make_score: MakeScore) -> None:
    made_results.file(tmp_path / "results", make_score, tasks=FEW, n=60, limit=60)
    assert cli("report", "--limit", "60").code == 0
    assert "instructor-xl" not in read().text
    assert "Published scores are of whole tasks" in read().text
    made_results.file(tmp_path / "whole", make_score, tasks=FEW, n=60)
    assert cli("report", "--results", "whole").code == 0
    assert "instructor-xl" in read().text
    assert "Published scores are of whole tasks" not in read().text


def test_an_own_card_without_results(cli: Run, results: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own.yaml").write_text("name: Own\ntype: STS\ndata: own\n")
    assert cli("leaderboard", "--results", results, "--task", "own.yaml", "--task", "SciFact").code == 0
    assert cli("report", "--results", results, "--task", "own.yaml", "--task", "SciFact").code == 0
    assert "Own" in read().text


def test_without_intervals_twice_and_with_them_between(cli: Run, results: Path) -> None:
    def page(*flags: str) -> bytes:
        assert cli("report", "--results", results, *flags).code == 0
        return Path("report.html").read_bytes()

    first = page("--no-intervals")
    assert b"--no-intervals, so no items were read" in first
    assert b"missing or damaged" not in first
    assert page() != first
    assert page("--no-intervals") == first


def test_tasks_named_like_columns(cli: Run, results: Path, make_score: MakeScore) -> None:
    named = {name: ("STS", "cosine_spearman") for name in ("STS", "rank", "model")}
    made_results.file(results, make_score, tasks=named, benchmark="own", seed=9)
    assert cli("report", "--results", results).code == 0
    packed = read().packed
    columns = [packed["columns"][place] for place in packed["tasks"]]
    assert sorted(columns) == sorted([*FEW, *named])
    assert min(packed["tasks"]) > packed["columns"].index("instructions")


def test_a_name_that_the_system_does_not_take(cli: Run, results: Path) -> None:
    error = cli("report", "--results", results, "-o", f"{'x' * 300}.html").error
    assert "file name too long" in error


def test_a_link_is_followed_and_a_device_written_to(cli: Run, results: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.html"
    link.symlink_to(tmp_path / "there" / "page.html")
    assert cli("report", "--results", results, "-o", link).code == 0
    assert link.is_symlink()
    assert read(tmp_path / "there" / "page.html").of("table")
    assert cli("report", "--results", results, "-o", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()


def test_a_gate_of_other_scores_is_named(cli: Run, gated: Path) -> None:
    assert cli("report", "--results", gated).code == 0
    assert "judged other scores" not in read().text
    path = gated / "gate" / "gate.json"
    raw = json.loads(path.read_bytes())
    raw["quality"][0]["tasks"][0]["candidate"] += 0.01
    path.write_text(json.dumps(raw))
    assert cli("report", "--results", gated).code == 0
    assert f"other scores of {raw['quality'][0]['candidate']['label']} than the table shows" in read().text


# The gate


def test_the_gates_verdict_stands_first(cli: Run, gated: Path) -> None:
    assert cli("report").code == 0
    page = read()
    assert page.of("section")[0]["class"] == "verdict REGRESSED"
    assert json.loads((gated / "gate" / "gate.json").read_bytes())["headline"].split(": ", 1)[1] in page.text
    assert "evaluate gate --baseline minilm:paper --candidate minilm@int8" in page.text
    cli("report", "--no-gate")
    assert not [a for a in read().of("section") if "verdict" in a.get("class", "")]


def test_another_gate_is_named(cli: Run, gated: Path, tmp_path: Path) -> None:
    (gated / "gate").rename(tmp_path / "elsewhere")
    cli("report")
    assert "REGRESSED" not in read().text
    assert cli("report", "--gate", "elsewhere/gate.json").code == 0
    assert "REGRESSED" in read().text
    assert "no such file or directory" in cli("report", "--gate", "nowhere/gate.json").error
    assert "not allowed with" in cli("report", "--gate", "elsewhere/gate.json", "--no-gate").error


def test_a_damaged_gate_is_one_line_and_can_be_left_out(cli: Run, gated: Path, tmp_path: Path) -> None:
    file = gated / "gate" / "gate.json"
    whole = json.loads(file.read_bytes())
    for content in ("{", "[]", json.dumps(whole | {"schema_version": 2}), json.dumps(whole | {"quality": [{}]})):
        file.write_text(content)
        error = cli("report").error
        assert "results/gate/gate.json: " in error
        assert "leave it out with --no-gate" in error
        assert not (tmp_path / "report.html").exists()
    assert cli("report", "--no-gate").code == 0


# Where it cannot be written


def test_an_unwritable_place_is_an_error_before_reading(cli: Run, results: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    json_of(results, "SciFact").write_text("not read yet")
    assert "it is a folder: name a file, such as folder/report.html" in cli("report", "-o", "folder").error
    assert "it is a folder" in cli("report", "-o", ".").error
    assert "there is no folder nowhere: make it first" in cli("report", "-o", "nowhere/page.html").error
    assert "there is no folder file: make it first" in cli("report", "-o", "file/page.html").error


def test_a_refused_write_is_one_line_and_the_old_page_stays(
    cli: Run, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_where: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "report.html").write_text("old")
    monkeypatch.setattr("instructor_eval.core.whole_files.tempfile.mkstemp", refuse)
    error = cli("report").error
    assert "cannot write the page to report.html: permission denied: choose another file with -o" in error
    assert (tmp_path / "report.html").read_text() == "old"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="Linux only")
def test_a_folder_that_takes_no_files(cli: Run, results: Path) -> None:
    assert "choose another file with -o" in cli("report", "-o", "/proc/report.html").error


def test_results_that_cannot_be_written_are_read_all_the_same(cli: Run, results: Path) -> None:
    (results / "statistics").write_text("no folder")
    assert cli("report").code == 0
