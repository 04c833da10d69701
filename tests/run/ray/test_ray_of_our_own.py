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

import tiny
from waiting import LONGEST, kept, wait_for


def of_session(session: int) -> list[str]:
    """The command lines of the processes that a run of this session has started, and that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(path.name)) == session and "Z" not in (path / "stat").read_text().split(")")[1][:3]:
                found.append((path / "cmdline").read_text().replace("\0", " "))
    return found


def of_us(lines: list[str]) -> list[str]:
    """Workers and task processes; Ray's own agents take their time to notice that they are alone."""
    return [line for line in lines if "ray::Worker" in line or "executors.task_process" in line]


def long_task(folder: Path, rows: int) -> Path:
    """A card on texts that keep workers busy for a while, the longest first."""
    (folder / "long").mkdir(exist_ok=True)
    lines = [f"{'word ' * (300 - i // 20)}{i}\t{'other ' * (300 - i // 20)}{i}\t{i % 5}" for i in range(rows)]
    (folder / "long/test.tsv").write_text("sentence1\tsentence2\tscore\n" + "\n".join(lines) + "\n")
    (folder / "long.yaml").write_text("name: Long\ntype: STS\ndata: long\n")
    return folder / "long.yaml"


def test_a_run_that_is_killed_ends_its_workers_and_goes_on_from_there(
    tmp_path: Path, bare_environment: Callable[[Path], dict[str, str]]
) -> None:
    model = tiny.build_instructor(tmp_path / "instructor-tiny")
    command = [sys.executable, "-m", "instructor_eval.cli.main", "--model", str(model), "--family", "instructor"]
    command += ["--executor", "ray", "--device", "cpu", "--results", "results", "--cache", str(tmp_path / "cache")]
    command += ["--task", "DemoBillboard", "--task", str(long_task(tmp_path, 5000))]
    environment = bare_environment(tmp_path) | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    with (tmp_path / "said").open("w") as said:
        run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=said, stderr=said, start_new_session=True)
        wait_for(lambda: kept(tmp_path / "cache") or run.poll() is not None, "nothing was kept")
        session = " ".join(of_us(of_session(run.pid)))
        run.send_signal(signal.SIGKILL)
        run.wait(LONGEST)
    committed = kept(tmp_path / "cache")
    assert committed
    assert "ray::Worker" in session
    assert "executors.task_process" in session
    wait_for(lambda: not of_us(of_session(run.pid)), "workers end with the run")
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
    assert sum(counts["unique"] - counts["hits"] for counts in new) == kept(tmp_path / "cache") - committed
    assert sum(counts["hits"] for counts in new) > 0
    assert {score["environment"]["executor"] for score in filed} == {"ray"}
    assert not list(Path(tempfile.gettempdir()).glob(f"evaluate-ray-{run.pid}-*")), "what the killed run left is gone"
    assert not (tmp_path / ".ray").exists(), "no token is left"
