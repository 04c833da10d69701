"""`evaluate baseline`: what it prints, its exit codes, and that no model library is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from instructor_eval.analysis.compare.side import BASELINES
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

Run = Callable[..., Any]
MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def results(tmp_path: Path, make_score: Callable[..., Score]) -> Path:
    """`./results` of `cli`, with two variants of one model on two tasks."""
    values = {("fp32", "STS12"): (0.4, 1.0), ("fp32", "STS13"): (0.3, 0.9486832980505138),
              ("int8", "STS12"): (0.4, 1.0), ("int8", "STS13"): (-0.7, -0.2)}  # fmt: skip
    for (variant, task), (last, value) in values.items():
        items: Items = {"id": ["0", "1", "2", "3"], "gold": [0.0, 0.2, 0.6, 1.0], "cosine": [0.1, 0.2, 0.3, last]}
        score = make_score(
            task, value, model=MINILM, variant=variant, metric="cosine_spearman", fingerprint=variant, n_items=4,
            identity=variant,
        )  # fmt: skip
        Store(tmp_path / "results").write(score, items)
    return tmp_path / "results"


def test_set_show_and_pin(cli: Run, results: Path) -> None:
    done = cli("baseline", "set", "minilm", "--note", "release 1")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0].startswith(f"baseline main is now {MINILM}@fp32:paper: 2 tasks, ")
    assert "baseline:main to a gate" in done.out
    again = cli("baseline", "set", "minilm", "--note", "release 1")
    assert again.out.startswith("baseline main is already")
    assert cli("baseline", "set", "minilm@int8").code == 0

    shown = cli("baseline", "show").out.splitlines()
    assert [line.split()[:4] for line in shown[2:]] == [
        ["main", "last", MINILM, "int8"],
        ["main", "pinned", MINILM, "fp32"],
    ]
    assert shown[3].endswith("release 1")
    one = cli("baseline", "show", "main").out
    assert "STS12   STS     cosine_spearman  100.00    100.00        4" in one
    assert "STS13   STS     cosine_spearman  -20.00     94.87        4" in one

    assert cli("baseline", "pin").out.startswith(f"pinned: {MINILM}@int8:paper")
    found = json.loads(cli("baseline", "show", "--format", "json").out)
    assert [(b["name"], b["which"], b["label"]) for b in found] == [
        ("main", which, f"{MINILM}@int8:paper") for which in ("last", "pinned")
    ]
    assert found[0]["tasks"]["STS13"]["score"] == -0.2


def test_other_names_folders_and_tasks(cli: Run, results: Path, tmp_path: Path) -> None:
    done = cli("baseline", "set", "minilm", "--task", "STS12", "--name", "nightly", "--baselines", tmp_path / "b")
    assert (done.code, "1 task, " in done.out) == (0, True)
    assert cli("baseline", "show").out == f"no baselines in {BASELINES}: make one with `evaluate baseline set SIDE`\n"
    assert json.loads(cli("baseline", "show", "--format", "json").out) == []
    [shown, _] = json.loads(cli("baseline", "show", "nightly", "--baselines", tmp_path / "b", "--format", "json").out)
    assert list(shown["tasks"]) == ["STS12"]
    # A baseline is a side itself.
    assert cli("baseline", "set", "baseline:nightly", "--name", "copy", "--baselines", tmp_path / "b").code == 0


def test_errors_are_one_line(cli: Run, results: Path) -> None:
    assert "did you mean minilm or" in cli("baseline", "set", "minlm").error
    assert "did you mean STS13 or STS12?" in cli("baseline", "set", "minilm", "--task", "STS133").error
    assert "is no name for a baseline" in cli("baseline", "set", "minilm", "--name", "../x").error
    assert "only with no --limit" in cli("baseline", "set", "minilm", "--limit", "5").error
    assert "unknown protocol choice" in cli("baseline", "set", "minilm", "--protocol", "x").error
    assert "published scores have no items" in cli("baseline", "set", "published:instructor-large").error
    assert "no baseline 'main'" in cli("baseline", "show", "main").error
    assert "no baseline 'main'" in cli("baseline", "pin").error
    assert "invalid choice: 'sett'" in cli("baseline", "sett").error
    assert not (results / "baselines").exists()
    cli("baseline", "set", "minilm")
    manifest = results / "baselines" / "main" / "last.json"
    manifest.write_text(manifest.read_text().replace("0.948", "0.848"))
    for action in (("show",), ("show", "main"), ("pin",), ("set", "baseline:main")):
        assert "last.json: edited by hand or damaged" in cli("baseline", *action).error


def test_no_action_is_help_and_an_error(cli: Run) -> None:
    done = cli("baseline")
    assert done.code == 2
    assert "make the last baseline the pinned one" in done.out


def test_the_folder_is_one(cli: Run) -> None:
    assert BASELINES == BASELINES


def test_nothing_heavy_is_imported(results: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from instructor_eval.cli.main import main;"
        "assert main(['baseline', 'set', 'minilm']) == 0; assert main(['baseline', 'show', 'main']) == 0;"
        "print([m for m in ('torch', 'mteb', 'transformers', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
