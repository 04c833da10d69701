"""`evaluate export`: what is refused, what is left out, the model card's block, and Results.to_markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made_results
import pytest
import yaml
from huggingface_hub.repocard_data import model_index_to_eval_results
from made_scores import edited

import instructor_eval as ie
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

TASKS = {"STS12": ("STS", "cosine_spearman"), "Banking77Classification": ("Classification", "accuracy")}
INSTRUCTIONS = {"roles": {"text": {"text": "Represent the `sentence` | : ", "rule": "card"}}}
ENVIRONMENT = {"versions": {"instructor-eval": "0.1.0", "mteb": "2.26.24"}}


@pytest.fixture
def results(tmp_path: Path, make_score: Any) -> Path:
    root = tmp_path / "results"

    def make(*fields: Any, **more: Any) -> Score:
        return edited(make_score(*fields, **more), instructions=INSTRUCTIONS, environment=ENVIRONMENT)

    made_results.file(root, make, tasks=TASKS)
    return root


def test_what_is_there_is_not_written_over(results: Path, cli: Any) -> None:
    Path("card.yaml").write_text("mine")
    line = cli("export", "--format", "model-index", "--output", "card.yaml").error
    assert line == ("evaluate: card.yaml is already there: give --force to write over, or another --output")
    assert Path("card.yaml").read_text() == "mine"
    assert cli("export", "--format", "model-index", "--output", "card.yaml", "--force").code == 0
    assert Path("card.yaml").read_text().startswith("model-index:")


REFUSED = [
    (["--format", "mteb"], "--format mteb writes files: name a folder with --output"),
    (["--format", "mteb", "--output", "out", "--limit", "5"], "mteb is of whole tasks"),
    (["--format", "csv", "--output", "out"], "invalid choice: 'csv'"),
    (["--output", "out"], "required: --format"),
    (["--format", "model-index", "--task", "STS21"], "no result of task 'STS21' among these rows: did you mean STS12"),
    (["--format", "model-index", "nobody"], "no row of results is called 'nobody'"),
    (["--format", "model-index", "published:hkunlp/instructor-large"], "no finished results in results to export"),
    (["--format", "trec", "--output", "out", "--limit", "7"], "no finished results in results to export"),
    (["--format", "model-index", "--results", "nowhere"], "no results folder at nowhere"),
    (["--format", "mlflow", "--output", "out"], "export to MLflow needs mlflow"),
    (["--format", "wandb", "--output", "out"], "needs wandb: pip install 'instructor-eval[wandb]'"),
]


@pytest.mark.parametrize(("flags", "why"), REFUSED, ids=[" ".join(flags) for flags, _ in REFUSED])
def test_bad_input_is_one_line(flags: list[str], why: str, results: Path, cli: Any) -> None:
    assert why in cli("export", *flags).error
    assert not Path("out").exists()


def test_an_output_that_cannot_be_made(results: Path, cli: Any) -> None:
    Path("file").write_text("x")
    line = cli("export", "--format", "model-index", "--output", "file/card.yaml").error
    assert "file/card.yaml" in line
    assert "--output" in line


def test_a_card_is_of_one_row(results: Path, cli: Any, make_score: Any) -> None:
    made_results.file(results, make_score, tasks=TASKS, variant="int8", seed=2)
    line = cli("export", "--format", "model-index").error
    assert "a model card is of one row, here are" in line
    assert "@int8:paper" in line
    assert line.endswith(": name one")
    assert cli("export", "minilm@int8", "--format", "model-index").code == 0


def test_the_hub_reads_the_card(results: Path, cli: Any) -> None:
    done = cli("export", "--format", "model-index")
    assert done.code == 0
    name, found = model_index_to_eval_results(yaml.safe_load(done.out)["model-index"])
    scores = {score.task: score for score in ie.load_results(results).scores}
    assert name == "all-MiniLM-L6-v2"
    assert {r.dataset_name for r in found} == {"MTEB STS12", "MTEB Banking77Classification"}
    for result in found:
        score = scores[result.dataset_name.removeprefix("MTEB ")]
        assert result.metric_value == pytest.approx(100 * score.score, abs=1e-5)
        assert result.metric_type == score.metric
        assert result.task_type == score.type
        assert result.dataset_args["instructions"] == {"text": "Represent the `sentence` | : "}
        assert result.metric_args["versions"] == {"instructor-eval": "0.1.0", "mteb": "2.26.24"}


def test_failed_tasks_are_no_scores(results: Path, cli: Any, make_score: Any) -> None:
    Store(results).write(
        make_score(
            "STS13", None, error="the disk is full", model=made_results.MINILM, fingerprint="fp32".ljust(16, "0")
        )
    )
    assert "STS13" not in cli("export", "--format", "model-index").out


def test_results_as_markdown(results: Path, make_score: Any) -> None:
    Store(results).write(make_score("STS13", None, error="the <b>disk</b> is full"))
    text = ie.load_results(results).to_markdown()
    lines = text.splitlines()
    head = [cell.strip() for cell in lines[0].strip("|").split("|")]
    assert head == ["model", "variant", "instructions", "task", "metric", "score", "95 %", "items"]
    scores = {score.task: score for score in ie.load_results(results).scores}
    assert f"{100 * scores['STS12'].score:.2f}" in text
    assert '- paper, STS12, text: ``"Represent the `sentence` | : "``' in lines
    assert lines[-1] == "Made with instructor-eval 0.1.0, mteb 2.26.24."
    assert "- STS13: the &lt;b&gt;disk&lt;/b&gt; is full" in lines
