"""Commands that are killed at drawn writes: nothing is left by halves, and the same command ends as ever."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_results
import pytest
from forks import Forks
from made_scores import edited

_TASKS = {task: ("STS", "cosine_spearman") for task in ("STS12", "STS13", "STS14")}
_INSTRUCTIONS = {"roles": {"text": {"text": "Represent: ", "rule": "card"}}}
_COMMANDS = {
    "mteb": "export --format mteb --output out",
    "model-index": "export --format model-index --output card.yaml",
    "import": "import theirs",
    "baseline": "baseline set all-MiniLM-L6-v2",
    "report": "report -o page.html",
    "leaderboard": "leaderboard",
    "gate": "gate --baseline all-MiniLM-L6-v2 --candidate all-MiniLM-L6-v2 --output gate",
    "init": "init pairs.csv",
    "overlap": "overlap --train rows.json --task DemoSTS --results results --offline",
}
_TIME = re.compile(rb'"created": "[^"]*"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?|\b[0-9a-f]{64}\b')
"""Times, the sum of one, and the checksum of a file that holds one."""


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    found = Forks(kill_after=60.0)
    yield found
    found.close()


@pytest.fixture
def start(tmp_path: Path, make_score: Any) -> Path:
    def make(*fields: Any, **more: Any) -> Any:
        versions = {"versions": {"instructor-eval": "0.1.0", "mteb": "2.26.24"}}
        return edited(make_score(*fields, **more), instructions=_INSTRUCTIONS, environment=versions)

    folder = tmp_path / "start"
    made_results.file(folder / "results", make, tasks=_TASKS)
    rows = [{"query": ["", f"q {n}"], "pos": ["", f"A man is playing {n}."], "task_name": "t"} for n in range(50)]
    (folder / "rows.json").write_text(json.dumps(rows))
    (folder / "pairs.csv").write_text("sentence1,sentence2,score\na,b,1\nc,d,0\n")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """The files of a folder, without times and checksums of what holds them."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if not name.startswith("cache/"):  # of the training rows, by the path that they were read from
            found[name] = _TIME.sub(b"", path.read_bytes())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("command", _COMMANDS.values(), ids=_COMMANDS)
def test_after_a_kill_the_same_command_ends_as_ever(command: str, start: Path, forks: Forks, tmp_path: Path) -> None:
    arguments = command.split()
    if "theirs" in arguments:
        assert forks.run("export --format mteb --output theirs".split(), start).code == 0  # noqa: SIM905 # a command
    whole = shutil.copytree(start, tmp_path / "whole")
    ended = forks.run(arguments, whole)
    assert ended.code == 0, ended.err
    assert ended.writes > 0 or command == "leaderboard"
    dice = random.Random(0)
    for kill_at in dice.sample(range(1, ended.writes + 1), min(6, ended.writes)):
        how = dice.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        folder = shutil.copytree(start, tmp_path / f"killed-{kill_at}")
        killed = forks.run(arguments, folder, kill_at=kill_at, kill_with=how)
        assert killed.code == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(how, -how), killed.err
        assert b"Traceback" not in killed.err
        again = forks.run(arguments, folder)
        assert again.code == 0, (kill_at, again.err)
        assert files(folder) == files(whole), kill_at


def test_what_is_terminated_says_so_and_goes_on(start: Path, forks: Forks) -> None:
    arguments = ["export", "--format", "mteb", "--output", "out"]
    ended = forks.run(arguments, start, kill_at=4, kill_with=signal.SIGTERM)
    assert ended.code == 143
    assert ended.err.decode().splitlines() == [
        "evaluate: terminated: finished results are filed, the same command goes on from there"
    ]
    assert not list(start.rglob("*.tmp"))
    assert forks.run(arguments, start).code == 0


def test_a_killed_export_is_no_reason_to_refuse(start: Path, cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(start)
    arguments = ("export", "--format", "mteb", "--output", "out")
    assert cli(*arguments).code == 0
    whole = files(start)
    first, second = sorted(path for path in Path("out").rglob("STS*.json"))[:2]
    first.unlink()
    assert cli(*arguments).code == 0
    assert files(start) == whole
    second.write_text("mine")
    assert "is already there: give --force" in cli(*arguments).error
    assert second.read_text() == "mine"
