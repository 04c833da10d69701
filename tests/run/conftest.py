"""Fixtures of the tests that run a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
from model_fixtures import _one_thread, instructor, instructor_folder, plain, plain_folder

from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.find import ModelSpec, locate

__all__ = ["_one_thread", "instructor", "instructor_folder", "plain", "plain_folder"]


@pytest.fixture(scope="module")
def odd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint below a name full of shell."""
    return tiny.build_instructor(tmp_path_factory.mktemp("models") / "tiny 'odd; $(x)", include_prompt_key=True)


@pytest.fixture(scope="module")
def checkpoint(odd_folder: Path) -> Checkpoint:
    return locate(ModelSpec.parse(str(odd_folder)), offline=True, known=[])
