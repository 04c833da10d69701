"""The machine as far as it decides how fast a model runs. No torch, unless the device is a GPU."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

from instructor_eval.core.environment import VERSION, hardware, installed

_LIBRARIES = ("torch", "transformers", "tokenizers", "onnxruntime", "openvino")


def machine(device: str) -> dict[str, Any]:
    """Return what must be the same for two measured times to be comparable.

    `usable` and `omp_threads` decide how many threads torch takes, and are known without importing it.
    """
    known = hardware(device)
    return {
        **{key: known[key] for key in ("processor", "cores", "system", "gpu") if key in known},
        "usable": usable_cores(),
        "omp_threads": os.environ.get("OMP_NUM_THREADS"),
        "libraries": {"instructor-eval": VERSION, **installed(_LIBRARIES)},
    }


def usable_cores() -> int:
    """Cores that this process may run on: a container often has fewer than the machine."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, cores_of_container() or allowed)


def cores_of_container(path: Path = Path("/sys/fs/cgroup/cpu.max")) -> int | None:
    """The processor share that cgroup v2 grants, rounded up; None if there is no bound."""
    try:
        quota, period = path.read_text(encoding="ascii").split()
        return max(1, -(-int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or "max"
        return None


def available_memory(system: Path = Path("/proc/meminfo"), container: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that a process can still take, by the system and by the bound of cgroup v2; None where neither says it."""
    found = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        line = next(x for x in system.read_text(encoding="ascii").splitlines() if x.startswith("MemAvailable:"))
        found.append(1024 * int(line.split()[1]))
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
        most, used = ((container / f"memory.{name}").read_text(encoding="ascii") for name in ("max", "current"))
        found.append(max(0, int(most) - int(used)))
    return min(found, default=None)


def compilers() -> list[list[str]]:
    """The C compilers that are here, $CC first, each as the beginning of a command; that one works is not tried."""
    found: list[list[str]] = []
    for text in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        try:
            command = shlex.split(text)
        except ValueError:  # a quotation without its end
            continue
        if command and shutil.which(command[0]):
            found.append(command)
    return found


def processor_flags(path: Path = Path("/proc/cpuinfo")) -> set[str] | None:
    """The instructions that an x86 or ARM processor says it has; None where there is no such list."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        found = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):  # no Linux, or another kind
        return None
    return set(found.partition(":")[2].split())
