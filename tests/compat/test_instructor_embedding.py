"""`InstructorEmbedding` is answered by this package."""

from __future__ import annotations

import importlib
import subprocess
import sys

from instructor_eval import INSTRUCTOR


def test_the_name_is_answered() -> None:
    shim = importlib.import_module("instructor_eval.compat.instructor_embedding")
    try:
        assert importlib.import_module("InstructorEmbedding").INSTRUCTOR is INSTRUCTOR
        assert importlib.import_module("InstructorEmbedding.instructor").INSTRUCTOR is INSTRUCTOR
        assert shim.install().INSTRUCTOR is INSTRUCTOR
    finally:
        for name in ("InstructorEmbedding", "InstructorEmbedding.instructor"):
            sys.modules.pop(name, None)


def test_nothing_answers_without_it() -> None:
    code = "import instructor_eval, importlib.util as u; assert u.find_spec('InstructorEmbedding') is None"
    subprocess.run([sys.executable, "-c", code], check=True)
