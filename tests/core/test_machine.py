"""The machine's facts: its cores, its processor's instructions."""

from pathlib import Path

import pytest

from instructor_eval.core import machine


@pytest.mark.parametrize(
    ("content", "cores"), [("200000 100000\n", 2), ("150000 100000", 2), ("1000 100000", 1), ("max 100000\n", None)]
)
def test_the_cores_of_a_container(tmp_path: Path, content: str, cores: int | None) -> None:
    path = tmp_path / "cpu.max"
    path.write_text(content)
    assert machine.cores_of_container(path) == cores


def test_no_container(tmp_path: Path) -> None:
    assert machine.cores_of_container(tmp_path / "none") is None


def test_memory_that_is_free_is_the_least_of_system_and_container(tmp_path: Path) -> None:
    system = tmp_path / "meminfo"
    assert machine.available_memory(system, tmp_path) is None
    system.write_text("MemTotal:       99 kB\nMemAvailable:    5 kB\n")
    assert machine.available_memory(system, tmp_path) == 5 * 1024
    (tmp_path / "memory.current").write_text("1000\n")
    for most, left in (("max\n", 5 * 1024), ("3000\n", 2000), ("900\n", 0)):
        (tmp_path / "memory.max").write_text(most)
        assert machine.available_memory(system, tmp_path) == left


def test_flags_of_the_processor(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nmodel name\t: X\nflags\t\t: fpu avx2 fma\nprocessor : 1\nflags\t\t: other\n")
    assert {"fpu", "avx2", "fma"} <= (machine.processor_flags(info) or set())
    assert "other" not in (machine.processor_flags(info) or set())
    assert machine.processor_flags(tmp_path / "none") is None
    info.write_text("Processor: an ARM\n")
    assert machine.processor_flags(info) is None
