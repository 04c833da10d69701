"""Command lines, each run in a fork of one warm process: its libraries are loaded once, its faults stay its own.

    forks = Forks()
    ended = forks.run(["leaderboard", "--results", "x"], folder)

A fork that takes too long is killed; how much memory it took beyond what the warm process holds is measured.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 10.0
"""What a command may take that computes nothing."""
MEGABYTES = 400
"""What it may take beyond the loaded libraries."""
_KILL_AFTER = 20.0  # what takes so long is reported with its time, and not waited for
_ADDRESS_SPACE = 6 * 2**30  # beyond what is mapped: a runaway must not take the machine with it
_WARM = (
    "torch", "transformers", "sentence_transformers", "safetensors.torch", "mteb", "datasets", "pandas", "scipy.stats",
    "polars", "yaml", "requests", "jinja2", "tabulate", "instructor_eval.run.execute", "instructor_eval.models.library",
    "litellm", "openai.resources", "httpcore", "encodings.unicode_escape", "encodings.idna",
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (-9: killed), what it printed, wall seconds, megabytes beyond the libraries."""

    code: int
    out: bytes
    err: bytes
    seconds: float
    megabytes: float


class Forks:
    """The warm process, and the way to it."""

    def __init__(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("INSTRUCTOR_EVAL_")}
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
                        "HF_HUB_OFFLINE": "1", "INSTRUCTOR_EVAL_COST": "off",
                        "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        user: int | None = None,
    ) -> Ended:
        """Run `evaluate ARGUMENTS` in `folder`; its cache is a folder `cache` there unless `environment` says else.

        `user` is the number of another user who does, which root alone can ask for.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": dict(environment or {}),
            "user": user,
        }
        if user is not None:
            _let_through(folder)
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        streams = [folder / name for name in ("stdout", "stderr")]
        out, err = (stream.read_bytes() for stream in streams)
        for stream in streams:
            stream.unlink()
        return Ended(told["code"], out, err, told["seconds"], told["megabytes"])

    def close(self) -> None:
        """End the warm process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def _let_through(folder: Path) -> None:
    """Let every user into the folder, if they know its name: pytest keeps its folders to itself."""
    for path in (folder, *folder.parents):
        if path.stat().st_uid == os.geteuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o111)


def _serve() -> None:
    # Our own streams are the way to the parent: what a library prints while it loads must not get into it.
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for name in _WARM:
        with contextlib.suppress(ImportError):
            __import__(name)
    for line in asked:
        answers.write(json.dumps(_run(json.loads(line))).encode() + b"\n")
        answers.flush()


def _run(asked: dict[str, Any]) -> dict[str, Any]:
    started, pid = time.monotonic(), os.fork()
    if not pid:
        _be_the_command(asked)
    ended, watch = True, os.pidfd_open(pid)
    if not select.select([watch], [], [], _KILL_AFTER)[0]:
        ended = False
        os.kill(pid, signal.SIGKILL)
    os.close(watch)
    _, status, used = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status) if ended else -signal.SIGKILL
    # A fork begins with its parent's pages counted as its own.
    beyond = max(0, used.ru_maxrss - resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024
    return {"code": code, "seconds": time.monotonic() - started, "megabytes": beyond}


def _be_the_command(asked: dict[str, Any]) -> None:
    """Run it, and never come back."""
    code = 99
    try:
        os.chdir(asked["folder"])
        os.environ.update({"INSTRUCTOR_EVAL_CACHE": f"{asked['folder']}/cache", **asked["environment"]})
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (mapped + _ADDRESS_SPACE,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if asked["user"] is not None:
            os.setgroups([])
            os.setgid(asked["user"])
            os.setuid(asked["user"])
        sys.argv = ["evaluate", *asked["arguments"]]
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1)
        from instructor_eval.cli.main import entry

        try:
            entry()
        except SystemExit as e:
            code = int(e.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve()
