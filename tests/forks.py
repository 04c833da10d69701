"""Command lines, each run in a fork of one warm process: its libraries are loaded once, its crashes stay its own.

    forks = Forks()
    ended = forks.run(["leaderboard", "--results", "x"], folder)

A fork that takes too long is killed; how much memory it took beyond what the warm process holds is measured. The
command is found as pip installed it: nothing of the package is imported here by its name.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import json
import mmap
import os
import pkgutil
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 10.0
"""The time that a command may take that computes nothing."""
MEGABYTES = 400
"""The memory that it may take beyond the loaded libraries."""
KILL_AFTER = 20.0
"""A command that takes so long is reported with its time, and not waited for."""
_ADDRESS_SPACE = 6 * 2**30  # beyond what is mapped: a runaway must not take the machine with it
LIBRARIES = (
    "torch", "transformers", "sentence_transformers", "safetensors.torch", "mteb", "datasets", "pandas", "scipy.stats",
    "polars", "yaml", "requests", "jinja2", "tabulate", "litellm", "openai.resources", "httpcore",
    "encodings.unicode_escape", "encodings.idna",
)  # fmt: skip
"""The libraries that runs load."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (-9: killed), what it printed, wall seconds, megabytes beyond the libraries.

    Last is how often it made, opened for writing, renamed or removed something in its folder or the cache.
    """

    code: int
    out: bytes
    err: bytes
    seconds: float
    megabytes: float
    writes: int


class Forks:
    """The warm process, and the way to it."""

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        libraries: Sequence[str] = LIBRARIES,
        package: str = "instructor_eval",
        kill_after: float = KILL_AFTER,
    ) -> None:
        """Start it.

        Args:
            environment: All its variables; None: those of the tests without ours.
            libraries: Modules that it loads.
            package: All its modules are loaded too, but for those beside LanceDB; "": only as each fork asks for them.
            kill_after: Wall seconds.
        """
        if environment is None:
            environment = {k: v for k, v in os.environ.items() if not k.startswith("INSTRUCTOR_EVAL_")}
            environment |= {"HF_HUB_OFFLINE": "1", "INSTRUCTOR_EVAL_COST": "off"}
        environment = {**environment, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
                       "TOKENIZERS_PARALLELISM": "false", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                       "LITELLM_MODE": "PRODUCTION"}  # fmt: skip
        how = {"libraries": libraries, "package": package, "seconds": kill_after}
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, json.dumps(how)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
        )  # fmt: skip

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        user: int | None = None,
        streams: Mapping[int, str | None] | None = None,
        leave: bool = False,
        kill_at: int | None = None,
        kill_with: signal.Signals = signal.SIGKILL,
    ) -> Ended:
        """Run `evaluate ARGUMENTS` in `folder`; its cache is a folder `cache` there unless `environment` says else.

        Args:
            arguments: Of the command.
            folder: Where it runs.
            environment: Variables set.
            user: The number of another user who runs it, which root alone can ask for.
            streams: Number of a standard stream -> the file it is, None where it is closed from the start.
            leave: The folder, which is empty then, is removed once it was entered.
            kill_at: Just before its write of this number, from 1, it is sent a signal.
            kill_with: This one.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": dict(environment or {}),
            "user": user,
            "streams": {1: str(folder / "stdout"), 2: str(folder / "stderr")} | dict(streams or {}),
            "leave": leave,
            "kill": [kill_at, kill_with],
        }
        if user is not None:
            _let_through(folder)
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        out, err = (_taken(asked["streams"][number]) for number in (1, 2))
        return Ended(answer["code"], out, err, answer["seconds"], answer["megabytes"], answer["writes"])

    def close(self) -> None:
        """End the warm process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def _taken(name: str | None) -> bytes:
    """Return what a stream has, and remove its file; nothing of a closed one, and of what is no file."""
    if name is None or not Path(name).is_file():
        return b""
    content = Path(name).read_bytes()
    Path(name).unlink()
    return content


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
    how = json.loads(sys.argv[1])
    [command] = importlib.metadata.entry_points(group="console_scripts", name="evaluate")
    for name in (*how["libraries"], *(_modules(how["package"]) if how["package"] else ())):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # a fork that looks through a million objects for garbage copies the page of every one of them
    for line in asked:
        answers.write(json.dumps(_run(json.loads(line), command, how["seconds"])).encode() + b"\n")
        answers.flush()


def _modules(package: str) -> Iterator[str]:
    paths = importlib.import_module(package).__path__
    names = [module.name for module in pkgutil.walk_packages(paths, f"{package}.")]
    yield from (name for name in names if not name.endswith(("__main__", "lancedb")))


def _run(asked: dict[str, Any], command: importlib.metadata.EntryPoint, seconds: float) -> dict[str, Any]:
    writes = mmap.mmap(-1, 4)  # shared with the fork, which may not live to say it
    started, pid = time.monotonic(), os.fork()
    if not pid:
        _be_the_command(asked, command, writes)
    ended, watch = True, os.pidfd_open(pid)
    if not select.select([watch], [], [], seconds)[0]:
        ended = False
        os.kill(pid, signal.SIGKILL)
    os.close(watch)
    _, status, used = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status) if ended else -signal.SIGKILL
    # A fork begins with its parent's pages counted as its own.
    beyond = max(0, used.ru_maxrss - resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024
    return {"code": code, "seconds": time.monotonic() - started, "megabytes": beyond, "writes": _number(writes)}


def _number(counter: mmap.mmap) -> int:
    return int.from_bytes(counter[:4], "little")


def _count_writes(asked: dict[str, Any], counter: mmap.mmap) -> None:
    """Count this process's writes below its folder as Python sees them; send it the signal where it is asked for."""
    folder, (kill_at, kill_with), process = f"{asked['folder']}/", asked["kill"], os.getpid()

    def on_event(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "sqlite3.connect") or (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if not writes or os.getpid() != process or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        if os.path.abspath(os.fsdecode(arguments[0])).startswith(folder):  # noqa: PTH100 # Path has an event of its own
            counter[:4] = (_number(counter) + 1).to_bytes(4, "little")
            if _number(counter) == kill_at:
                os.kill(process, kill_with)

    sys.addaudithook(on_event)


def _be_the_command(asked: dict[str, Any], command: importlib.metadata.EntryPoint, writes: mmap.mmap) -> None:
    """Run it, and never come back."""
    code = 99
    try:
        os.chdir(asked["folder"])
        os.environ.update({"INSTRUCTOR_EVAL_CACHE": f"{asked['folder']}/cache", **asked["environment"]})
        streams = {int(number): name for number, name in asked["streams"].items()}
        for number, name in streams.items():
            if name is not None:
                os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
        if asked["leave"]:
            Path(asked["folder"]).rmdir()
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
        for number, name in streams.items():
            if name is None:  # as Python begins without one
                os.close(number)
                setattr(sys, ("stdin", "stdout", "stderr")[number], None)
        try:
            _count_writes(asked, writes)
            command.load()()
        except SystemExit as e:
            code = int(e.code or 0)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve()
