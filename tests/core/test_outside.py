from __future__ import annotations

import os
from pathlib import Path

import pytest

from instructor_eval.core.outside import read_bytes


def test_what_is_read_is_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("a")
    assert read_bytes(tmp_path / "link", 3) == b"abc"
    with pytest.raises(OSError, match="larger than 0 MB"):
        read_bytes(tmp_path / "a", 2)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, why in (
        ("fifo", "it is a FIFO, no regular file"),
        ("/dev/zero", "it is a device"),
        (".", "it is a folder"),
        ("a\0b", "null"),
    ):
        with pytest.raises(OSError, match=why):
            read_bytes(tmp_path / path)


def test_a_file_of_the_system_that_says_it_is_empty_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="larger"):
        read_bytes(Path("/proc/self/maps"), 100)
