"""The engine that multiplies int8: measured once on a machine, and then read from the user's cache folder.

A processor's name does not say which one is fastest: a container may hide instructions, wide ones may slow a
processor down, a build of torch may lack oneDNN's. All give the same bits.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import torch

from instructor_eval.cache.vectors import default_folder
from instructor_eval.core.environment import hardware
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.models.forms import int8_kernel
from instructor_eval.models.forms.products import Int8Linear, engines

FILE_NAME = "int8-engines.json"
SECONDS = 0.5
"""How long the candidates take turns."""
_ROWS, _INPUTS, _CHANNELS = 384, 768, 768  # a batch of T5-base, cut short
_MOST = 32  # machines that share a folder, and versions, that are remembered


@dataclass(frozen=True)
class Choice:
    """An engine, and what its competitors took."""

    engine: str
    milliseconds: dict[str, float]
    """Median time of one product, by engine."""
    measured: bool
    """It was measured by this process, not read."""

    def __str__(self) -> str:
        times = ", ".join(f"{name} {value:.2f} ms" for name, value in self.milliseconds.items())
        return f"int8 is multiplied by {self.engine}, the fastest here ({times})"


@cache
def choose(folder: Path | None = None) -> Choice:
    """Return the fastest engine on this machine: read from `folder`, or measured and written there.

    Args:
        folder: None: the user's cache folder. Where it cannot be written, every process measures.
    """
    path = (folder or default_folder()) / FILE_NAME
    key, known = _key(), _read(path)
    found = _choice(known.get(key))
    if found is not None and _is_available(found.engine):
        return found
    times = measure(engines())
    engine = min(times, key=times.__getitem__)
    known.pop(key, None)
    _write(path, dict([*known.items(), (key, {"engine": engine, "milliseconds": times})][-_MOST:]))
    return Choice(engine, times, measured=True)


@torch.inference_mode()
def measure(names: list[str], seconds: float = SECONDS) -> dict[str, float]:
    """Return the median time of one product in milliseconds, by engine; they take turns for so long."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(_CHANNELS, _INPUTS, generator=generator)
    x, bias = torch.randn(_ROWS, _INPUTS, generator=generator), torch.zeros(_CHANNELS)
    made = {name: Int8Linear(weight, bias, engine=name) for name in names}
    layers = {name: layer for name, layer in made.items() if layer.engine == name}  # oneDNN may have fallen back
    for layer in layers.values():
        layer(x)
    times: dict[str, list[float]] = {name: [] for name in layers}
    until = time.perf_counter() + seconds
    while not times[names[-1]] or time.perf_counter() < until:
        for name, layer in layers.items():
            started = time.perf_counter()
            layer(x)
            times[name].append(1000 * (time.perf_counter() - started))
    return {name: round(median(values), 4) for name, values in times.items()}


def _key() -> str:
    """Return what a choice holds for: the processor, the kernel, torch and its threads."""
    kernel = hashlib.blake2b(int8_kernel.SOURCE.read_bytes(), digest_size=8).hexdigest()
    processor = f"{hardware('cpu')['processor']} ({' '.join(int8_kernel.suited()) or 'no known instructions'})"
    return f"{processor}, kernel {kernel}, torch {torch.__version__}, threads {torch.get_num_threads()}"


def _is_available(engine: str) -> bool:
    if engine in int8_kernel.TARGETS:
        return engine in int8_kernel.suited() and int8_kernel.load(engine) is not None
    return engine in ("onednn", "float32")


def _choice(entry: Any) -> Choice | None:
    """Return what an entry of the file says, or None: anybody may have written it."""
    if not isinstance(entry, dict):
        return None
    engine, times = entry.get("engine"), entry.get("milliseconds")
    if not isinstance(engine, str) or not isinstance(times, dict):
        return None
    if not all(isinstance(value, float | int) for value in times.values()) or engine not in times:
        return None
    return Choice(engine, {str(name): float(value) for name, value in times.items()}, measured=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # not there, not text, not JSON
        return {}
    return known if isinstance(known, dict) else {}


def _write(path: Path, known: dict[str, Any]) -> None:
    text = json.dumps(known, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, lambda file: file.write(text.encode()))
    except OSError:  # the next process measures again
        return
