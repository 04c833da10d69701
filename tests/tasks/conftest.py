"""Fixtures of the tests of tasks."""

import datasets
import pytest
from model_fixtures import _one_thread, instructor, instructor_folder, plain, plain_folder

__all__ = ["_one_thread", "instructor", "instructor_folder", "plain", "plain_folder"]


@pytest.fixture(autouse=True)
def own_datasets_cache(tmp_path_factory, monkeypatch):
    """`datasets` keeps its tables in a folder of the test's own."""
    folder = tmp_path_factory.mktemp("datasets-cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    return folder
