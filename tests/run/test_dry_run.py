"""A dry run beside the run that follows it: every type that ships with the tool, all that a cache may hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny

from instructor_eval.models.engine import Engine
from instructor_eval.run import dry_run as module

Run = Callable[..., Any]
COUNTS = ("texts", "unique", "hits", "tokens")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_plain(tmp_path_factory.mktemp("tiny") / "minute")


@pytest.fixture(autouse=True)
def own_datasets_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets-cache"))


def planned(cli: Run, *arguments: Any) -> dict[str, Any]:
    done = cli("plan", *arguments, "--format", "json", "--no-calibration")
    assert done.code == 0, done.err
    return json.loads(done.out)


def stored(folder: Path) -> dict[tuple[str, str], dict[str, int]]:
    """(task, variant) -> counts of the stored scores."""
    found = [json.loads(path.read_text()) for path in (folder / "scores").rglob("*.json")]
    return {(s["task"], s["model"]["variant"]): s["counts"] for s in found}


def counts(plan: dict[str, Any]) -> dict[tuple[str, str], dict[str, int]]:
    return {
        (r["task"], r["variant"]): {
            "texts": r["texts"],
            "unique": r["unique"],
            "hits": r["cached"] + r["shared"],
            "tokens": r["tokens"],
        }
        for r in plan["tasks"]
        if r["status"] == "run"
    }


@pytest.mark.parametrize("cache", [("--cache", "c"), ("--no-cache",)])
def test_counts_of_the_demo_are_those_of_the_run(cli: Run, model: Path, tmp_path: Path, cache: tuple[str, ...]) -> None:
    run = ("--model", model, "--benchmark", "demo", "--device", "cpu", *cache)
    run += ("--variant", "fp32,fp32+int8,fp32+binary@16")
    assert cli(*run, "--limit", "20", "--results", "limited").code == 0
    plan = planned(cli, *run)
    assert cli(*run).code == 0
    assert counts(plan) == stored(tmp_path / "results")
    assert len(plan["tasks"]) == 12
    assert (plan["total"]["cached"] > 0) == (cache[0] == "--cache")


def test_what_is_done_is_reused_and_what_is_shared_counts_once(cli: Run, model: Path, tmp_path: Path) -> None:
    for name, rows in (("One", "a b c d"), ("Two", "c d e f")):
        folder = tmp_path / name
        folder.mkdir()
        texts = rows.split()
        pairs = [{"sentence1": t, "sentence2": f"{t} again", "score": i} for i, t in enumerate(texts)]
        (folder / "test.jsonl").write_text("".join(f"{json.dumps(p)}\n" for p in pairs))
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\ntype: STS\ndata: {name}\n")
    run = ("--model", model, "--task", "One.yaml", "--task", "Two.yaml", "--device", "cpu")
    plan = planned(cli, *run)
    first, second = plan["tasks"]
    assert [first[k] for k in ("texts", "unique", "cached", "shared", "compute")] == [8, 8, 0, 0, 8]
    assert [second[k] for k in ("texts", "unique", "cached", "shared", "compute")] == [8, 8, 0, 4, 4]
    assert (plan["total"]["unique"], plan["total"]["compute"]) == (12, 12)
    assert cli("--model", model, "--task", "One.yaml", "--device", "cpu").code == 0
    plan = planned(cli, *run)
    first, second = plan["tasks"]
    assert (first["status"], first["texts"], first["tokens"]) == ("done", 0, 0)
    assert [second[k] for k in ("texts", "unique", "cached", "shared", "compute")] == [8, 8, 4, 0, 4]
    assert (plan["total"]["unique"], plan["total"]["cached"], plan["total"]["compute"]) == (8, 4, 4)


def test_prompt_retrieval_without_a_model_counts_questions(cli: Run, tmp_path: Path) -> None:
    plan = planned(cli, "--task", "DemoPrompts", "--selection", "bm25", "--limit", "7")
    [row] = plan["tasks"]
    assert (row["model"], row["texts"], row["compute"], row["questions"]) == ("bm25 demonstrations", 0, 0, 7)


def test_a_whole_is_the_mean_of_its_parts(cli: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_data(*_: Any) -> None:
        return None

    monkeypatch.setattr(module._Counter, "_task", no_data)
    plan = planned(cli, "--model", model, "--task", "CQADupstackRetrieval")
    status = {row["task"]: row["status"] for row in plan["tasks"]}
    assert len(status) == 13
    assert status.pop("CQADupstackRetrieval") == "whole"
    assert set(status.values()) == {"run"}


def test_no_network_is_loaded_without_calibration(cli: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: Engine) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(Engine, "network", property(fail))
    planned(cli, "--model", model, "--benchmark", "demo", "--device", "cpu")
    with pytest.raises(AssertionError, match="loaded"):
        cli("plan", "--model", model, "--task", "DemoSTS", "--device", "cpu", "--debug")


def test_nothing_left_to_compute_needs_no_calibration(cli: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ("--model", model, "--task", "DemoSTS", "--device", "cpu")
    assert cli(*run, "--results", "elsewhere").code == 0

    def fail(_self: Engine) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(Engine, "network", property(fail))
    for results in ("elsewhere", "new"):
        done = cli("plan", *run, "--results", results, "--format", "json")
        assert done.code == 0
        assert json.loads(done.out)["total"]["seconds_high"] == 0
