"""Fixtures of the cache's tests."""

import time
from pathlib import Path

import numpy as np
import pytest
from caches import DAY, A, B, Clock, fill, space_of
from model_fixtures import _one_thread, instructor, instructor_folder, plain, plain_folder

from instructor_eval.cache.vectors import Space

__all__ = ["_one_thread", "instructor", "instructor_folder", "plain", "plain_folder"]


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Space, list[bytes], np.ndarray]]:
    """Two models: `a` was used ten days before `b`, which was used now."""
    clock = Clock(monkeypatch)
    clock.now = time.time() - 10 * DAY
    found = {"a": (space_of(A), *fill(tmp_path, space_of(A)))}
    clock.now += 10 * DAY
    return found | {"b": (space_of(B, dim=7), *fill(tmp_path, space_of(B, dim=7), writes=2))}
