"""`--executor ray` as a user gives it, in a process of its own: Ray starts with the run, and ends with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import tiny
from waiting import LONGEST, vectors_in, wait_for

pytestmark = pytest.mark.ray


def of_session(session: int) -> list[str]:
    """The command lines of the processes that a run of this session has started, and that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(path.name)) == session and "Z" not in (path / "stat").read_text().split(")")[1][:3]:
                found.append((path / "cmdline").read_text().replace("\0", " "))
    return found


def of_us(lines: list[str]) -> list[str]:
    """Workers with a job; Ray's own agents take their time to notice that they are alone."""
    return [line for line in lines if "ray::Long" in line or "ray::DemoBillboard" in line]


def long_task(folder: Path, rows: int) -> Path:
    """A card on texts that keep workers busy for a while, the longest first."""
    (folder / "long").mkdir(exist_ok=True)
    lines = [f"{'word ' * (300 - i // 20)}{i}\t{'other ' * (300 - i // 20)}{i}\t{i % 5}" for i in range(rows)]
    (folder / "long/test.tsv").write_text("sentence1\tsentence2\tscore\n" + "\n".join(lines) + "\n")
    (folder / "long.yaml").write_text("name: Long\ntype: STS\ndata: long\n")
    return folder / "long.yaml"


def command_of(folder: Path) -> list[str]:
    """A run of a short task and a long one."""
    model = tiny.build_instructor(folder / "instructor-tiny")
    command = [sys.executable, "-m", "instructor_eval.cli.main", "--model", str(model), "--family", "instructor"]
    command += ["--executor", "ray", "--device", "cpu", "--results", "results", "--cache", str(folder / "cache")]
    return [*command, "--task", "DemoBillboard", "--task", str(long_task(folder, 5000))]


def environment_of(folder: Path, bare: Callable[[Path], dict[str, str]]) -> dict[str, str]:
    return bare(folder) | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}


def test_a_run_that_is_interrupted_ends_with_one_line(
    tmp_path: Path, bare_environment: Callable[[Path], dict[str, str]]
) -> None:
    command, environment = command_of(tmp_path), environment_of(tmp_path, bare_environment)
    with (tmp_path / "said").open("w") as said:
        run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=said, stderr=said, start_new_session=True)
        wait_for(lambda: vectors_in(tmp_path / "cache") or run.poll() is not None, "nothing was stored")
        run.send_signal(signal.SIGINT)
        assert run.wait(LONGEST) == 130
    *_, last = (tmp_path / "said").read_text().splitlines()
    assert last == "evaluate: interrupted: finished results are filed, the same command goes on from there"
    assert "Traceback" not in (tmp_path / "said").read_text()
    wait_for(lambda: not of_us(of_session(run.pid)), "workers end with the run")
    assert not list(Path(tempfile.gettempdir()).glob(f"evaluate-ray-{run.pid}-*")), "nothing of Ray's is left"


def test_a_run_that_is_killed_ends_its_workers_and_goes_on_from_there(
    tmp_path: Path, bare_environment: Callable[[Path], dict[str, str]]
) -> None:
    command, environment = command_of(tmp_path), environment_of(tmp_path, bare_environment)
    with (tmp_path / "said").open("w") as said:
        run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=said, stderr=said, start_new_session=True)
        wait_for(lambda: vectors_in(tmp_path / "cache") or run.poll() is not None, "nothing was stored")
        session = " ".join(of_us(of_session(run.pid)))
        run.send_signal(signal.SIGKILL)
        run.wait(LONGEST)
    assert "ray::" in session
    wait_for(lambda: not of_us(of_session(run.pid)), "workers end with the run")
    committed = vectors_in(tmp_path / "cache")
    assert committed
    scores = [path.read_text() for path in tmp_path.rglob("scores/**/*.json")]
    assert not [text for text in scores if '"failed"' in text]

    long_task(tmp_path, 30)  # its longest texts, which come first
    again = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
    )
    assert again.returncode == 0, again.stderr
    assert not [line for line in again.stderr.splitlines() if not line.startswith("  all tasks: ")], "but progress"
    assert f"{2 - len(scores)} run, {len(scores)} reused, 0 failed" in again.stdout
    filed = [json.loads(path.read_text()) for path in (tmp_path / "results/scores").rglob("*.json")]
    new = [score["counts"] for score in filed if json.dumps(score["identity"]) not in "".join(scores)]
    assert sum(counts["unique"] - counts["hits"] for counts in new) == vectors_in(tmp_path / "cache") - committed
    assert sum(counts["hits"] for counts in new) > 0
    assert {score["environment"]["executor"] for score in filed} == {"ray"}
    assert not list(Path(tempfile.gettempdir()).glob(f"evaluate-ray-{run.pid}-*")), "what the killed run left is gone"
    assert not (tmp_path / ".ray").exists(), "no token is left"
