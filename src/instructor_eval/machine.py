"""The machine as far as it decides how fast a model runs. No torch, unless the device is a GPU."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Any

import instructor_eval
from instructor_eval.environment import hardware

_LIBRARIES = ("torch", "transformers", "tokenizers", "onnxruntime", "openvino")


def machine(device: str) -> dict[str, Any]:
    """What must be the same for two measured times to be comparable.

    `usable` and `omp_threads` decide how many threads torch takes, and are known without importing it.
    """
    known = hardware(device)
    return {
        **{key: known[key] for key in ("processor", "cores", "system", "gpu") if key in known},
        "usable": usable_cores(),
        "omp_threads": os.environ.get("OMP_NUM_THREADS"),
        "libraries": {"instructor-eval": instructor_eval.__version__, **_versions()},
    }


def usable_cores() -> int:
    """Cores that this process may run on: a container often has fewer than the machine."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return min(allowed, max(1, -(-int(quota) // int(period))))
    except (OSError, ValueError):  # no such file, or "max"
        return allowed


def memory() -> tuple[int, int]:
    """Bytes of this process in memory now, and at most so far.

    On Linux both are those of this program alone. `ru_maxrss`, which other systems are asked for, is handed on from
    the process that started it: a child of one with a model in memory seems to have had that model too.
    """
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        sizes = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
        if "VmRSS" in sizes and "VmHWM" in sizes:
            return int(sizes["VmRSS"][0]) * 1024, int(sizes["VmHWM"][0]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak, peak


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
