"""The documents are true: every example of docs/adding-a-task.md and docs/library.md is run as it stands there."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import tiny

from instructor_eval.cli.main import main
from instructor_eval.core import progress
from instructor_eval.models.forms import int8
from instructor_eval.models.forms.int8_choice import Choice
from instructor_eval.results.store import Store

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTS = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)
HUB_MODEL = "hkunlp/instructor-large"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    for name, content in FENCE.findall((ROOT / "docs" / "adding-a-task.md").read_text(encoding="utf-8")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return tmp_path


def test_every_documented_task_is_valid_and_runs(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cards = sorted(str(p) for p in written.glob("*.yaml"))
    assert len(cards) == 10
    assert main(["validate", *cards]) == 0
    assert "10 good, 0 with errors" in capsys.readouterr().out
    model = tiny.build_instructor(written / "tiny", include_prompt_key=True)
    tasks = [argument for card in cards for argument in ("--task", card)]
    results = written / "results"
    code = main(["--model", str(model), *tasks, "--results", str(results), "--offline", "--debug"])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "unified template" in printed
    scores = {s.task: s for s in Store(results).scores()}
    assert len(scores) == 10
    assert {s.type for s in scores.values()} == {
        "Retrieval", "STS", "PairClassification", "Classification", "Clustering", "Reranking", "TextEvaluation",
        "PromptRetrieval",
    }  # fmt: skip
    query = scores["Tickets"].instructions.roles["query"].text
    assert query == "Represent the support question for retrieving the article that answers it: "
    by_template = scores["TicketsByTemplate"].instructions.roles["query"]
    assert by_template.text == "Represent the support question for retrieving articles: "


@pytest.mark.slow
def test_every_library_example_runs_and_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The blocks are one program, run in a folder with a corpus; a tiny checkpoint stands in for the hub's."""
    examples = PYTHON.findall((ROOT / "docs" / "library.md").read_text(encoding="utf-8"))
    assert len(examples) == 12
    monkeypatch.setattr(progress, "_QUIET_SECONDS", 3600.0)  # else a slow machine prints a line
    # The engine a machine has measured before: the first measurement would print its result.
    monkeypatch.setattr(int8, "choose", lambda: Choice("float32", {"float32": 1.0}, measured=False))
    model = tiny.build_instructor(tmp_path / "tiny", include_prompt_key=True)
    (tmp_path / "corpus.txt").write_text("the river\nthe city\nthe storm\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for example in examples:
        exec(example.replace(HUB_MODEL, str(model)), names)
        printed = capsys.readouterr()
        assert printed.out.splitlines() == PRINTS.findall(example)
        assert printed.out
        assert printed.err == ""


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cell by cell, as a kernel does: the last expression of each is shown as text and as HTML."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "_QUIET_SECONDS", 3600.0)
    notebook = json.loads((ROOT / "examples" / "quickstart.ipynb").read_text(encoding="utf-8"))
    names: dict[str, object] = {}
    shown: list[str] = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            *statements, last = ast.parse("".join(cell["source"])).body
            assert isinstance(last, ast.Expr)
            exec(compile(ast.Module(statements, []), "cell", "exec"), names)
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
            shown.append(f"{value!r}{getattr(value, '_repr_html_', str)()}")
    assert len(shown) == 6
    assert "DemoRetrieval" in shown[0]
    assert "<table" in shown[1]
    assert "77.58" in shown[1]
    assert "0.692647" in shown[2]
    [score] = re.findall(r"DemoRetrieval +84\.48 +(\d+\.\d+)", shown[4])
    assert float(score) == pytest.approx(85.0, abs=0.2)  # of int8, which another processor may round otherwise
    assert "bag_of_words" in shown[5]


def test_documents_name_only_protocol_choices_that_exist() -> None:
    from instructor_eval.tasks.protocol import CHOICES

    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    for name, values in CHOICES.items():
        assert f"`{name}`" in text
        for value in values:
            assert f"`{value}`" in text
