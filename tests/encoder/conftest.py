"""Tiny checkpoints, made once; who changes one copies it first."""

import time
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from caches import DAY, A, B, Clock, fill, space_of
from checkpoints import engine

from instructor_eval.cache.vectors import Space
from instructor_eval.models.engine import Engine


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """The networks are tiny, and the tests run beside each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def instructor_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny INSTRUCTOR without any sign of its family, as InstructorEmbedding 1.0.1 can load it."""
    return tiny.build_instructor(tmp_path_factory.mktemp("checkpoint") / "tiny-t5")


@pytest.fixture(scope="session")
def plain_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT of the all-MiniLM kind."""
    return tiny.build_plain(tmp_path_factory.mktemp("checkpoint") / "tiny-bert")


@pytest.fixture(scope="session")
def instructor(instructor_folder: Path) -> Engine:
    return engine(instructor_folder, family="instructor")


@pytest.fixture(scope="session")
def plain(plain_folder: Path) -> Engine:
    return engine(plain_folder)


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Space, list[bytes], np.ndarray]]:
    """Two models: `a` was used ten days before `b`, which was used now."""
    clock = Clock(monkeypatch)
    clock.now = time.time() - 10 * DAY
    found = {"a": (space_of(A), *fill(tmp_path, space_of(A)))}
    clock.now += 10 * DAY
    return found | {"b": (space_of(B, dim=7), *fill(tmp_path, space_of(B, dim=7), writes=2))}
