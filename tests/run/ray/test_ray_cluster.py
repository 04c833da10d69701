"""A cluster that cannot be used is one line, in bounded time; and Ray's folder and words are not left behind."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from instructor_eval.core.errors import UserError
from instructor_eval.run.executor import Executor
from instructor_eval.run.ray import cluster as ray_cluster
from instructor_eval.run.ray.cluster import connected

pytestmark = pytest.mark.ray

Run = Callable[..., Any]
TASK = ("--model", "minilm", "--task", "DemoSTS")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []
        stop = threading.Event()

        def accept() -> None:
            while not stop.is_set():
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        server.settimeout(0.2)
        thread = threading.Thread(target=lambda: [accept() for _ in iter(stop.is_set, True)], daemon=True)
        thread.start()
        yield server.getsockname()[1]
        stop.set()
        thread.join()
        for one in held:
            one.close()


def refused(text: str, device: str = "auto") -> str:
    with pytest.raises(UserError) as caught, connected(Executor.parse(text), device):
        pass
    return str(caught.value)


def test_a_dead_address(cli: Run) -> None:
    with socket.socket() as taken:  # and nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        line = cli(*TASK, "--executor", f"ray:127.0.0.1:{port}").error
    assert f"no Ray cluster at 127.0.0.1:{port} (connection refused): start one with `ray start --head`" in line


def test_what_listens_but_is_no_cluster(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "PROBE_SECONDS", 3.0)
    line = refused(f"ray:127.0.0.1:{silent_port}")
    assert "is no Ray cluster that answers in 3 s: check the port and the token" in line


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("ConnectionError: Could not find any running Ray instance.", "this machine is part of no Ray cluster"),
        ("RuntimeError: Version mismatch: The cluster was started with Ray 2.44", "has another version of Ray or"),
        ("AuthenticationError: Token authentication is enabled", "refuses our token: set RAY_AUTH_MODE=token"),
        ("no authentication", "refuses our token"),
        ("RuntimeError: something else", "(RuntimeError: something else): this command must run on one of its nodes"),
    ],
)
def test_what_ray_says_in_our_words(said: str, words: str) -> None:
    assert words in ray_cluster._refusal("head:6379", said)


@pytest.mark.parametrize(
    ("stdout", "stderr"), [("\nConnectionError: Failed\n", "Unauthenticated: RPC error"), ("", "")]
)
def test_the_probe_that_fails(monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str) -> None:
    done = subprocess.CompletedProcess([], 1, stdout, stderr)
    monkeypatch.setattr(ray_cluster.subprocess, "run", lambda *_a, **_k: done)
    words = "refuses our token" if stderr else "its process ended with 1"
    with pytest.raises(UserError, match=words):
        ray_cluster._probe("head:6379")


def test_ray_is_not_installed(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "ray" else find(name, *a))
    assert "--executor ray needs ray: pip install 'instructor-eval[ray]'" in cli(*TASK, "--executor", "ray").error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--executor", "dask"), "unknown executor 'dask'"),
        (("--executor", "ray", "--device", "cuda:1"), "--device cuda:1 is one of this machine"),
        (("--executor", "ray", "--cost", "full"), "--cost full measures in this process"),
    ],
)
def test_what_does_not_go_together(cli: Run, arguments: tuple[str, ...], words: str) -> None:
    assert words in cli(*TASK, *arguments).error


def test_a_plan_is_counted_in_this_process(cli: Run) -> None:
    assert "leave --executor out" in cli("plan", *TASK, "--executor", "ray").error


@pytest.mark.parametrize(
    ("cores", "threads"),
    [([], 1), ([1, 1], 1), ([2], 1), ([8], 1), ([9], 2), ([64], 8), ([64, 4], 4), ([100, 64], 13)],
)
def test_the_cores_of_a_worker(cores: list[int], threads: int) -> None:
    assert ray_cluster._share(cores) == threads


class MadeUp(ray_cluster.Cluster):
    """A cluster with these resources a node."""

    def __init__(self, device: str, *nodes: dict[str, float]) -> None:
        self._made = [
            {"NodeID": str(n), "Alive": True, "NodeManagerAddress": f"10.0.0.{n}", "Resources": resources}
            for n, resources in enumerate(nodes)
        ]
        self._choose(device)

    def _nodes(self) -> list[dict[str, Any]]:
        return self._made


def test_one_worker_a_gpu_on_all_nodes() -> None:
    found = MadeUp("auto", {"CPU": 16, "GPU": 4}, {"CPU": 8}, {"CPU": 2, "GPU": 1})
    assert (found.device, found.workers(), found.workers(but={"0"})) == ("cuda", 5, 1)


def test_processors_where_they_are_asked_for() -> None:
    found = MadeUp("cpu", {"CPU": 2, "GPU": 4}, {"CPU": 1}, {})
    assert (found.device, found.threads, found.workers(), found.workers(but={"0"})) == ("cpu", 1, 3, 1)


def test_no_gpu_where_one_is_asked_for() -> None:
    with pytest.raises(UserError, match="no node of the Ray cluster has a GPU"):
        MadeUp("cuda", {"CPU": 2})


def test_folders_of_killed_runs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster.tempfile, "gettempdir", lambda: ".")
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    for name in (
        f"evaluate-ray-{done.stdout.strip()}-x",
        f"evaluate-ray-{os.getpid()}-y",
        "evaluate-ray-mine-z",
        "other",
    ):
        (tmp_path / name).mkdir()
    with ray_cluster._folder() as folder:
        assert folder.is_dir()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted([f"evaluate-ray-{os.getpid()}-y", "evaluate-ray-mine-z", "other"])


def test_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    before = dict(os.environ)
    with ray_cluster._quiet_environment():
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1", "what the user set stays"
        assert os.environ["RAY_DEDUP_LOGS"] == "0"
        os.environ["RAY_AUTH_TOKEN"] = "x"
    assert dict(os.environ) == before


def test_what_ray_writes_past_python_is_not_seen_and_what_we_write_is(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from instructor_eval.run.ray.cluster import _core_silent\n"
        "with _core_silent():\n"
        "    os.write(2, b'noise'); sys.stderr.write('ours\\n')\n"
        "os.write(2, b'after\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "ours\nafter\n"
