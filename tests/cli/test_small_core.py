"""Reading commands without pyarrow, SciPy and pandas, as the core without extras is installed: the same to the byte."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_results
import pytest

pytest.importorskip("backports.zstd", reason="backports.zstd comes with an installation since it is a dependency")

COMMANDS = [
    "leaderboard", "leaderboard --format latex", "leaderboard --format json", "leaderboard --baseline {one}",
    "compare {one} {other}", "compare {one} {other} --format json", "gate --candidate {other}",
    "gate --candidate {other} --self-test", "report -o - --no-gate", "validate --results results", "baseline show main",
]  # fmt: skip
SIDES = {"one": "minilm@fp32", "other": "minilm@int8"}
HEAVY = ("pyarrow", "pyarrow.parquet", "scipy", "scipy.special", "scipy.stats", "pandas")


def without(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in HEAVY:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def made(tmp_path: Path, make_score: Any, cli: Callable[..., Any]) -> Path:
    tasks = {task: made_results.TASKS[task] for task in ("SciFact", "STS12")}
    for variant in ("fp32", "int8"):
        made_results.file(tmp_path / "results", make_score, tasks=tasks, n=40, variant=variant)
    assert cli("baseline", "set", SIDES["one"]).code == 0
    shutil.copytree(tmp_path / "results", tmp_path / "as-made")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_reading_needs_neither(
    command: str, made: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = command.format(**SIDES).split()
    whole = cli(*arguments)
    assert whole.out
    shutil.rmtree(made / "results")  # what the first has computed is not for the second
    shutil.copytree(made / "as-made", made / "results")
    without(monkeypatch)
    small = cli(*arguments)
    assert (small.code, small.out, small.err) == (whole.code, whole.out, whole.err)


def test_a_baseline_cannot_be_written(made: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch)
    done = cli("baseline", "set", SIDES["other"], "--name", "new")
    assert "writing a baseline needs pyarrow: pip install 'instructor-eval[run]'" in done.error
    assert not (made / "results" / "baselines" / "new").exists()
