from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from instructor_eval.results.checksums import identity

PARTS = {"fingerprint": "ab", "instructions": {"query": "ü ", "document": ""}, "limit": None, "seed": 42}
PARTS["path"] = Path("x")


def test_identity_is_the_same_in_every_process() -> None:
    program = (
        "from pathlib import Path; from instructor_eval.results.checksums import identity\n"
        f"from pathlib import PosixPath, WindowsPath\nprint(identity({PARTS!r}))"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PATH": os.environ["PATH"], "PYTHONHASHSEED": seed, "PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1")
    }
    assert made == {identity(PARTS)}


def test_identity_is_pinned() -> None:
    assert identity({"b": [1, 2.5, None], "a": "é\ud800"}) == identity({"a": "é\ud800", "b": [1, 2.5, None]})
    assert identity({"task": "ArguAna", "limit": None}) == "dec77f3ec7585767"


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "ac"}, {"limit": 0}, {"limit": "None"}, {"seed": 43}, {"seed": "42"}, {"more": None},
        {"instructions": {"query": "ü", "document": ""}}, {"instructions": {"query": "", "document": "ü "}},
    ],
)  # fmt: skip
def test_identity_changes_with_every_part(change: dict[str, Any]) -> None:
    assert identity(PARTS | change) != identity(PARTS)
