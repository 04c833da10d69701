"""Own tasks in commands that read results: by the name that the results have, or by their card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_results
import pytest

_CARD = "name: Tickets\ntype: STS\ndata: nowhere\n"


@pytest.fixture
def folder(tmp_path: Path, make_score: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    tasks = {task: ("STS", "cosine_spearman") for task in ("Tickets", "STS12")}
    made_results.file(tmp_path / "results", make_score, tasks=tasks)
    (tmp_path / "tickets.yaml").write_text(_CARD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("task", ["Tickets", "tickets.yaml"])
def test_a_name_and_a_card_mean_the_same(task: str, folder: Path, cli: Callable[..., Any]) -> None:
    shown = cli("leaderboard", "--task", task)
    assert shown.code == 0
    assert "Tickets" in shown.out
    assert "STS12" not in shown.out
    assert "Tickets" in cli("leaderboard", "--task", f"STS12,{task}").out
    for extra in ((), ("--texts",)):
        assert ", 1 task, " in cli("report", "--task", task, *extra).out
    assert "2 tasks" not in cli("baseline", "set", "all-MiniLM-L6-v2", "--task", task).out
    assert (folder / "results" / "baselines").is_dir()
    for command in ("compare all-MiniLM-L6-v2 baseline:main", "export --format trec -o trec"):
        assert "STS12" not in cli(*command.split(), "--task", task).out
    assert "no result of task" not in cli("export", "--format", "trec", "-o", "trec", "--task", task).error


def test_a_name_that_no_result_has_is_an_error(folder: Path, cli: Callable[..., Any]) -> None:
    for command in (("leaderboard",), ("report",)):
        assert "unknown task 'Tickts'" in cli(*command, "--task", "Tickts").error
    assert "no result of task 'STS13'" in cli("export", "--format", "trec", "-o", "trec", "--task", "STS13").error
    assert "unknown task 'Tickets'" in cli("leaderboard", "--task", "Tickets", "--type", "STS").error


def test_a_folder_without_results_is_said(tmp_path: Path, cli: Callable[..., Any]) -> None:
    shown = cli("leaderboard", "--results", str(tmp_path))
    assert shown.code == 0
    assert f"no results in {tmp_path} to show: others' scores alone" in shown.err
