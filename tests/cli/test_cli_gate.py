"""`evaluate gate` from end to end: verdicts, exit codes, files, baselines, the self-test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import made_results
import pytest
from made_scores import edited

from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

Run = Callable[..., Any]
FEW = {task: made_results.TASKS[task] for task in ("SciFact", "STS12", "RTE")}
WORSE = made_results.lowered(0.4, 0.3, only="SciFact")


@pytest.fixture
def results(tmp_path: Path, make_score: Callable[..., Score]) -> Path:
    """`./results` of `cli`: fp32; bf16, the same; int8, with a loss on SciFact."""
    root = tmp_path / "results"
    made_results.file(root, make_score, tasks=FEW)
    made_results.file(root, make_score, tasks=FEW, variant="bf16")
    made_results.file(root, make_score, tasks=FEW, variant="int8", change=WORSE)
    return root


@pytest.fixture
def with_baseline(cli: Run, results: Path) -> Path:
    assert cli("baseline", "set", "minilm").code == 0
    return results


def test_the_same_is_ok_and_a_loss_is_regressed(cli: Run, with_baseline: Path) -> None:
    done = cli("gate", "--candidate", "minilm")
    assert (done.code, "hold the same results" in done.err) == (0, True)
    assert done.out.startswith("OK: macro mean +0.00 points")
    assert "(the same model: fingerprint, instructions and search are the baseline's, and no item changed)" in done.out
    done = cli("gate", "--candidate", "minilm@bf16")  # another form of which no item changed, and no probe is there
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("INCONCLUSIVE: macro mean +0.00 points")
    assert "whether its vectors are the baseline's is not known" in done.out
    done = cli("gate", "--candidate", "minilm@int8")
    assert done.code == 1
    assert done.out.startswith("REGRESSED: ")
    table = [line.split()[:3] for line in done.out.splitlines()]
    assert ["✗", "REGRESSED", "SciFact"] in table
    assert ["?", "INCONCLUSIVE", "STS12"] in table  # 300 pairs that did not change
    assert ["✓", "OK", "RTE"] in table
    assert "lost most: i" in done.out
    assert (
        "run it again: evaluate --model sentence-transformers/all-MiniLM-L6-v2@main --variant int8 --task SciFact"
        in done.out
    )


def test_the_files_say_the_same(cli: Run, with_baseline: Path, tmp_path: Path) -> None:
    cli("gate", "--candidate", "minilm@int8", "--output", "out")
    found = json.loads((tmp_path / "out" / "gate.json").read_text())
    assert (found["schema_version"], found["verdict"], found["exit_code"]) == (1, "REGRESSED", 1)
    assert found["command"] == ["evaluate", "gate", "--candidate", "minilm@int8", "--output", "out"]
    suites = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    failed = {case.get("name") for case in suites.iter("testcase") if case.find("failure") is not None}
    assert failed == {"macro mean", "SciFact"}
    assert (tmp_path / "out" / "summary.md").read_text().startswith("## ❌ REGRESSED")


def test_ci_gets_one_annotation_and_the_summary(
    cli: Run, with_baseline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "job.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    done = cli("gate", "--candidate", "minilm@int8", "--report", "https://example.org/report")
    [line] = [line for line in done.out.splitlines() if line.startswith("::")]
    assert line.startswith("::error title=")
    assert "REGRESSED" in summary.read_text()
    assert "https://example.org/report" in summary.read_text()
    done = cli("gate", "--candidate", "minilm")
    assert "\n::" not in done.out


def test_a_first_run_without_a_baseline_is_an_explicit_flag(cli: Run, results: Path) -> None:
    assert "there is no baseline 'main'" in cli("gate", "--candidate", "minilm").error
    done = cli("gate", "--candidate", "minilm", "--allow-no-baseline")
    assert done.code == 0
    assert "nothing was tested" in done.out
    assert cli("gate", "--candidate", "minilm", "--baseline", "nowhere", "--allow-no-baseline").code == 2


def test_many_small_losses_do_not_pass_one_by_one(
    cli: Run, with_baseline: Path, make_score: Callable[..., Score]
) -> None:
    """Each step is within the margin; the pinned baseline remembers where it began."""
    only = {"RTE": FEW["RTE"]}
    for k, variant in enumerate(("fp16", "int4-weight"), start=1):
        made_results.file(
            with_baseline, make_score, tasks=only, variant=variant, change=made_results.lowered(1, 0.008 * k)
        )
    assert cli("baseline", "set", "minilm", "--task", "RTE").code == 0
    assert cli("baseline", "pin").code == 0
    assert cli("gate", "--candidate", "minilm@fp16").code == 0
    assert cli("baseline", "set", "minilm@fp16").code == 0
    done = cli("gate", "--candidate", "minilm@int4-weight")
    assert done.code == 1
    assert "pinned.json)" in done.out.splitlines()[0]


def test_inconclusive_fails_only_where_asked(cli: Run, results: Path, make_score: Callable[..., Score]) -> None:
    only = {"RTE": FEW["RTE"]}
    made_results.file(results, make_score, tasks=only, variant="fp16", seed=2)
    arguments = ("gate", "--baseline", "minilm", "--candidate", "minilm@fp16", "--task", "RTE")
    done = cli(*arguments)
    assert done.code == 0
    assert done.out.startswith("INCONCLUSIVE: ")
    assert "would be REGRESSED four times in five" in " ".join(done.out.split())
    assert "p: one-sided, that nothing is lost; of one test, so not adjusted." in done.out
    assert cli(*arguments, "--fail-on-inconclusive").code == 3


def test_missing_items_are_never_a_silent_pass(cli: Run, with_baseline: Path) -> None:
    store = Store(with_baseline)
    score = next(s for s in store.scores() if s.task == "RTE" and s.model.variant == "bf16")
    items = {name: column[:-5] for name, column in store.items(score).items()}
    value = sum(items["value"]) / len(items["value"])
    store.write(edited(score, n_items=len(items["id"]), score=value), items)
    done = cli("gate", "--candidate", "minilm@bf16")
    assert done.code == 4
    assert "5 items only in the baseline" in done.out
    done = cli("gate", "--candidate", "minilm@bf16", "--intersect")
    assert done.code == 0
    [path] = [p for p in with_baseline.glob("scores/**/RTE.*.parquet") if "bf16" in p.with_suffix(".json").read_text()]
    path.write_bytes(path.read_bytes()[:100])
    assert cli("gate", "--candidate", "minilm@bf16").code == 4


def test_thresholds_decide(cli: Run, with_baseline: Path, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("margins: {macro: 20, tasks: {SciFact: 30}}\n")
    done = cli("gate", "--candidate", "minilm@int8", "--thresholds", "t.yaml")
    assert (done.code, done.out[:3]) == (0, "OK:")
    (tmp_path / "t.yaml").write_text("margins: {tasks: {SciFakt: 30}}\n")
    assert "did you mean SciFact?" in cli("gate", "--candidate", "minilm@int8", "--thresholds", "t.yaml").error


def test_the_self_test_fails_as_it_must_and_leaves_no_files(cli: Run, with_baseline: Path, tmp_path: Path) -> None:
    done = cli("gate", "--candidate", "minilm@bf16", "--self-test", "--output", "out")
    assert done.code == 1
    assert done.out.startswith("self-test passed")
    assert "REGRESSED" in done.out
    assert not (tmp_path / "out").exists()


def test_a_blind_gate_is_found_by_its_self_test(cli: Run, with_baseline: Path, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("margins: {default: 50, macro: 50}\n")
    error = cli("gate", "--candidate", "minilm@bf16", "--self-test", "--thresholds", "t.yaml").error
    assert "self-test failed: a loss of 10 points was put into the candidate's items, and the gate says OK" in error


def test_another_model_is_no_drift_but_a_question_of_quality(cli: Run, results: Path) -> None:
    done = cli("gate", "--baseline", "minilm", "--candidate", "minilm@int8", "--gate", "drift")
    assert done.code == 4
    assert "question of quality" in done.out


def test_usage_errors(cli: Run, results: Path) -> None:
    assert "--candidate" in cli("gate").error
    assert "invalid choice" in cli("gate", "--candidate", "minilm", "--gate", "taste").error
    assert "leave --gate out" in cli("gate", "--candidate", "minilm", "--gate", "drift", "--self-test").error
    assert (
        "no side has results of it" in cli("gate", "--baseline", "minilm", "--candidate", "minilm", "--task", "X").error
    )


def test_a_gate_of_limited_scores_refuses_published_ones(
    cli: Run, tmp_path: Path, make_score: Callable[..., Score]
) -> None:
    made_results.file(tmp_path / "results", make_score, tasks=FEW, n=60, limit=60)
    done = cli(
        "gate", "--baseline", "published:all-MiniLM-L6-v2", "--candidate", "minilm", "--limit", "60", "--output", "out"
    )
    assert done.code == 4
    assert "published scores are of whole tasks, this result of --limit 60" in done.out
    found = json.loads((tmp_path / "out" / "gate.json").read_text())
    assert found["verdict"] == "NOT COMPARABLE"
    tasks = found["quality"][0]["tasks"]
    assert {task["name"] for task in tasks} == {"SciFact", "STS12"}
    assert all(task["difference"] is None for task in tasks), tasks
