"""A cold start in a process of its own: what it tells, and how it fails."""

from __future__ import annotations

import dataclasses
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instructor_eval.core.environment import memory
from instructor_eval.core.errors import UserError
from instructor_eval.core.sample_texts import INSTRUCTION
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.results.costs import Cold
from instructor_eval.run import child as measure_child
from instructor_eval.run import cold_start as cold_start_module
from instructor_eval.run.cold_start import cold_start

pytestmark = pytest.mark.usefixtures("one_thread")


def order(checkpoint: Checkpoint) -> dict[str, Any]:
    return {"device": "cpu", "instruction": INSTRUCTION, "texts": 8}


@pytest.mark.slow
def test_a_process_of_its_own(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Really started, once: in a folder where a file would stand in for a library, from a path full of shell."""
    (tmp_path / "json.py").write_text("raise RuntimeError('this is not the library')")
    monkeypatch.chdir(tmp_path)
    held = np.ones(600_000_000, dtype=np.uint8)  # this process's memory is none of that one's
    cold = cold_start(dataclasses.replace(checkpoint, variant="bf16"), **order(checkpoint))
    assert min(cold.import_seconds, cold.load_seconds, cold.first_vector_seconds) > 0
    assert cold.seconds == pytest.approx(cold.import_seconds + cold.load_seconds + cold.first_vector_seconds)
    assert 0 < cold.memory_before_bytes <= cold.memory_peak_bytes
    assert cold.memory_after_bytes <= cold.memory_peak_bytes
    assert cold.peak_bytes == cold.memory_peak_bytes
    assert cold.gpu_peak_bytes is None
    if sys.platform == "linux":
        assert cold.memory_peak_bytes < memory()[0]
    del held


def test_the_same_in_this_process(checkpoint: Checkpoint) -> None:
    answer = measure_child.run(
        {
            "folder": str(checkpoint.folder), "model": "m", "revision": "r", "family": "instructor", "form": "fp32",
            "fingerprint": "not worked out again", "batch_tokens": None, "trust_remote_code": False,
            "compiled": False, "started": 0.0, **order(checkpoint),
        }
    )  # fmt: skip
    assert set(answer) == {f.name for f in dataclasses.fields(Cold)}


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was killed, as systems do when memory runs out"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", f"was ended by {signal.SIGTERM.name}"),
        ("import sys; sys.exit('model m cannot be read: copy it')", "failed: model m cannot be read: copy it"),
        ("import sys; sys.exit(3)", "failed: exit code 3"),
        ("print('hello')", "failed: Expecting value"),
        ("print('{}')", "failed: .*missing 6 required"),
    ],
)
def test_how_a_process_fails_is_said_in_one_line(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    monkeypatch.setattr(cold_start_module, "_COMMAND", [sys.executable, "-c", program])
    with pytest.raises(UserError, match=message) as caught:
        cold_start(checkpoint, **order(checkpoint))
    assert str(caught.value).startswith(f"variant fp32 of {checkpoint.name}, in a process of its own, ")
    assert str(caught.value).endswith(": what is measured is filed, `evaluate measure` tries this again")


def test_a_process_that_cannot_be_started_or_does_not_end(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cold_start_module, "_COMMAND", [str(tmp_path / "no-python")])
    with pytest.raises(UserError, match=r"could not be measured .*No such file"):
        cold_start(checkpoint, **order(checkpoint))
    monkeypatch.setattr(cold_start_module, "_COMMAND", [sys.executable, "-c", "import time; time.sleep(60)"])
    monkeypatch.setattr(cold_start_module, "_TIMEOUT", 0.1)
    with pytest.raises(UserError, match=r"could not be measured .*timed out"):
        cold_start(checkpoint, **order(checkpoint))
