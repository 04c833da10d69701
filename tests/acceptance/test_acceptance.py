"""The commands of README and docs print, file and decide what they did: `expected/` has it, `ACCEPT=1` rewrites it.

What differs from run to run (times, rates, hashes, dates, versions, sizes) is taken out on both sides.
"""

from __future__ import annotations

import csv
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import few_threads
import pyarrow.parquet as pq
import pytest
from forks import Forks
from personas import PERSONAS
from story import HELP, READING, WRITING, Step, write_files

EXPECTED = Path(__file__).parent / "expected"
EVALUATE = Path(sys.executable).with_name("evaluate")
ACCEPT = os.environ.get("ACCEPT") == "1"
SECONDS = 600
LOADED = ("torch", "transformers", "tokenizers", "safetensors.torch", "datasets", "numpy", "jinja2", "yaml", "tabulate")
_CHANGES = (
    (r"\b\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?(\+00:00|Z)?", "DATE"),
    (r"\b[0-9a-f]{64}\b|\b[0-9a-f]{16}\b|(?<=#)[0-9a-f]{6,8}\b", "HASH"),
    (r"\b\d+ min \d\d s\b|\b\d[\d,.]* (s|ms|min|h)\b", "TIME"),
    (r"\b\d[\d,.]* (texts|tokens|queries|searches)/s", "RATE"),
    (r"\b\d[\d,.]* ([kMG]i?B|bytes)\b", "SIZE"),
    (r"(torch|transformers|mteb|numpy|scipy|sentence-transformers|faiss-cpu)(==| )\d[\w.+]*", r"\1 VERSION"),
    (r"(\d\.\d{13})\d+", r"\1"),  # `sum` of Python 3.12 rounds once, and of 3.11 at each number
    (r"\b\d+ blocks\b", "BLOCKS"),  # one a commit, and commits come by the clock, too
    (r"(@10 +\S+) .*", r"\1 MEASURED"),  # the last columns of a table of searches
    (r"(-\w) [A-Z]+, (--\S+ [A-Z]+)\s+", r"\1, \2  "),  # argparse of 3.13 says FILE once
    (r" {2,}", "  "),  # a column is as wide as its longest time
    (r"-{3,}", "---"),
    (r"[ \t]+\n", "\n"),
)


class Ended:
    """How a command ended."""

    def __init__(self, folder: Path, step: Step, forks: Forks | None = None) -> None:
        """Run it: in a process of its own, or in a fork of one that has loaded what others wrote."""
        if forks:
            ended = forks.run(step.command.split(), folder)
            self.code, self.out, self.err = ended.code, ended.out.decode(), ended.err.decode()
            return
        done = subprocess.run(
            [EVALUATE, *step.command.split()], cwd=folder, env=environment(folder), capture_output=True, text=True,
            encoding="utf-8", timeout=SECONDS, check=False,
        )  # fmt: skip
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def shown(self, folder: Path) -> str:
        """Exit code and both streams, without what changes."""
        # A quiet line each half minute, of a slow machine, is no part of what is promised.
        err = "".join(line for line in self.err.splitlines(keepends=True) if not re.match(r"  \S+: [\d,]+ of ", line))
        return f"exit {self.code}\n{steady(self.out, folder)}--- stderr\n{steady(err, folder)}"


def steady(text: str, folder: Path) -> str:
    """`text` without what changes from run to run."""
    text = text.replace(str(folder), "FOLDER")
    for pattern, name in _CHANGES:
        text = re.sub(pattern, name, text, flags=re.MULTILINE)
    return text


def environment(folder: Path) -> dict[str, str]:
    """All variables of a command."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "120", "LC_ALL": "C.UTF-8",
            "INSTRUCTOR_EVAL_COST": "off", "INSTRUCTOR_EVAL_CACHE": str(folder / "cache"),
            "HF_HUB_OFFLINE": "1", **few_threads.ONE}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("story")


@pytest.fixture(scope="module")
def forks(folder: Path) -> Iterator[Forks]:
    """Runs every command but the first; no module of ours is loaded before it is asked for."""
    started = Forks(environment(folder), libraries=LOADED, package="", kill_after=SECONDS)
    yield started
    started.close()


@pytest.fixture(scope="module")
def written(folder: Path, forks: Forks) -> dict[str, Ended]:
    """The folder after all commands that write, and how each of them ended."""
    write_files(folder)
    if ACCEPT:
        shutil.rmtree(EXPECTED, ignore_errors=True)
        EXPECTED.mkdir()
    return {step.name: Ended(folder, step, forks if place else None) for place, step in enumerate(WRITING)}


def compare(name: str, found: str) -> None:
    """Hold what was found against what is expected, or write it."""
    path = EXPECTED / f"{name.replace(' ', '_')}.txt"
    if ACCEPT:
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("step", WRITING, ids=lambda step: step.name)
def test_a_command_that_writes(step: Step, folder: Path, written: dict[str, Ended]) -> None:
    compare(step.name, written[step.name].shown(folder))
    assert written[step.name].code == step.code


@pytest.mark.parametrize("step", READING, ids=lambda step: step.name)
@pytest.mark.usefixtures("written")
def test_a_command_that_reads(step: Step, folder: Path, forks: Forks) -> None:
    ended = Ended(folder, step, forks)
    compare(step.name, ended.shown(folder))
    assert ended.code == step.code


@pytest.mark.parametrize("step", HELP, ids=lambda step: step.name)
@pytest.mark.usefixtures("written")
def test_help(step: Step, folder: Path, forks: Forks) -> None:
    ended = Ended(folder, step, forks)
    compare(step.name, ended.shown(folder))
    assert ended.code == 0


@pytest.mark.parametrize("persona", PERSONAS)
@pytest.mark.usefixtures("written")
def test_a_persona_gets_there(persona: str, folder: Path, forks: Forks) -> None:
    for typed in PERSONAS[persona]:
        ended = Ended(folder, Step("", typed.command), forks)
        assert ended.code == typed.code, (typed.command, ended.out, ended.err)
        for line in typed.lines:
            assert line in ended.out + ended.err, typed.command


def _scores(folder: Path) -> list[dict[str, Any]]:
    found = []
    for results in ("results", "own", "limited", "failed", "searched"):
        for path in sorted((folder / results).glob("scores/**/*.json")):
            score = json.loads(path.read_text())
            items: dict[str, Any] = {}
            if path.with_suffix(".parquet").exists():
                table = pq.read_table(path.with_suffix(".parquet"))
                items["rows"] = table.num_rows
                items["first id"] = table.column("id")[0].as_py()
                for name in sorted(table.column_names):
                    values = table.column(name).to_pylist()
                    if all(isinstance(value, float) for value in values):
                        items[f"sum of {name}"] = sum(values)
            found.append({
                "results": results, "task": score["task"], "status": score["status"], "metric": score["metric"],
                "score": score["score"], "metrics": score["metrics"], "n_items": score["n_items"],
                "variant": {k: v for k, v in score["model"].items() if k in ("name", "form", "embedding", "dim")},
                "search": score["search"].get("backend"), "selection": score["reader"].get("selection"),
                "set": score["instructions"]["set"],
                "instructions": {role: said["text"] for role, said in score["instructions"]["roles"].items()},
                "items": items,
            })  # fmt: skip
    return sorted(found, key=lambda score: json.dumps(score, sort_keys=True))


@pytest.mark.usefixtures("written")
def test_scores_and_items(folder: Path) -> None:
    """Numbers to 1e-6: another processor adds in another order."""
    found, path = _scores(folder), EXPECTED / "scores.json"
    if ACCEPT:
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    expected = json.loads(path.read_text(encoding="utf-8"))
    assert len(found) == len(expected) > 15
    left, right = [json.dumps(_split(value), sort_keys=True) for value in (found, expected)]
    assert left == right
    assert _numbers(found) == pytest.approx(_numbers(expected), rel=1e-6, abs=1e-6)


def _split(value: Any) -> Any:
    """The same with a sign in the place of each number that is not whole."""
    if isinstance(value, dict):
        return {k: _split(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_split(v) for v in value]
    return "number" if isinstance(value, float) else value


def _rounded(value: Any) -> Any:
    """The same with five decimals: another processor adds in another order."""
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return round(value, 5) if isinstance(value, float) else value


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [n for k in sorted(value) for n in _numbers(value[k])]
    if isinstance(value, list):
        return [n for v in value for n in _numbers(v)]
    return [value] if isinstance(value, float) else []


@pytest.mark.parametrize("name", ["same", "cut", "main", "own"])
@pytest.mark.usefixtures("written")
def test_what_a_gate_files(name: str, folder: Path) -> None:
    files = sorted(path.name for path in (folder / "gate" / name).iterdir())
    gate = json.loads((folder / "gate" / name / "gate.json").read_text())
    chosen = {k: gate[k] for k in ("verdict", "exit_code", "headline", "gates", "quality", "thresholds")}
    compare(f"gate files {name}", steady(json.dumps([files, _rounded(chosen)], indent=1) + "\n", folder))


class _Text(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


@pytest.mark.usefixtures("written")
def test_the_page_has_the_numbers_of_the_leaderboard(folder: Path, forks: Forks) -> None:
    page = _Text()
    page.feed((folder / "report.html").read_text(encoding="utf-8"))
    text = " ".join(" ".join(page.parts).split())
    rows = list(csv.DictReader(Ended(folder, Step("", "leaderboard --format csv"), forks).out.splitlines()))
    scores = [float(row["DemoSTS"]) for row in rows if row.get("DemoSTS")]
    assert len(scores) >= 5
    for score in scores:
        assert f"{score:.2f}" in text
    assert "REGRESSED" in text
