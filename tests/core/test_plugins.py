"""Plugins: the package of docs/plugins.md, built and installed as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import instructor_eval
from instructor_eval.core import plugins
from instructor_eval.models import variant as variants
from instructor_eval.results.store import read_items

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(instructor_eval.__file__).parents[1]
FENCE = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENT = ROOT / "docs" / "plugins.md"
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, bare_environment: Callable[[Path], dict[str, str]]) -> Path:
    """The folder that the documented package is installed in."""
    folder = tmp_path_factory.mktemp("plugin")
    for name, content in FENCE.findall(DOCUMENT.read_text(encoding="utf-8")):
        path = folder / "acme-eval" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (folder / "acme-eval" / "acme_eval" / "__init__.py").touch()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    done = subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--target", str(folder / "site"), str(folder / "acme-eval")],
        env=bare_environment(folder),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def evaluate(
    site: Path, tmp_path_factory: pytest.TempPathFactory, bare_environment: Callable[[Path], dict[str, str]]
) -> Run:
    """`evaluate("tasks", ...)`: the command line in a process that has the package; without it if `plain`."""
    folder = tmp_path_factory.mktemp("work")

    def run(*arguments: str, plain: bool = False) -> Any:
        path = str(SOURCE) if plain else f"{SOURCE}:{site}"
        done = subprocess.run(
            [sys.executable, "-m", "instructor_eval.cli.main", *arguments],
            cwd=folder,
            env=bare_environment(folder) | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done

    run.folder = folder
    return run


@pytest.fixture(scope="module")
def scores(evaluate: Run) -> dict[tuple[str, str], tuple[dict[str, Any], dict[str, list[Any]]]]:
    """(task, variant) -> score and items of the runs that the document shows."""
    commands = re.findall(r"^    (evaluate .*?)(?:  +#.*)?$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 4
    for command in commands[1:]:
        done = evaluate(*command.split()[1:], "--quiet", "--offline")
        assert (done.returncode, done.stderr) == (0, "")
    listed = evaluate(*commands[0].split()[1:])
    assert (listed.returncode, listed.stderr) == (0, "")
    assert re.search(
        r"^AcmeMail +acme +Classification +other +balanced_accuracy +test +text +plugin", listed.stdout, re.M
    )
    found = {}
    for path in (evaluate.folder / "results" / "scores").rglob("*.json"):
        score = json.loads(path.read_text(encoding="utf-8"))
        variant = variants.variant_label(score["model"]["variant"], score["search"].get("backend", ""))
        found[score["task"], variant] = score, read_items(path.with_suffix(".parquet"))
    return found


@pytest.mark.slow
def test_the_documented_package(scores: dict[tuple[str, str], Any]) -> None:
    names = {("AcmeMail", "fp32"), ("AcmeMail", "acme-fp32"), ("DemoPrompts", "fp32")}
    assert set(scores) == names | {("DemoRetrieval", "fp32"), ("DemoRetrieval", "fp32/brute")}
    mail, items = scores["AcmeMail", "fp32"]
    assert (mail["metric"], mail["benchmark"], mail["n_items"]) == ("balanced_accuracy", "acme", 4)
    share = {g: [v for v, h in zip(items["value"], items["gold"], strict=True) if h == g] for g in items["gold"]}
    assert mail["score"] == pytest.approx(sum(sum(v) / len(v) for v in share.values()) / 2, abs=1e-12)
    assert mail["metrics"]["accuracy"] == pytest.approx(sum(items["value"]) / 4)
    other = scores["AcmeMail", "acme-fp32"][0]
    assert other["score"] == mail["score"]  # the same numbers by another name
    assert other["model"]["fingerprint"] != mail["model"]["fingerprint"]
    exact, brute = (scores["DemoRetrieval", variant][0] for variant in ("fp32", "fp32/brute"))
    assert exact["model"]["name"] == brute["model"]["name"] == "letters:26"
    assert (brute["search"]["recall"], brute["search"]["library"]) == (1.0, "acme-eval 1.0")
    assert brute["score"] == brute["search"]["exact_score"] == pytest.approx(exact["score"])
    prompts, items = scores["DemoPrompts", "fp32"]
    assert prompts["reader"]["name"] == "always:complaint"
    assert set(items["prediction"]) == {"complaint"}
    assert prompts["score"] == pytest.approx(items["gold"].count("complaint") / len(items["gold"]))


def test_the_documented_metric_that_says_more_than_its_formula(
    site: Path, tmp_path: Path, bare_environment: Callable[[Path], dict[str, str]]
) -> None:
    program = (
        "from instructor_eval import metrics\nsure = metrics.get('sure_accuracy')\n"
        "items = {'id': ['a', 'b', 'c', 'd'], 'gold': ['x'] * 4, 'value': [1.0, 0.9, 0.0, 1.0]}\n"
        "print(sure.unit, sure.compute(items), sure.contributions(items).tolist(), sure.method(items))"
    )
    environment = bare_environment(tmp_path) | {"PYTHONPATH": f"{SOURCE}:{site}"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "message 0.5 [1.0, 0.0, 0.0, 1.0] t\n", done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("scores")
def test_what_reads_results_of_plugins(evaluate: Run) -> None:
    compared = evaluate("compare", "minilm@fp32", "minilm@acme-fp32", "--task", "AcmeMail", "--format", "json")
    assert compared.returncode == 0, compared.stderr
    [found] = json.loads(compared.stdout)
    [task] = found["tasks"]
    assert (task["task"], task["unit"], task["n"], task["ties"]) == ("AcmeMail", "item", 4, 4)
    checked = evaluate("validate", "--results", "results")
    assert "5 results: 5 good" in checked.stdout
    assert "items counted" not in checked.stdout  # their data is known, too
    assert evaluate("tasks", "AcmeMail").stdout.startswith("AcmeMail: Classification, benchmark acme")
    board = evaluate("leaderboard", "--benchmark", "acme")
    header = next(line for line in board.stdout.splitlines() if line.startswith(("rank", "model")))
    assert header.split()[-2:] == ["acme", "AcmeMail"]  # a mean of its own
    assert evaluate("baseline", "set", "minilm@fp32").returncode == 0
    gate = evaluate("gate", "--candidate", "minilm@acme-fp32")
    assert gate.returncode == 0, gate.stdout
    assert "AcmeMail" in gate.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("scores")
def test_results_are_read_without_the_package_too(evaluate: Run) -> None:
    assert evaluate("leaderboard", plain=True).returncode == 0
    for command, words in (
        (("tasks", "AcmeMail"), "unknown task 'AcmeMail'"),
        (("--model", "minilm", "--task", "AcmeMail", "--offline"), "unknown task 'AcmeMail'"),
        (("--task", "DemoPrompts", "--selection", "bm25", "--reader", "always:x"), "unknown reader 'always:x'"),
        (("--model", "minilm", "--task", "DemoSTS", "--variant", "acme-fp32"), "unknown variant 'acme-fp32'"),
    ):
        done = evaluate(*command, plain=True)
        assert done.returncode == 2
        assert words in done.stderr
    assert "unknown metric 'balanced_accuracy'" in evaluate("validate", "--results", "results", plain=True).stdout


def test_without_plugins_nothing_is_found() -> None:
    """The plugins installed beside the tests are ours alone: no entry of ours takes part in other tests."""
    for group in (plugins.FORMS, plugins.TASKS, plugins.SCORERS, plugins.READERS):
        assert plugins.found(group) == {}
