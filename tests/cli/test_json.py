"""`--json`: one document on standard output and nothing else, with the fields that docs/commands.md names."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_results
import numpy as np
import pytest

from instructor_eval.cache.vectors import Space, VectorCache, default_folder, keys_of
from instructor_eval.cli.main import COMMANDS, parser_of
from instructor_eval.results.score import Score

Run = Callable[..., Any]
DOCUMENT = Path(__file__).parents[2] / "docs" / "commands.md"
FEW = {task: made_results.TASKS[task] for task in ("SciFact", "STS12", "RTE")}
COMMAND = {
    "evaluate tasks TASK": ("tasks", "ArguAna"),
    "evaluate compare A B": ("compare", "minilm", "minilm@int8"),
    "evaluate gate": ("gate", "--candidate", "minilm@int8"),
    "evaluate plan": ("plan", "--model", "minilm", "--task", "DemoSTS", "--limit", "5", "--device", "cpu"),
}
"""The command to run, where the name alone lacks arguments."""
ELSEWHERE = {"evaluate overlap", "evaluate measure"}
"""These read training data, or compute: tests/training/test_overlap.py, tests/cli/test_cli_measure.py."""


def documented() -> dict[str, list[str]]:
    """Command -> the fields that the document names."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("## For programs")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(evaluate [^`]+)` \| [^|]+ \| (.+) \|$", section, re.MULTILINE)
    return {command: re.findall(r"`([^`]+)`", fields) for command, fields in rows}


@pytest.fixture
def folder(tmp_path: Path, make_score: Callable[..., Score], cli: Run) -> Path:
    """Results, a baseline and a cache, where `cli` looks for them."""
    made_results.file(tmp_path / "results", make_score, tasks=FEW)
    made_results.file(tmp_path / "results", make_score, tasks=FEW, variant="int8")
    assert cli("baseline", "set", "minilm").code == 0
    space = Space(fingerprint="f" * 16, name="m", revision="r", variant="fp32", dim=2)
    with contextlib.closing(VectorCache(default_folder(), limit=2**30, warn=print)) as cache:
        cache.write(space, keys_of(space.fingerprint, "", ["a"]), np.ones((1, 2), dtype=np.float32))
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", [name for name in documented() if name not in ELSEWHERE])
def test_json_is_one_document_with_the_documented_fields(command: str, cli: Run) -> None:
    words = COMMAND.get(command, command.split()[1:])
    done = cli(*words, "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert found
    for one in found if isinstance(found, list) else [found]:
        assert set(documented()[command]) <= set(one)
    if command not in ("evaluate gate", "evaluate plan"):  # the first has no other form, the second measures
        assert json.loads(cli(*words, "--format", "json").out) == found


def test_every_command_that_has_json_is_documented() -> None:
    def parsers_of(parser: Any) -> list[Any]:
        below = [a for a in parser._actions if hasattr(a, "choices") and isinstance(a.choices, dict)]
        return [parser, *(p for action in below for p in action.choices.values() if hasattr(p, "prog"))]

    found = {
        p.prog for name in COMMANDS for p in parsers_of(parser_of(name)[0]) if "--json" in p._option_string_actions
    }
    described = {" ".join(word for word in name.split() if not word.isupper()) for name in documented()}
    assert {name for name in found if not name.startswith("evaluate study")} == described


@pytest.mark.usefixtures("folder")
def test_a_gate_says_in_json_that_it_failed_or_tested_nothing(cli: Run) -> None:
    done = cli("gate", "--candidate", "minilm", "--self-test", "--json")
    assert (done.code, json.loads(done.out)["verdict"]) == (1, "REGRESSED")
    done = cli("gate", "--candidate", "minilm", "--baseline", "baseline:new", "--allow-no-baseline", "--json")
    assert (done.code, json.loads(done.out)["verdict"]) == (0, "UNTESTED")
    assert "nothing was tested" in done.err


@pytest.mark.usefixtures("folder")
def test_an_error_leaves_standard_output_empty(cli: Run) -> None:
    done = cli("compare", "minilm", "absent", "--json")
    assert (done.code, done.out) == (2, "")


@pytest.mark.parametrize("command", ["tasks", "models", "variants"])
def test_quiet_leaves_the_notes_out(command: str, cli: Run) -> None:
    whole, quiet = cli(command).out, cli(command, "--quiet").out
    assert whole.startswith(quiet.rstrip("\n"))
    assert len(quiet.splitlines()) < len(whole.splitlines())


CHATTER = """
import logging, sys
from instructor_eval.cli import main
from instructor_eval.core.libraries import logs_are_shown, quiet_transformers
def run(_arguments):
    logging.getLogger("a.library").info("reading \\x1b[31mit")
    logging.getLogger("a.library").warning("this may be slow")
    logging.getLogger("a.library").error("this failed")
    return 0
main._dispatch = run
main.entry()
"""


@pytest.mark.parametrize("flags", [(), ("-v",)])
def test_libraries_log_errors_or_with_v_everything(flags: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CHATTER, *flags], capture_output=True, text=True, check=True)
    expected = ["a.library: reading \ufffd[31mit", "a.library: this may be slow"] if flags else []
    assert done.stderr.splitlines() == [*expected, "a.library: this failed"]
    assert done.stdout == ""
