"""The environment of a score: library versions, machine, memory."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

_LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "mteb",
    "datasets",
    "numpy",
    "scipy",
    "scikit-learn",
    "pytrec-eval-terrier",
    "rouge-score",
    "bm25s",
)


VERSION = importlib.metadata.version("instructor-eval")


@cache
def versions() -> dict[str, str]:
    """Versions of ourselves, Python and the libraries that can change a number; those not installed are left out."""
    return {
        "instructor-eval": VERSION,
        "python": platform.python_version(),
        **installed(_LIBRARIES),
    }


def installed(names: Iterable[str]) -> dict[str, str]:
    """The versions of those of these libraries that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def hardware(device: str) -> dict[str, Any]:
    """The machine, and the device that encoded."""
    found: dict[str, Any] = {
        "device": device,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "peak_memory_mb": peak_memory_mb(),
    }
    if device.startswith("cuda"):
        import torch

        found["gpu"] = torch.cuda.get_device_name(device)
        found["peak_gpu_memory_mb"] = torch.cuda.max_memory_allocated(device) // 1024**2
    return found


def peak_memory_mb() -> int:
    """The largest resident size of this process so far, in MiB."""
    return memory()[1] // 1024**2


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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak, peak
