"""Fixtures of the tests that run a model."""

from model_fixtures import _one_thread, instructor, instructor_folder, plain, plain_folder

__all__ = ["_one_thread", "instructor", "instructor_folder", "plain", "plain_folder"]
