"""A Ray cluster: one of our own on this machine, or one that is there already, and what its nodes have.

Ray writes nothing to the terminal: we say what goes wrong, and its logs lie where it always puts them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Container, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.machine import usable_cores
from instructor_eval.core.whole_files import is_alive
from instructor_eval.run.executor import Executor

ANSWER_SECONDS = 5.0
"""An address that takes no connection within them is dead."""
PROBE_SECONDS = 40.0
"""Connecting takes about 2; Ray itself would try for minutes."""
_MOST_ON_A_NODE = 8
"""Workers on the processors of one node: each holds a copy of the model."""
_STORE_BYTES = 2 * 1024**3
_NAMESPACE = "instructor-eval"
_PREFIX = "evaluate-ray-"
# No statistics sent, no advice on the terminal, no log lines of Ray's core.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_task_oom_retries": "2",  # without end otherwise
    "RAY_ENABLE_METRICS_COLLECTION": "0",
    "GRPC_VERBOSITY": "NONE",
}


class Cluster:
    """A connection to Ray, made by `connected`.

    Args:
        device: What `--device` says: auto, cpu or cuda.

    Raises:
        UserError: the cluster has no such device.
    """

    def __init__(self, device: str) -> None:
        import ray

        self.home: str = ray.get_runtime_context().get_node_id()
        self._choose(device)

    def _choose(self, device: str) -> None:
        nodes = self._nodes()
        gpus = any(node["Resources"].get("GPU", 0) >= 1 for node in nodes)
        if device == "cuda" and not gpus:
            raise UserError("--device cuda: no node of the Ray cluster has a GPU: use --device cpu or auto")
        self.device: str = "cuda" if gpus and device != "cpu" else "cpu"
        cores = [int(node["Resources"].get("CPU", 0)) for node in nodes]
        self.threads: int = _share([count for count in cores if count])
        """Cores of a worker that computes on processors: one, but never more than eight workers on a node."""

    def _nodes(self) -> list[dict[str, Any]]:
        import ray

        return [node for node in ray.nodes() if node["Alive"]]

    def workers(self, *, but: Container[str] = ()) -> int:
        """Return how many workers the nodes that are alive have room for; `but` holds ids of nodes not counted."""
        kind, size = ("GPU", 1) if self.device == "cuda" else ("CPU", self.threads)
        nodes = [node for node in self._nodes() if node["NodeID"] not in but]
        return sum(int(node["Resources"].get(kind, 0)) // size for node in nodes)


def _share(cores: list[int]) -> int:
    """Return the cores of a worker, for nodes with so many each: it must fit the smallest."""
    return max(1, min(-(-max(cores) // _MOST_ON_A_NODE), *cores)) if cores else 1


@contextlib.contextmanager
def connected(executor: Executor, device: str, *, debug: bool = False) -> Iterator[Cluster]:
    """A cluster to work on. One of our own ends with the block, and leaves nothing behind.

    Args:
        executor: Which.
        device: What `--device` says.
        debug: Let Ray say what it wants to.

    Raises:
        UserError: Ray is not installed, there is no such cluster, or it cannot be used; found out in bounded time.
    """
    if importlib.util.find_spec("ray") is None:
        raise UserError("--executor ray needs ray: pip install 'instructor-eval[ray]'")
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"--device {device} is one of this machine: with --executor ray give auto, cpu or cuda")
    with contextlib.ExitStack() as closing:
        closing.enter_context(_quiet_environment())
        folder = None if executor.address else closing.enter_context(_folder())
        import ray

        if not debug:
            closing.enter_context(_core_silent())
            logging.getLogger("ray").setLevel(logging.CRITICAL)
        if ray.is_initialized():
            raise UserError("this process uses Ray already: call ray.shutdown() before a run with executor ray")
        closing.callback(ray.shutdown)
        handler = signal.getsignal(signal.SIGTERM)
        if folder is None:
            _join(executor)
        else:
            _start(folder)
        closing.enter_context(_cleanly_terminated(handler))
        yield Cluster(device)


@contextlib.contextmanager
def _quiet_environment() -> Iterator[None]:
    """Variables for Ray and its processes; afterwards all are as before."""
    before = dict(os.environ)
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@contextlib.contextmanager
def _cleanly_terminated(before: Any) -> Iterator[None]:
    """On SIGTERM end as after an interrupt, so that what Ray started ends too; Ray's own handler prints a stack.

    Args:
        before: The handler that stood before Ray's.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminated(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, before if callable(before) else terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _core_silent() -> Iterator[None]:
    """Keep what Ray's core writes past Python off the terminal: lost nodes get a line of our own.

    It writes to file descriptor 2 whatever it is set to; meanwhile Python's own `sys.stderr` is another one.
    """
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):  # and this prints about nodes whatever `log_to_driver` says
        worker.print_to_stdstream = lambda *_given, **_named: None
    stream = sys.stderr
    try:
        there = stream.fileno()
    except (AttributeError, OSError, ValueError):  # closed, or taken by someone else
        there = -1
    if there != 2:
        yield
        return
    stream.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        with os.fdopen(saved, "w", buffering=1, encoding=stream.encoding, errors=stream.errors, closefd=False) as ours:
            os.dup2(nowhere, 2)
            sys.stderr = ours
            yield
    finally:
        sys.stderr = stream
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder for a cluster of our own, under a path short enough for its sockets; what killed runs left goes."""
    base = Path(next((d for d in (tempfile.gettempdir(), "/tmp") if len(d) < 30), "."))  # noqa: S108 - short, for the paths of sockets
    for left in base.glob(f"{_PREFIX}*-*"):
        number = left.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if number.isdecimal() and left.stat().st_uid == os.getuid() and not is_alive(int(number)):
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=base))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path) -> None:
    """A cluster of this machine alone. Its token lives in the environment only."""
    import ray

    if not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ):
        os.environ["RAY_AUTH_TOKEN"] = _token()
    os.environ.pop("RAY_ADDRESS", None)
    try:
        ray.init(
            address="local",
            num_cpus=usable_cores(),
            object_store_memory=_store_bytes(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            namespace=_NAMESPACE,
            _temp_dir=str(folder),
        )
    except Exception as e:
        raise UserError(f"Ray does not start here ({one_line(f'{type(e).__name__}: {e}')[:300]})") from e


@cache
def _token() -> str:
    """Ray reads it once in a process."""
    return secrets.token_hex(32)


def _store_bytes() -> int:
    """Return the bytes that Ray's shared memory may hold: a few shares of texts and vectors a worker."""
    try:
        free = shutil.disk_usage("/dev/shm").free  # noqa: S108 - asked for its room only
    except OSError:
        return _STORE_BYTES
    return max(128 * 1024**2, min(_STORE_BYTES, free * 3 // 4))


def _join(executor: Executor) -> None:
    """Connect to a cluster that is there.

    Raises:
        UserError: why not, in one line.
    """
    import ray

    if executor.address != "auto":
        reachable(executor)
    _probe(executor.address)
    try:
        ray.init(
            address=executor.address,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            namespace=_NAMESPACE,
        )
    except Exception as e:
        raise UserError(_refusal(executor.address, f"{type(e).__name__}: {e}")) from e


def reachable(executor: Executor) -> None:
    """Return whether anything listens there.

    Raises:
        UserError: nothing does.
    """
    import socket

    try:
        socket.create_connection((executor.host, executor.port), timeout=ANSWER_SECONDS).close()
    except OSError as e:
        why = "no answer in 5 s" if isinstance(e, TimeoutError) else (e.strerror or str(e)).lower()
        raise UserError(
            f"no Ray cluster at {executor.address} ({why}): start one with `ray start --head`, or leave the address "
            "out for this machine alone"
        ) from e


def _probe(address: str) -> None:
    """Connect in a process of its own first: where something is wrong, Ray tries for minutes, or ends its process."""
    command = [sys.executable, "-m", "instructor_eval.run.ray.probe", address]
    try:
        done = subprocess.run(  # noqa: S603 # our own module, no shell; the address is one argument
            command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as e:
        raise UserError(
            f"what listens at {address} is no Ray cluster that answers in {PROBE_SECONDS:.0f} s: check the port and "
            "the token (docs/ray.md)"
        ) from e
    said = done.stdout.strip().splitlines()
    if not said or said[-1] != "connected":
        why = said[-1] if said else f"its process ended with {done.returncode}"
        raise UserError(_refusal(address, "no authentication" if "Unauthenticated" in done.stderr else why))


def _refusal(address: str, why: str) -> str:
    low = why.lower()
    if "could not find any running ray" in low:
        return "ray:auto: this machine is part of no Ray cluster: run `ray start --head` first, or give ray alone"
    if "auth" in low or "token" in low:
        return (
            f"the Ray cluster at {address} refuses our token: set RAY_AUTH_MODE=token, and give the cluster's token in "
            "RAY_AUTH_TOKEN or ~/.ray/auth_token (ray:auto finds the file by itself)"
        )
    if "version mismatch" in low:
        return f"the Ray cluster at {address} has another version of Ray or Python: {one_line(why)[:250]}"
    return (
        f"cannot use the Ray cluster at {address} ({one_line(why)[:250]}): this command must run on one of its nodes "
        "(`ray start --address` makes this machine one)"
    )
