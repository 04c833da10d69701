"""docs/terminal.md is a session on a terminal of 80 columns: each command prints there what the document shows.

Times are left out; `ACCEPT=1` (with `-m slow`) writes what is printed now into the document.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping
from pathlib import Path

import pyte
import pytest
from test_acceptance import ACCEPT, EVALUATE, steady

DOCUMENT = Path(__file__).parents[2] / "docs" / "terminal.md"
WIDTH = 80
_ROOM = 500
"""A line that the command leaves to the terminal to break stays whole: it is there to be copied."""


def session(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """The text on the terminal when a command has ended, without what passed by."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    process = subprocess.Popen(
        [EVALUATE, *command.split()], cwd=folder, env=environment, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    written = bytearray()
    while True:
        try:
            written += os.read(ours, 65536)
        except OSError:  # Linux says so when nobody can write any more
            break
    os.close(ours)
    screen = pyte.Screen(_ROOM, _ROOM)
    pyte.Stream(screen).feed(written.decode())
    code, lines = process.wait(), "\n".join(line.rstrip() for line in screen.display).strip("\n")
    return f"$ evaluate {command}\n{lines}\n" + (f"$ echo $?\n{code}\n" if code else "")


def same(text: str) -> str:
    """`text` on one line, as a time's length moves where lines are broken."""
    return steady(" ".join(text.split()), Path("/nowhere"))


@pytest.mark.slow
def test_the_document_shows_what_the_commands_print(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "TERM": "xterm",
                   "NO_COLOR": "1", "INSTRUCTOR_EVAL_CACHE": cache, "HF_HUB_OFFLINE": "1"}  # fmt: skip
    text = DOCUMENT.read_text(encoding="utf-8")
    blocks = re.findall(r"```text\n(\$ evaluate ([^\n]*)\n.*?)```", text, re.DOTALL)
    assert len(blocks) == text.count("$ evaluate ") == 6
    for shown, command in blocks:
        found = session(command, tmp_path, environment)
        wide = [line for line in found.splitlines() if len(line) > WIDTH]
        assert [line for line in wide if not line.startswith("  run it again: ")] == []
        if ACCEPT and same(found) != same(shown):
            text = text.replace(shown, found)
            DOCUMENT.write_text(text, encoding="utf-8")
        else:
            assert same(found) == same(shown)
