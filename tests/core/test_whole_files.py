from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from instructor_eval.core import whole_files
from instructor_eval.core.whole_files import atomic_write, remove_left_behind
from instructor_eval.results.store import Store

STUCK = (
    "import sys, time; from pathlib import Path; from instructor_eval.core.whole_files import atomic_write\n"
    "def stuck(f):\n    f.write(b'half'); f.flush(); print('writing', flush=True); time.sleep(600)\n"
    "atomic_write(Path(sys.argv[1]), stuck)"
)


@pytest.fixture(autouse=True)
def afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_files, "_CLEANED", set())


def writer(path: Path) -> subprocess.Popen[bytes]:
    """A process in the middle of writing a file."""
    process = subprocess.Popen([sys.executable, "-c", STUCK, path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    return process


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_the_next_write_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    killed, living = writer(tmp_path / "a.json"), writer(tmp_path / "b.json")
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert [name.split(".")[1] for name in hidden(tmp_path)] == ["a", "b"]
        atomic_write(tmp_path / "c.json", lambda f: f.write(b"whole"))
        [left] = hidden(tmp_path)
        assert left.startswith(".b.json.")
        assert f"-{living.pid}." in left
    finally:
        living.kill()
        for process in (killed, living):
            process.communicate()
    assert not (tmp_path / "a.json").exists()
    assert (tmp_path / "c.json").read_bytes() == b"whole"


def test_a_run_looks_through_the_whole_results_folder(tmp_path: Path) -> None:
    folder = tmp_path / "scores" / "model" / "paper"
    folder.mkdir(parents=True)
    process = writer(folder / "a.json")
    process.kill()
    process.communicate()
    Store(tmp_path).check_writable()
    assert hidden(folder) == []


def test_of_another_machine_it_goes_after_a_day(tmp_path: Path) -> None:
    young, old = (tmp_path / f".a.json.0badcafe-1.{name}.tmp" for name in ("abcdefgh", "ijklmnop"))
    for path in (young, old):
        path.touch()
    yesterday = time.time() - 25 * 60 * 60
    os.utime(old, (yesterday, yesterday))
    remove_left_behind(tmp_path)
    assert hidden(tmp_path) == [young.name]


@pytest.mark.parametrize(
    "name",
    [".a.json.tmp", ".a.json.abcdefgh.tmp", "a.json.0badcafe-1.abcdefgh.tmp", ".a.0badcafe-x.abcdefgh.tmp",
     ".a.0badcafe-1.abcdefgh.tmp.keep", ".0badcafe-1.abcdefgh.tmp", ".a.0badcafe-01.abcdefgh.tmp"],
)  # fmt: skip
def test_others_files_stay(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    long_ago = time.time() - 10 * 24 * 60 * 60
    os.utime(tmp_path / name, (long_ago, long_ago))
    remove_left_behind(tmp_path)
    assert (tmp_path / name).exists()


def test_links_and_folders_of_that_name_stay(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    (tmp_path / ".a.0badcafe-1.abcdefgh.tmp").symlink_to("mine")
    (tmp_path / ".b.0badcafe-1.abcdefgh.tmp").mkdir()
    for name in (".a", ".b"):
        os.utime(tmp_path / f"{name}.0badcafe-1.abcdefgh.tmp", (0, 0), follow_symlinks=False)
    remove_left_behind(tmp_path)
    assert len(hidden(tmp_path)) == 2
