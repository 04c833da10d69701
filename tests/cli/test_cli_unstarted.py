"""Several models, one of which cannot start: its tasks are filed as failed, and the others run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from embeddings_server import EmbeddingsServer
from made_vectors import hashed

from instructor_eval.models.served import openai
from instructor_eval.results.score import UNSTARTED
from instructor_eval.results.store import Store

DOWN = "endpoint:http://127.0.0.1:9#down"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "WAIT", 0.001)


def by_model(results: Path) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for score in Store(results).scores():
        found.setdefault(score.model.name, []).append((score.task, score.status))
    return found


def test_the_others_run(cli: Callable[..., Any], tmp_path: Path) -> None:
    tasks = ("--task", "DemoSTS", "--task", "DemoBillboard", "--limit", "8", "--results", "r")
    (tmp_path / "folder").mkdir()
    with EmbeddingsServer(hashed) as server:
        models = ("--model", DOWN, "--model", "./folder", "--model", server.model, "--model", "org/not-cached")
        done = cli(*models, *tasks)
        assert done.code == 2
        assert done.err == ""
        assert done.out.count("FAILED, the others go on: ") == 3
        assert f"model {DOWN} FAILED, the others go on: endpoint:http://127.0.0.1:9: connection failed" in done.out
        assert "2 run, 0 reused, 6 failed" in done.out
        both = [("DemoBillboard", "failed"), ("DemoSTS", "failed")]
        found = by_model(tmp_path / "r")
        assert {name: sorted(tasks) for name, tasks in found.items()} == {
            DOWN: both,
            "./folder": both,
            "org/not-cached": both,
            server.model: [("DemoBillboard", "ok"), ("DemoSTS", "ok")],
        }
        table = cli("leaderboard", "--results", "r", "--limit", "8")
        assert table.code == 0
        assert table.out.count("failed") >= 6
        assert cli("validate", "--results", "r").code == 0
        assert cli("report", "--results", "r").code == 0

        quiet = cli(*models, *tasks, "--quiet")
        assert quiet.code == 2
        assert [line.partition(" failed: ")[0] for line in quiet.err.splitlines()] == [
            f"evaluate: model {DOWN}", "evaluate: model ./folder", "evaluate: model org/not-cached",
        ]  # fmt: skip


def test_alone_it_is_one_line(cli: Callable[..., Any], tmp_path: Path) -> None:
    done = cli("--model", DOWN, "--model", DOWN, "--task", "DemoSTS", "--results", "r")
    assert "connection failed (Connection refused), asked 4 times" in done.error
    assert by_model(tmp_path / "r") == {}


def test_none_of_several(cli: Callable[..., Any], tmp_path: Path) -> None:
    run = ("--model", DOWN, "--model", "org/not-cached", "--task", "DemoSTS", "--results", "r")
    done = cli(*run, "--quiet")
    assert done.code == 2
    assert done.out == ""
    assert len(done.err.splitlines()) == 2
    assert all(score.model.fingerprint.startswith(UNSTARTED) for score in Store(tmp_path / "r").scores())


def test_what_was_filed_goes_when_it_starts(cli: Callable[..., Any], tmp_path: Path) -> None:
    with EmbeddingsServer(hashed) as server:
        run = ("--model", server.model, "--model", "minilm", "--task", "DemoSTS", "--limit", "4", "--results", "r")
        server.failures = lambda _number: "404"
        assert cli(*run).code == 2
        assert by_model(tmp_path / "r")[server.model] == [("DemoSTS", "failed")]
        server.failures = []
        assert cli(*run).code == 0
        assert by_model(tmp_path / "r")[server.model] == [("DemoSTS", "ok")]


def test_a_model_that_is_another_one_by_now(cli: Callable[..., Any], tmp_path: Path) -> None:
    """It shows when its engine is made, after others have run."""
    with EmbeddingsServer(hashed) as server:
        run = ("--task", "DemoSTS", "--limit", "4", "--results", "r")
        assert cli("--model", server.model, *run).code == 0
        server.embed = lambda texts: hashed([f"new {text}" for text in texts])
        done = cli("--model", server.model, "--model", "minilm", *run, "--limit", "6")
        assert done.code == 2
        assert "FAILED: " in done.out
        assert "the model behind this name has changed" in done.out
        assert "1 run, 0 reused, 1 failed" in done.out
        assert "the model behind this name has changed" in cli("--model", server.model, *run, "--limit", "6").error


def test_a_plan_has_its_tasks_as_failing(cli: Callable[..., Any]) -> None:
    with EmbeddingsServer(hashed) as server:
        plan = cli("plan", "--model", DOWN, "--model", server.model, "--task", "DemoSTS", "--limit", "4",
                   "--format", "json")  # fmt: skip
    assert plan.code == 2
    assert [(row["model"], row["status"]) for row in json.loads(plan.out)["tasks"]] == [
        (DOWN, "failed"),
        (server.model, "run"),
    ]
    assert f"evaluate: model {DOWN} would fail: endpoint:http://127.0.0.1:9: connection failed" in plan.err


def test_an_answer_under_another_name_is_noted(cli: Callable[..., Any], tmp_path: Path) -> None:
    """As infinity, which answers whatever it is asked for."""

    def other(reply: dict[str, Any]) -> None:
        reply["model"] = "all-minilm"

    with EmbeddingsServer(hashed, reshape=other) as server:
        done = cli("--model", server.model, "--task", "DemoSTS", "--limit", "4", "--results", "r")
        assert done.code == 0
        [score] = Store(tmp_path / "r").scores()
        assert score.notes[-1].startswith("the server was asked for 'tiny' and answers as 'all-minilm'")
        assert score.notes[-1] in done.out
    names = {
        "tiny": ("tiny", "Tiny", "org/tiny", "/models/tiny/", "tiny-001", "C:\\models\\tiny.gguf"),
        "org/tiny": ("tiny", "other-org/tiny"),
        "text-embedding-ada-002": ("text-embedding-ada-002-v2",),
    }
    for asked, says in names.items():
        assert all(openai.may_be_same_model(asked, name) for name in says)
    assert not openai.may_be_same_model("tiny", "all-minilm")
