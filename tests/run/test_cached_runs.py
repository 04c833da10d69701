"""Runs with a cache of vectors, from the command line: what a second one computes, and that scores stay the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DEMO = ("--model", "tiny-bert", "--task", "DemoSTS", "--device", "cpu")


@pytest.fixture(autouse=True)
def _model(tmp_path: Path, plain_folder: Path) -> None:
    (tmp_path / "tiny-bert").symlink_to(plain_folder)


def score_of(folder: Path) -> dict[str, Any]:
    [path] = folder.rglob("DemoSTS.*.json")
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_second_run_computes_nothing_and_scores_the_same(cli: Callable[..., Any], tmp_path: Path) -> None:
    for name in ("cold", "warm"):
        done = cli(*DEMO, "--results", name, "--cache", "vectors")
        assert done.code == 0
    assert "386 of 386 vectors from the cache" in done.out
    cold, warm = score_of(tmp_path / "cold"), score_of(tmp_path / "warm")
    assert cold["counts"]["hits"] == 0 < cold["counts"]["tokens"]
    assert warm["counts"] == cold["counts"] | {"hits": cold["counts"]["unique"], "tokens": 0}
    assert (warm["score"], warm["data"], warm["identity"]) == (cold["score"], cold["data"], cold["identity"])
    assert warm["timings"]["load"] == 0 < cold["timings"]["load"]
    assert warm["environment"]["hardware"]["peak_memory_mb"] > 0


def test_no_cache_leaves_none(cli: Callable[..., Any], tmp_path: Path) -> None:
    assert cli(*DEMO, "--no-cache").code == 0
    assert not list(tmp_path.rglob("*.sqlite3*"))


def test_rounded_vectors_are_another_variant(cli: Callable[..., Any], tmp_path: Path) -> None:
    for name in ("cold", "warm"):
        done = cli(*DEMO, "--results", name, "--cache", "vectors", "--cache-dtype", "float16")
        assert "(fp32+float16)" in done.out
    cold, warm = score_of(tmp_path / "cold"), score_of(tmp_path / "warm")
    assert cold["model"]["variant"] == "fp32+float16"
    assert 0 < cold["metrics"]["vector_drift"] < 1e-3
    assert warm["score"] == cold["score"], "what was rounded on its way to the cache is rounded at once"


def test_a_cache_that_cannot_be_made_is_one_warning(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    done = cli(*DEMO, "--cache", "file")
    assert done.code == 0
    [line] = done.err.splitlines()
    assert line.startswith("evaluate: cache file cannot be used")


@pytest.mark.parametrize("size", ["3", "0G", "xG", "-1G", "1K", "nanG", "infT"])
def test_sizes_that_are_none(cli: Callable[..., Any], size: str) -> None:
    assert f"{size!r} is no size" in cli(*DEMO, f"--cache-size={size}").error
