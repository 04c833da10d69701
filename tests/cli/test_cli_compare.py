"""`evaluate compare`: what it prints in each format, and its exit codes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_results
import pytest
from rewritten import rewrite

from instructor_eval.analysis.compare.text import CSV_COLUMNS
from instructor_eval.results.score import Score

Run = Callable[..., Any]
FEW = {task: made_results.TASKS[task] for task in ("SciFact", "STS12", "RTE")}


@pytest.fixture
def results(tmp_path: Path, make_score: Callable[..., Score], monkeypatch: pytest.MonkeyPatch) -> Path:
    """`./results` of `cli`: fp32, int8 with a loss on SciFact, and one that is better on STS12."""
    monkeypatch.setenv("COLUMNS", "120")
    root = tmp_path / "results"
    made_results.file(root, make_score, tasks=FEW)
    made_results.file(
        root, make_score, tasks=FEW, variant="int8", change=made_results.lowered(0.4, 0.3, only="SciFact")
    )
    made_results.file(root, make_score, tasks=FEW, variant="bf16")
    return root


def test_one_candidate_is_shown_in_full(cli: Run, results: Path) -> None:
    done = cli("compare", "minilm", "minilm@int8")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == f"baseline  {made_results.MINILM}@fp32:paper  (results)"
    table = [line for line in lines if line.startswith(("all tasks (3)", "SciFact", "STS12", "RTE"))]
    assert [line.split()[0] for line in table] == ["all", "SciFact", "STS12", "RTE"]  # the macro line first
    assert "▼" in table[1]
    assert "<0.001" in table[1]
    assert "queries" in table[1]
    assert "=" in table[2]
    assert "0/300/0" in table[2]
    assert "▼ worse" in done.out
    assert "Embeddings are deterministic" in done.out
    assert "SciFact, queries that lost most: " in done.out
    assert "STS12, pairs" not in done.out  # nothing moved


def test_several_candidates_stand_in_one_table(cli: Run, results: Path) -> None:
    done = cli("compare", "minilm", "minilm@int8", "minilm@bf16", "--format", "csv", "--items", "0")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert list(rows[0]) == CSV_COLUMNS
    assert [(r["candidate"].partition("@")[2], r["level"], r["name"]) for r in rows] == [
        (f"{v}:paper", level, name)
        for v in ("int8", "bf16")
        for level, name in (("macro", "all tasks"), ("type", "Retrieval"), ("type", "STS"), ("type", "PromptRetrieval"),
                            ("task", "SciFact"), ("task", "STS12"), ("task", "RTE"))
        if level != "type"
    ]  # fmt: skip
    assert float(rows[1]["delta"]) < -5
    table = cli("compare", "minilm", "minilm@int8", "minilm@bf16").out
    [header] = [line for line in table.splitlines() if line.startswith("task ")]
    assert header.split() == ["task", "baseline", "int8:paper", "bf16:paper"]
    [row] = [line for line in table.splitlines() if line.startswith("SciFact")]
    assert row.count("[") == 2


def test_types_have_lines_where_they_have_several_tasks(cli: Run, tmp_path: Path, make_score: Any) -> None:
    tasks = FEW | {"STS13": made_results.TASKS["STS12"]}
    for variant in ("fp32", "int8"):
        made_results.file(tmp_path / "results", make_score, tasks=tasks, variant=variant)
    out = cli("compare", "minilm", "minilm@int8").out
    assert "STS (2)" in out
    assert "Retrieval (1)" in out


@pytest.mark.parametrize("form", ["md", "latex"])
def test_documents(cli: Run, results: Path, form: str) -> None:
    out = cli("compare", "minilm", "minilm@int8", "--format", form).out
    assert "SciFact" in out
    assert ("▼" in out) == (form == "md")
    assert ("worse" in out) == (form == "latex")


OTHERS = {
    "limit": ({"limit": 60}, ("--limit", "60"), "published scores are of whole tasks, this result of --limit 60"),
    "data": (
        {"data": {"hash": "x", "revision": "0" * 40}}, (),
        "of the data, this result of 0000000000000000000000000000000000000000"),
    "subset": ({"data": {"hash": "x", "subset": "fr"}}, (), "published scores are of subset default of the data, this"),
}  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("swapped", [False, True])
def test_other_results_have_no_difference_from_published_scores(
    cli: Run, tmp_path: Path, make_score: Any, other: str, swapped: bool
) -> None:
    """In no format is there a difference, a p, or a mean of differences; one line says why."""
    fields, flags, why = OTHERS[other]
    tasks = {task: made_results.TASKS[task] for task in ("SciFact", "STS12")}
    made_results.file(tmp_path / "results", make_score, tasks=tasks, n=60)
    for path in (tmp_path / "results/scores").rglob("*.json"):
        rewrite(path, **fields)
    sides = ("minilm", "published:all-MiniLM-L6-v2")[:: 1 if swapped else -1]
    shown = {f: cli("compare", *sides, *flags, "--format", f) for f in ("table", "md", "latex", "csv", "json")}
    assert {done.code for done in shown.values()} == {4}
    for form in ("table", "md", "latex"):
        out = shown[form].out
        assert len([line for line in out.splitlines() if why in line]) == (2 if other == "data" else 1), form
        for row in (line for line in out.splitlines() if line.lstrip("| ").startswith(("SciFact ", "STS12 "))):
            assert "not comparable" in row
        assert "all tasks" not in out
        assert "without intervals" not in out
    rows = list(csv.DictReader(io.StringIO(shown["csv"].out)))
    assert {row["level"] for row in rows} == {"task"}
    assert all(why in row["not_comparable"] for row in rows)
    assert {row[name] for row in rows for name in ("delta", "low", "p", "p_loss", "p_t", "wins")} <= {"", "0"}
    [raw] = json.loads(shown["json"].out)
    assert (raw["macro"], raw["macro_chance"], raw["types"]) == (None, None, {})
    assert all(task["difference"] is None and why in task["not_comparable"] for task in raw["tasks"])


def test_only_what_was_published_so_is_compared_with_it(cli: Run, tmp_path: Path, make_score: Any) -> None:
    two = {task: made_results.TASKS[task] for task in ("SciFact", "SummEval")}
    made_results.file(tmp_path / "results", make_score, tasks=two)
    [path] = (tmp_path / "results/scores").rglob("SummEval.*.json")
    rewrite(path, protocol=json.loads(path.read_bytes())["protocol"] | {"summeval": "v2"})
    done = cli("compare", "published:all-MiniLM-L6-v2", "minilm", "--protocol", "summeval=v2")
    assert done.code == 0
    assert (
        "SummEval: not comparable: published scores are of mteb's protocol or the paper's, this result of summeval=v2"
    ) in done.out
    assert "all tasks" not in done.out
    [row] = [line for line in done.out.splitlines() if line.startswith("SciFact ")]
    assert "not comparable" not in row


def test_json_has_everything_and_is_json(cli: Run, results: Path) -> None:
    [found] = json.loads(cli("compare", "minilm", "minilm@int8", "--format", "json").out)
    task = found["tasks"][0]
    assert (task["task"], task["unit"], task["changed"]) == ("SciFact", "query", task["losses"])
    assert len(task["lost"]) == 20
    assert task["lost"][0]["delta"] <= task["lost"][-1]["delta"] < 0
    assert task["chance"]["loss"] == 0.0001  # (1 + 0) / (9,999 + 1): drawn p-values are never 0
    assert task["difference"]["high"] < 0
    assert task["p_t"] < 0.001
    assert found["macro"]["verdict"] == "worse"


def test_published_scores_have_differences_without_intervals(cli: Run, results: Path) -> None:
    done = cli("compare", "published:all-MiniLM-L6-v2", "minilm")
    assert done.code == 0
    [row] = [line for line in done.out.splitlines() if line.startswith("SciFact ")]
    assert "[" not in row
    assert row.rstrip().endswith("?")
    assert "published scores have no items: differences without intervals" in done.out
    assert "only on one side, left out: " in done.out
    assert "ArguAna  " not in done.out


def test_nothing_comparable_is_an_exit_code_of_its_own(cli: Run, results: Path, make_score: Any) -> None:
    made_results.file(results, make_score, tasks={"STS12": FEW["STS12"]}, variant="fp16", seed=2, n=200)
    done = cli("compare", "minilm", "minilm@fp16", "--task", "STS12")
    assert done.code == 4
    assert "100 items only in the baseline" in done.out
    assert "--intersect leaves them out" in done.out
    assert done.err == "evaluate: nothing can be compared: the reasons stand above\n"
    done = cli("compare", "minilm", "minilm@fp16", "--task", "STS12", "--intersect")
    assert done.code == 0
    assert "STS12: left out: 100 items only in the baseline: " in done.out


def test_errors_are_one_line(cli: Run, results: Path) -> None:
    assert "did you mean SciFact?" in cli("compare", "minilm", "minilm@int8", "--task", "SciFakt").error
    assert "did you mean" in cli("compare", "minilm", "minilm@int9").error
    assert "required" in cli("compare", "minilm").error
    assert "not a whole number" in cli("compare", "minilm", "minilm@int8", "--items", "-1").error


def test_no_model_library_is_imported(results: Path) -> None:
    code = (
        "import sys\nfrom instructor_eval.cli.main import main\n"
        "main(['compare', 'minilm', 'minilm@int8'])\n"
        "assert not {'torch', 'mteb', 'transformers', 'scipy.stats'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=results.parent, check=True, capture_output=True)


def test_a_reader_is_looked_up_where_the_sides_are(cli: Run, results: Path, tmp_path: Path) -> None:
    """`./results` need not be there, nor hold anything of that reader."""
    results.rename(tmp_path / "elsewhere")
    done = cli("compare", "elsewhere#minilm", "elsewhere#minilm@bf16", "--task", "STS12", "--reader", "hf:org/gpt")
    assert (done.code, done.err) == (0, "")
