"""`evaluate gate` and `compare` used badly: nothing passes untested, and no error of ours looks like a bad model."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_results
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from instructor_eval import metrics
from instructor_eval.analysis.compare.compare import Comparison, TaskComparison
from instructor_eval.analysis.gate.limits import Thresholds
from instructor_eval.analysis.gate.outcome import interval
from instructor_eval.analysis.gate.quality import INCONCLUSIVE, judge, least_p
from instructor_eval.analysis.statistics.estimates import Chance, Difference
from instructor_eval.cli import main as command_line
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

Run = Callable[..., Any]
FEW = {task: made_results.TASKS[task] for task in ("SciFact", "STS12", "RTE")}
WORSE = made_results.lowered(0.4, 0.3, only="SciFact")
GATE = [sys.executable, "-m", "instructor_eval.cli.main", "gate", "--candidate", "minilm@int8"]


@pytest.fixture
def results(cli: Run, tmp_path: Path, make_score: Callable[..., Score]) -> Path:
    """`./results` of `cli`: fp32, set as the baseline; bf16, the same; int8, with a loss on SciFact."""
    root = tmp_path / "results"
    made_results.file(root, make_score, tasks=FEW)
    made_results.file(root, make_score, tasks=FEW, variant="bf16")
    made_results.file(root, make_score, tasks=FEW, variant="int8", change=WORSE)
    assert cli("baseline", "set", "minilm").code == 0
    return root


def score_of(root: Path, task: str, variant: str) -> Score:
    return next(s for s in Store(root).scores() if s.task == task and s.model.variant == variant)


def test_a_closed_pipe_changes_no_verdict(results: Path, tmp_path: Path) -> None:
    end, start = os.pipe()
    os.close(end)
    done = subprocess.run(GATE, cwd=tmp_path, stdout=start, stderr=subprocess.PIPE, check=False)
    os.close(start)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_bug_of_ours_ends_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> int:
        raise RuntimeError("broken")

    monkeypatch.setattr(command_line, "main", broken)
    with pytest.raises(SystemExit) as ended:
        command_line.entry()
    assert ended.value.code == 2
    assert "RuntimeError: broken" in capsys.readouterr().err


def test_a_task_given_twice_counts_once(cli: Run, results: Path) -> None:
    twice = ("--task", "SciFact", "--task", "SciFact")
    assert "macro mean" not in cli("gate", "--candidate", "minilm@int8", *twice).out
    assert "all tasks" not in cli("compare", "minilm", "minilm@int8", *twice).out


def test_a_card_names_its_tasks(cli: Run, results: Path, make_score: Callable[..., Score], tmp_path: Path) -> None:
    made_results.file(results, make_score, tasks={"Tickets": FEW["STS12"]})
    made_results.file(results, make_score, tasks={"Tickets": FEW["STS12"]}, variant="bf16")
    (tmp_path / "t.yaml").write_text("name: Tickets\ntype: STS\ndata: tickets\n")
    done = cli("gate", "--baseline", "minilm", "--candidate", "minilm@bf16", "--task", "t.yaml")
    assert (done.code, done.out.split(" +0.00")[0]) == (0, "INCONCLUSIVE: Tickets")  # 300 unchanged pairs


def test_every_output_names_what_intersect_leaves_out(cli: Run, results: Path, tmp_path: Path) -> None:
    score = score_of(results, "STS12", "bf16")
    for path in results.glob(f"scores/**/STS12.{score.identity}.*"):
        path.unlink()
    assert cli("gate", "--candidate", "minilm@bf16").code == 4
    done = cli("gate", "--candidate", "minilm@bf16", "--intersect", "--output", "out")
    assert done.code == 0
    assert "left out, only on one side: STS12" in done.out
    assert "left out, only on one side: STS12" in (tmp_path / "out" / "summary.md").read_text()
    assert json.loads((tmp_path / "out" / "gate.json").read_text())["quality"][0]["left_out"] == ["STS12"]


def test_intersect_makes_no_pass_of_a_crash(cli: Run, results: Path) -> None:
    score = score_of(results, "STS12", "bf16")
    Store(results).write(dataclasses.replace(score, status="failed", score=None, error="out of memory"), None)
    done = cli("gate", "--candidate", "minilm@bf16", "--intersect")
    assert done.code == 4
    assert "it failed in the candidate: out of memory" in done.out


def test_a_baseline_that_lost_its_manifest_is_not_a_first_run(cli: Run, results: Path) -> None:
    main = results / "baselines" / "main"
    (main / "last.json").unlink()
    assert "has no last.json" in cli("gate", "--candidate", "minilm@bf16", "--allow-no-baseline").error
    (main / "pinned.json").unlink()
    assert "no baseline 'main'" in cli("gate", "--candidate", "minilm@bf16", "--allow-no-baseline").error
    shutil.rmtree(main)
    assert cli("gate", "--candidate", "minilm@bf16", "--allow-no-baseline").code == 0


def test_an_untested_pass_is_loud(cli: Run, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    done = cli("gate", "--candidate", "minilm@bf16", "--baseline", "baseline:mian", "--allow-no-baseline")
    assert done.code == 0
    assert "(there are: main)" in done.out
    assert "\n::warning title=evaluate gate%3A not tested::no baseline 'mian'" in done.out


def test_a_level_that_no_task_can_reach_is_an_error(cli: Run, results: Path, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("alpha: 0.0005\n")
    error = cli("gate", "--candidate", "minilm@int8", "--thresholds", "t.yaml").error
    assert "with 3 tasks no adjusted p of a single one can be below 0.0006" in error
    assert cli("gate", "--candidate", "minilm@int8", "--thresholds", "t.yaml", "--task", "SciFact").code == 1


def test_the_least_p() -> None:
    def tasks(n: int, chance: Chance | None) -> Comparison:
        one = TaskComparison("T", "STS", "cosine_spearman", "pair", 0.5, 0.5, Difference(0.0), chance)
        return Comparison("a", "b", [one] * n)

    assert least_p(tasks(1, Chance(0.5, 0.5, 9_999))) == pytest.approx(0.0001)
    for n in (99, 250, 1000):  # the more tasks, the more is drawn
        assert least_p(tasks(n, Chance(0.5, 0.5, 9_999))) < 0.02
    assert least_p(tasks(9, Chance(0.5, 0.5, 8, exact=True))) == 0
    assert least_p(tasks(9, None)) == 0


def test_without_a_mean_the_worst_task_decides() -> None:
    def task(name: str, delta: float, losses: int) -> TaskComparison:
        return TaskComparison(
            name, "STS", "cosine_spearman", "pair", 0.5, 0.5 + delta, Difference(delta, n=1), Chance(1.0, 1.0, 1, True),
            n=1, ties=1 - losses, losses=losses,
        )  # fmt: skip

    comparison = Comparison("a", "b", [task("A", 0.0, 0), task("B", -0.5, 1)], {}, Difference(-0.25, n=2))
    judgement = judge(comparison, Thresholds())
    assert [t.verdict for t in judgement.tasks] == [INCONCLUSIVE, INCONCLUSIVE]
    assert judgement.verdict == INCONCLUSIVE


def test_files_of_an_earlier_gate_do_not_outlive_an_error(cli: Run, results: Path, tmp_path: Path) -> None:
    assert cli("gate", "--candidate", "minilm@bf16", "--output", "out").code == 0
    assert cli("gate", "--candidate", "minilm@bf16", "--output", "out", "--thresholds", "nowhere.yaml").code == 2
    assert list((tmp_path / "out").iterdir()) == []


def test_the_pin_holds_where_only_libraries_changed(cli: Run, results: Path) -> None:
    """The same model run twice has one identity; of the pinned run's other scores the gate must know."""
    store = Store(results)
    score = score_of(results, "SciFact", "fp32")
    items = store.items(score)
    items["ndcg_at_10"] = [max(0.0, v - 0.3) for v in items["ndcg_at_10"]]
    store.write(dataclasses.replace(score, score=metrics.compute(score.metric, items)), items)
    assert cli("baseline", "set", "minilm").code == 0
    done = cli("gate", "--candidate", "minilm")
    assert done.code == 1
    assert "pinned.json)" in done.out.splitlines()[0]


def test_items_of_no_rows_are_not_comparable(cli: Run, results: Path) -> None:
    score = dataclasses.replace(score_of(results, "SciFact", "bf16"), n_items=0)
    items = Store(results).items(score)
    Store(results).write(score, items)
    [path] = results.glob(f"scores/**/SciFact.{score.identity}.parquet")
    pq.write_table(pa.table({name: column[:0] for name, column in items.items()}), path)
    done = cli("gate", "--candidate", "minilm@bf16")
    assert (done.code, done.out[:14]) == (4, "NOT COMPARABLE")


def test_nothing_is_not_minus_nothing() -> None:
    assert interval(Difference(-1e-9, -2e-9, 1e-9)) == "+0.00 [+0.00, +0.00]"
    assert interval(Difference(-0.0001, -0.0002, 0.0)) == "-0.01 [-0.02, +0.00]"


def test_one_row_of_several_folders_names_its_folder(cli: Run, results: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(results, tmp_path / name)
    done = cli("compare", "minilm", "one#minilm", "two#minilm")
    assert "fp32:paper (one)" in done.out
    assert "fp32:paper (two)" in done.out


def test_an_empty_folder_is_called_so(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "'empty': a folder without results" in cli("compare", "empty", "empty").error
