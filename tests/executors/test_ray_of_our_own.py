"""`--executor ray` as a user gives it, in a process of its own: Ray starts with the run, and ends with it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import tiny

from instructor_eval.encoder.cache_db import FILE_NAME

LONGEST = 120.0


def wait_for(what: Callable[[], Any], why: str) -> Any:
    """What it gives once that is something; waiting is bounded."""
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"in vain: {why}")


def kept(cache: Path) -> int:
    """Vectors in a cache that a run is writing."""
    with suppress(sqlite3.Error):
        connection = sqlite3.connect(f"{(cache / FILE_NAME).as_uri()}?mode=ro", uri=True)
        try:
            return int(connection.execute("SELECT count(*) FROM entries").fetchone()[0])
        finally:
            connection.close()
    return 0


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


def test_a_run_that_is_killed_ends_its_workers_and_goes_on_from_there(
    tmp_path: Path, bare_environment: Callable[[Path], dict[str, str]]
) -> None:
    model = tiny.build_instructor(tmp_path / "instructor-tiny")
    command = [sys.executable, "-m", "instructor_eval.cli", "--model", str(model), "--family", "instructor"]
    command += ["--executor", "ray", "--device", "cpu", "--results", "results", "--cache", str(tmp_path / "cache")]
    # The process of DemoSTS imports mteb while the other task has vectors already.
    command += ["--task", "DemoBillboard", "--task", "DemoSTS"]
    environment = bare_environment(tmp_path) | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    with (tmp_path / "said").open("w") as said:
        run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=said, stderr=said, start_new_session=True)
        wait_for(lambda: kept(tmp_path / "cache") or run.poll() is not None, "nothing was kept")
        session = of_us(of_session(run.pid))
        run.send_signal(signal.SIGKILL)
        run.wait(LONGEST)
    committed = kept(tmp_path / "cache")
    assert committed
    assert len(session) == 4, "two workers, two processes for tasks"
    wait_for(lambda: not of_us(of_session(run.pid)), "workers end with the run")
    assert not [path for path in tmp_path.rglob("scores/**/*.json") if '"failed"' in path.read_text()]

    again = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
    )
    assert (again.returncode, again.stderr) == (0, "")
    assert "2 run, 0 kept from earlier, 0 failed" in again.stdout
    filed = [json.loads(path.read_text()) for path in (tmp_path / "results/scores").rglob("*.json")]
    assert sum(score["counts"]["hits"] for score in filed) >= committed
    assert {score["environment"]["executor"] for score in filed} == {"ray"}
    assert not list(Path(tempfile.gettempdir()).glob(f"evaluate-ray-{run.pid}-*")), "what the killed run left is gone"
    assert not (tmp_path / ".ray").exists(), "no token is left"
