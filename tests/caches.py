"""Steps of the cache's tests: open, fill, read and look into caches, alone and from other processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from waiting import LONGEST

from instructor_eval.cache import blocks
from instructor_eval.cache import vectors as module
from instructor_eval.cache.blocks import VECTORS
from instructor_eval.cache.database import open_existing
from instructor_eval.cache.vectors import Space, VectorCache, keys_of

DAY = 86400
A, B = "a" * 16, "b" * 16


def space(dim: int = 16, dtype: str = "float32", fingerprint: str = "f" * 16, name: str = "org/model") -> Space:
    return Space(fingerprint, name, "main", "fp32", dim, dtype)


def fail(line: str) -> None:
    raise AssertionError(line)


def opened(folder: Path, *, warn: Callable[[str], object] = fail, **settings: object) -> VectorCache:
    return VectorCache(folder, warn=warn, **settings)  # type: ignore[arg-type]  # fields by name


def made(n: int, dim: int = 16, *, seed: int = 0, fingerprint: str = "f" * 16) -> tuple[list[bytes], np.ndarray]:
    keys = keys_of(fingerprint, f"seed {seed}", [str(i) for i in range(n)])
    return keys, np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def read(cache: object, of: Space, keys: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    out = np.full((len(keys), of.dim), np.nan, dtype=np.float32)
    hit = cache.read(of, keys, out)  # type: ignore[attr-defined] # any kind of cache
    assert hit.shape == (len(keys),)
    assert np.isnan(out[~hit]).all(), "a place without a hit was written to"
    return hit, out


def hits(cache: object, of: Space, keys: Sequence[bytes], vectors: np.ndarray) -> np.ndarray:
    """Where there is a hit; every one of them is right, bit for bit."""
    hit, out = read(cache, of, keys)
    assert out[hit].tobytes() == vectors[hit].tobytes()
    return hit


def filled(folder: Path, *, blocks: int = 24, rows: int = 20, dim: int = 64) -> tuple[list[bytes], np.ndarray]:
    """A closed cache of many blocks."""
    keys, vectors = made(blocks * rows, dim)
    cache = opened(folder)
    for start in range(0, len(keys), rows):
        cache.write(space(dim), keys[start : start + rows], vectors[start : start + rows])
    cache.close()
    return keys, vectors


def sql(folder: Path, statement: str, *values: object) -> list[tuple]:
    with open_existing(folder, VECTORS) as connection:
        return connection.execute(statement, values).fetchall()


def program(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that has what is imported here at hand."""
    head = (
        "import itertools, os, select, signal, sys, time\nfrom pathlib import Path\nimport numpy as np\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from forked import end_after, wait\nfrom waiting import LONGEST\n"
        "from instructor_eval.cache.vectors import *\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, err
    return out


class Clock:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_800_000_000.0
        fake = SimpleNamespace(time=lambda: self.now, monotonic=module.time.monotonic, sleep=module.time.sleep)
        monkeypatch.setattr(module, "time", fake)
        monkeypatch.setattr(blocks, "time", fake)


def space_of(fingerprint: str, **changes: object) -> Space:
    fields = {"name": f"org/{fingerprint[0]}", "revision": "r1", "variant": "bf16", "dim": 32, "dtype": "float32"}
    return Space(fingerprint, **{**fields, **changes})  # type: ignore[arg-type]  # fields by name


def fill(folder: Path, of: Space, *, writes: int = 4, rows: int = 25, seed: int = 0) -> tuple[list[bytes], np.ndarray]:
    keys, vectors = made(writes * rows, of.dim, seed=seed, fingerprint=of.fingerprint)
    cache = opened(folder)
    for start in range(0, len(keys), rows):
        cache.write(of, keys[start : start + rows], vectors[start : start + rows])
    cache.close()
    return keys, vectors
