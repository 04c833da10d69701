"""Nothing of a server is left, whatever ends its tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from real_server import HERE, RealServer
from waiting import wait_for

PARENT = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
PARENT += "open(sys.argv[1], 'w').write(f'{p.pid} {__import__(\"os\").getpid()}'); time.sleep(600)"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def pids(file: Path) -> list[int]:
    wait_for(lambda: file.exists() and len(file.read_text().split()) == 2, "both processes run")
    found = [int(pid) for pid in file.read_text().split()]
    assert all(alive(pid) for pid in found)
    return found


def test_a_killed_server_leaves_no_process_behind(tmp_path):
    file = tmp_path / "pids"
    with RealServer([sys.executable, "-c", PARENT, file], file.exists, tmp_path / "log"):
        found = pids(file)
    wait_for(lambda: not any(alive(pid) for pid in found), "both have ended")


def test_a_server_ends_when_the_tests_process_is_killed(tmp_path):
    file = tmp_path / "pids"
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r}); from pathlib import Path; from real_server import RealServer\n"
        "import time; file = Path(sys.argv[1])\n"
        f"RealServer([sys.executable, '-c', {PARENT!r}, file], file.exists, file.parent / 'log').start()\n"
        "time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, file])
    try:
        found = pids(file)
    finally:
        holder.kill()
        holder.wait()
    wait_for(lambda: not any(alive(pid) for pid in found), "both have ended")


def test_a_server_that_ends_at_once_is_shown_with_what_it_said(tmp_path):
    code = "print('no such model'); raise SystemExit(3)"
    with pytest.raises(AssertionError, match="no such model"):
        RealServer([sys.executable, "-c", code], lambda: False, tmp_path / "log").start()
