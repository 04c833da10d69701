"""The documents are true: every example of docs/adding-a-task.md is validated and run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tiny

from instructor_eval.cli import main
from instructor_eval.store import Store

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    for name, content in FENCE.findall((ROOT / "docs" / "adding-a-task.md").read_text(encoding="utf-8")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return tmp_path


def test_every_documented_task_is_valid_and_runs(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cards = sorted(str(p) for p in written.glob("*.yaml"))
    assert len(cards) == 9
    assert main(["validate", *cards]) == 0
    assert "9 good, 0 with errors" in capsys.readouterr().out
    model = tiny.build_instructor(written / "tiny", include_prompt_key=True)
    tasks = [argument for card in cards for argument in ("--task", card)]
    results = written / "results"
    code = main(["--model", str(model), *tasks, "--results", str(results), "--offline", "--debug"])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "unified template" in printed
    scores = {s.task: s for s in Store(results).scores()}
    assert len(scores) == 9
    assert {s.type for s in scores.values()} == {
        "Retrieval", "STS", "PairClassification", "Classification", "Clustering", "Reranking", "TextEvaluation",
    }  # fmt: skip
    query = scores["Tickets"].instructions["roles"]["query"]["text"]
    assert query == "Represent the support question for retrieving the article that answers it: "
    by_template = scores["TicketsByTemplate"].instructions["roles"]["query"]
    assert by_template["text"] == "Represent the support question for retrieving articles: "


def test_documents_name_only_protocol_choices_that_exist() -> None:
    from instructor_eval.protocol import CHOICES

    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    for name, values in CHOICES.items():
        assert f"`{name}`" in text
        for value in values:
            assert f"`{value}`" in text
