"""The part of a results folder that git sees: baselines, and nothing that can be computed again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from instructor_eval.results.store import Store

RUN = ("--model", "minilm", "--task", "DemoSTS", "--limit", "12")


def git(folder: Path, *arguments: str) -> list[str]:
    """The lines that a git without anyone's settings prints."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


def test_only_baselines_are_for_git(tmp_path: Path, cli: Any) -> None:
    """After a run, a page's statistics, a gate and a baseline."""
    work = tmp_path
    git(work, "init")
    (work / ".gitignore").write_text("/cache/\n")
    assert cli(*RUN).code == 0
    assert cli("baseline", "set", "minilm", "--limit", "12").code == 0
    assert cli("gate", "--candidate", "minilm", "--limit", "12").code in (0, 3)
    assert cli("leaderboard", "--limit", "12").code == 0
    shown = git(work, "status", "--porcelain", "--untracked-files=all")
    named = {line[3:] for line in shown} - {".gitignore"}
    made = {str(path.relative_to(work)) for path in (work / "results" / "baselines").rglob("*") if path.is_file()}
    assert named == made
    assert any(name.endswith(".json") for name in named)
    assert any("/items/" in name for name in named)
    assert (work / "results" / "scores").is_dir()
    assert (work / "results" / "gate").is_dir()

    git(work, "add", "--all")
    git(work, "commit", "-m", "baseline")
    git(work, "clone", "-q", ".", "cloned")
    assert {
        str(p.relative_to(work / "cloned")) for p in (work / "cloned" / "results").rglob("*") if p.is_file()
    } == made
    os.chdir(work / "cloned")  # `cli` goes back
    assert cli(*RUN).code == 0
    assert git(work / "cloned", "status", "--porcelain", "--untracked-files=all") == []
    assert cli("gate", "--candidate", "minilm", "--limit", "12").code in (0, 3)

    (work / "cloned" / "results" / ".gitignore").unlink()
    assert cli(*RUN).code == 0
    assert not (work / "cloned" / "results" / ".gitignore").exists(), "one that was deleted is not written again"
    shown = git(work / "cloned", "status", "--porcelain", "--untracked-files=all")
    assert any("results/scores/" in line for line in shown)


def test_a_gitignore_that_is_there_stays(tmp_path: Path, cli: Any) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / ".gitignore").write_text("mine\n")
    assert cli(*RUN).code == 0
    assert (tmp_path / "results" / ".gitignore").read_text() == "mine\n"


def test_a_run_that_is_killed_before_it_leaves_it_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the first run ends in the middle of it, the second is the one that begins the folder."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    results = Store(tmp_path / "results")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("instructor_eval.results.store.atomic_write", killed)
        results.write_run("first", {})
    results.write_run("second", {})
    assert (tmp_path / "results" / ".gitignore").exists()
