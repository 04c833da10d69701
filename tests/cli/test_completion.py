"""Shells complete commands, flags and names: what `evaluate` answers them, and the shells themselves, typed into."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forked import wait

from instructor_eval.cli.completion import SHELLS
from instructor_eval.cli.main import COMMANDS, entry
from instructor_eval.results.store import Store
from instructor_eval.tasks.cards import shipped_cards

MakeScore = Callable[..., Any]
BIN = Path(sys.executable).parent
_PATIENCE = 60.0


@pytest.fixture
def folder(tmp_path: Path, make_score: MakeScore) -> Path:
    """A folder with results, a card, a table and a text."""
    Store(tmp_path / "results").write(make_score("STS12", 0.5, model="org/mine"))
    Store(tmp_path / "results").write(make_score("STS12", 0.5, model="org/$(touch x)"))
    for name in ("card.yaml", "table.csv", "text.txt"):
        (tmp_path / name).touch()
    return tmp_path


def asked(folder: Path, line: str) -> dict[str, str]:
    """The variables by which the shells' scripts ask."""
    return {
        "PATH": os.environ["PATH"], "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line,
        "COMP_POINT": str(len(line)), "_ARGCOMPLETE_STDOUT_FILENAME": str(folder / "answer"),
    }  # fmt: skip


def completions(folder: Path, line: str) -> list[str]:
    """The answers of `evaluate`, in a process that has everything imported."""
    process = os.fork()
    if not process:
        try:
            os.chdir(folder)
            os.environ.update(asked(folder, line))
            entry()  # leaves by os._exit
        finally:
            os._exit(1)
    assert wait(process) == 0
    return (folder / "answer").read_text().rstrip().splitlines()


@pytest.mark.parametrize(("line", "expected"), [
    ("evaluate --task STS1", [f"STS1{n}" for n in range(2, 8)]),
    ("evaluate run --task STS12,SciF", ["STS12,SciFact"]),
    ("evaluate --task ca", ["card.yaml"]),
    ("evaluate --task ta", ["table.csv"]),
    ("evaluate --task te", []),
    ("evaluate --domain=me", ["--domain=medical"]),
    ("evaluate --type STS,Retr", ["STS,Retrieval"]),
    ("evaluate --benchmark bil", ["billboard"]),
    ("evaluate --model or", ["org/mine"]),
    ("evaluate --model mini", ["minilm"]),
    ("evaluate --model hkunlp/instructor-l", ["hkunlp/instructor-large"]),
    ("evaluate --instructions pap", ["paper"]),
    ("evaluate --variant fp32,int8-d", ["fp32,int8-dynamic"]),
    ("evaluate --protocol pair_ap=c", ["pair_ap=cosine"]),
    ("evaluate --limit ", []),
    ("evaluate --hub r", ["results/"]),
    ("evaluate --truncate", ["--truncate-dim"]),
    ("evaluate --results results --mod", ["--model"]),
    ("evaluate lead", ["leaderboard"]),
    ("evaluate help lead", ["leaderboard"]),
    ("evaluate leaderboard --format l", ["latex"]),
    ("evaluate tasks Argu", ["ArguAna"]),
    ("evaluate compare or", ["org/mine@fp32:paper"]),
    ("evaluate baseline set or", ["org/mine@fp32:paper"]),
    ("evaluate cache v", ["verify"]),
    ("evaluate study chunks --siz", ["--sizes"]),
])  # fmt: skip
def test_what_is_offered(folder: Path, line: str, expected: list[str]) -> None:
    assert completions(folder, line) == expected
    assert not (folder / "x").exists()


def test_commands_and_tasks_are_all_offered(folder: Path) -> None:
    assert completions(folder, "evaluate ") == ["run", "help", *COMMANDS]
    assert {*shipped_cards()} <= {*completions(folder, "evaluate --task ")}


def test_a_damaged_results_folder_offers_what_else_there_is(folder: Path) -> None:
    next((folder / "results" / "scores").rglob("*.json")).write_text("{")
    assert completions(folder, "evaluate compare res") == ["results/"]


def test_an_answer_needs_nothing_that_is_slow(folder: Path) -> None:
    for line in ("evaluate --task S", "evaluate --model m", "evaluate --variant f"):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "instructor_eval"],
            cwd=folder, env=asked(folder, line), capture_output=True, text=True, check=True,
        )  # fmt: skip
        loaded = {row.split("|")[-1].strip() for row in done.stderr.splitlines()}
        assert "argcomplete" in loaded
        assert not loaded & {"torch", "mteb", "transformers", "scipy", "pyarrow"}


# Typed into shells


class Terminal:
    """A shell on a terminal."""

    def __init__(self, command: list[str], folder: Path) -> None:
        process, self.place = pty.fork()
        if not process:
            environment = {
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "HOME": str(folder),
                "TERM": "dumb",
                "PS1": "$ ",
                "LC_ALL": "C.UTF-8",
            }
            os.chdir(folder)
            os.execvpe(command[0], command, environment)
        self.process, self.seen = process, ""

    def send(self, text: str) -> None:
        os.write(self.place, text.encode())

    def until(self, text: str) -> None:
        """Read until a text was shown since the last one."""
        end = time.monotonic() + _PATIENCE
        while text not in self.seen:
            ready = select.select([self.place], [], [], max(0.0, end - time.monotonic()))[0]
            assert ready, f"no {text!r} in {self.seen!r}"
            try:
                part = os.read(self.place, 65536)
            except OSError as e:  # the shell has ended
                raise AssertionError(f"no {text!r} in {self.seen!r}") from e
            self.seen += part.decode(errors="replace")
        self.seen = self.seen.partition(text)[2]

    def close(self) -> None:
        os.close(self.place)
        os.waitpid(self.process, 0)


SCRIPTS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(evaluate completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -U compinit; compinit -u -D; eval "$(evaluate completion zsh)"'),
    "fish": (["fish", "--no-config", "--interactive"], "evaluate completion fish | source"),
}


@pytest.fixture(params=SHELLS)
def terminal(request: pytest.FixtureRequest, folder: Path) -> Iterator[Terminal]:
    command, load = SCRIPTS[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]} on this machine")
    shell = Terminal(command, folder)
    shell.send(f"{load}; echo loa''ded\n")
    shell.until("loaded")
    yield shell
    shell.close()


def test_a_shell_completes_what_is_typed(terminal: Terminal) -> None:
    terminal.send("evaluate tasks Argu\t")
    terminal.until("ArguAna")
    terminal.send("\n")
    terminal.until("ArguAna: Retrieval, benchmark mteb")
    terminal.send("evaluate tasks --domain medical,fin\t")
    terminal.until("medical,financial")
    terminal.send(" --format json --ty\t")
    terminal.until("--type")
    terminal.send(" STS\n")
    terminal.until('"BIOSSES"')
    terminal.send("evaluate models --results resu\t")
    terminal.until("results/")
    terminal.send("\n")
    terminal.until("org/mine")
