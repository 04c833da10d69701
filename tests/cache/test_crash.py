"""Processes that are killed, interrupted, many at once, or have no room: what the cache then holds is right.

`crash_driver.py` does it, in a process of its own; the sizes of commits and windows are small there.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SAME = 1e-6
SCENARIOS = ["kills", "together", "interrupt", "full", "read_only"]


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory, instructor_folder: Path) -> dict[str, Any]:
    """The report of each scenario."""
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("crash_driver.py")),
            str(instructor_folder),
            str(tmp_path_factory.mktemp("crash")),
            *SCENARIOS,
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_a_hundred_kills_lose_no_more_than_a_chunk_each(driven: dict[str, Any]) -> None:
    kills = driven["kills"]
    assert kills["kills"] >= 100
    assert kills["rounds"] < 50, "children get on before they are killed"
    assert max(kills["excess"]) <= 0, "texts computed: each once, and a chunk a kill"
    assert 0 < kills["worst_loss"] <= driven["chunk"]


def test_no_kill_leaves_a_wrong_vector(driven: dict[str, Any]) -> None:
    kills = driven["kills"]
    assert kills["off"] < SAME
    assert (kills["changed"], kills["lost"]) == (0, 0), "what was read once stays, bit for bit"
    assert kills["errors"] == []


def test_several_at_once_on_one_cache(driven: dict[str, Any]) -> None:
    together = driven["together"]
    assert together["codes"] == [0, 0, 0]
    assert together["stored"] == driven["texts"]
    assert together["errors"] == []
    for report in [together, *together["reports"]]:
        assert report["off"] < SAME
    assert [r["warnings"] for r in together["reports"]] == [[], [], []]


def test_an_interrupt_keeps_what_was_done(driven: dict[str, Any]) -> None:
    interrupt = driven["interrupt"]
    assert interrupt["code"] == 130
    assert 500 <= interrupt["begun"] < driven["texts"]
    assert interrupt["begun"] - driven["chunk"] <= interrupt["stored"] <= interrupt["begun"]
    assert interrupt["off"] < SAME
    assert interrupt["errors"] == []
    resumed = interrupt["resumed"]
    assert (resumed["hits"], resumed["warnings"]) == (interrupt["stored"], [])
    assert resumed["off"] < SAME


def test_a_full_disk_costs_one_warning(driven: dict[str, Any]) -> None:
    stored = []
    for room, report in driven["full"].items():
        assert report["code"] == 0, room
        [line] = report["warnings"]
        assert "cannot be" in line
        assert "\n" not in line
        assert report["off"] < SAME
        assert report["stored_off"] < SAME
        assert report["errors"] == []
        stored.append(report["stored"])
    assert stored[0] == 0
    assert 0 < stored[-1] < driven["texts"], "some transactions ended before the disk was full"


def test_a_read_only_cache_serves_what_it_has(driven: dict[str, Any]) -> None:
    report = driven["read_only"]
    assert (report["code"], report["hits"], report["errors"]) == (0, 600, [])
    [line] = report["warnings"]
    assert "cannot be written" in line
    assert "\n" not in line
    assert report["off"] < SAME
