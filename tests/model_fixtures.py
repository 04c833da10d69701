"""Tiny checkpoints, made once a process; who changes one copies it first."""

from pathlib import Path

import pytest
import tiny
import torch
from checkpoints import engine

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
