"""Runs a part of a benchmark in a process of its own, so that what one part loads or caches does not help another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any


def run(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> tuple[float, str]:
    """Wall seconds and standard output of a command; where it fails, its errors are shown and the benchmark ends."""
    started = time.perf_counter()
    done = subprocess.run(
        [str(part) for part in command], env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr[-3000:]}\nended with {done.returncode}")
    return seconds, done.stdout


def worker(script: str, order: Mapping[str, Any], env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The last line that `script` prints when started as `script --worker ORDER`, with the wall time as `wall`."""
    seconds, out = run([sys.executable, script, "--worker", json.dumps(order)], env)
    return {**json.loads(out.strip().splitlines()[-1]), "wall": seconds}


def order_given() -> dict[str, Any] | None:
    """The order, in a process that `worker` started; None in the one that the user started."""
    if len(sys.argv) == 3 and sys.argv[1] == "--worker":
        order: dict[str, Any] = json.loads(sys.argv[2])
        return order
    return None


def serve(part: Callable[[dict[str, Any]], dict[str, Any]]) -> bool:
    """Return whether `worker` started this process; if so `part` has done its order, and the result is printed."""
    order = order_given()
    if order is not None:
        print(json.dumps(part(order)))
    return order is not None


def middle(runs: Sequence[Mapping[str, Any]], key: str) -> float:
    """Median of one value over repeated runs."""
    return float(median(r[key] for r in runs))
