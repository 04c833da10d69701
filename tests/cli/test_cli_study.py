"""`evaluate study` on the command line: its help, one line for each mistake, and what it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny

from instructor_eval.core.yaml_file import read_yaml

STS = ["instructions", "--model", "minilm", "--task", "DemoSTS"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.build_instructor(tmp_path_factory.mktemp("checkpoint") / "tiny", include_prompt_key=True))


def test_without_a_study_it_says_what_there_is(cli) -> None:
    done = cli("study")
    assert done.code == 2
    for name in ("instructions", "chunks", "latency", "domains"):
        assert name in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["instructions", "--task", "DemoSTS"], "no --model given"),
        (["instructions", "--model", "minilm"], "no --task, --benchmark, --type or --domain given"),
        ([*STS, "--instructions", "none"], "leave --instructions out"),
        (STS, "takes no instructions"),
        ([*STS, "--candidates", "no.yaml"], "no such file of candidates"),
        ([*STS, "--write", "."], "--write . is a folder: name a file in it"),
        ([*STS, "--others", "-1"], "'-1' is not a whole number of at least 0"),
        (["chunks", "--model", "minilm", "--task", "DemoRetrieval", "--chunk", "64"], "leave --chunk out"),
        (["chunks", "--model", "minilm", "--task", "DemoRetrieval", "--sizes", "64,x"], "--sizes 'x' cannot be read"),
        (["latency", "--model", "minilm", "--vectors", "ten"], "--vectors: 'ten' is not a whole number"),
        (["domains", "--model", "a", "--model", "b", "--model", "c", "--task", "DemoSTS"], "of one model, or of two"),
        (["prices"], "prices"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_mistake_is_one_line(arguments: list[str], said: str, cli) -> None:
    assert said in cli("study", *arguments).error


def test_the_winner_is_written_as_a_file_that_instructions_takes(model: str, cli, tmp_path: Path) -> None:
    few = ("--model", model, "--task", "DemoSTS", "--device", "cpu", "--limit", "60")
    done = cli("study", "instructions", *few, "--quiet", "--others", "1", "--write", "best.yaml")
    assert done.code == 0, done.err
    assert "Sensitivity" in done.out
    written = read_yaml(tmp_path / "best.yaml", "").value
    assert list(written) == ["DemoSTS"]
    assert "text" in written["DemoSTS"]
    again = cli(
        "--model", model, "--task", "DemoSTS", "--instructions", "best.yaml", "--device", "cpu", "--limit", "60"
    )
    assert again.code == 0, again.err
    assert "best" in again.out
    page = cli("report", "--limit", "60", "-o", "page.html")
    assert page.code == 0, page.err
    text = (tmp_path / "page.html").read_text()
    assert "Instructions: DemoSTS" in text
    assert "Sensitivity" in text


def test_a_metric_of_the_leaderboard(model: str, cli) -> None:
    assert cli("--model", model, "--task", "DemoSTS", "--device", "cpu", "--quiet").code == 0
    done = cli("leaderboard", "--metric", "fpr_at_95", "--no-published")
    assert done.code == 0, done.err
    assert "The metric is fpr_at_95" in done.out and "lower is better" in done.out
    assert "no result has it" in cli("leaderboard", "--metric", "fpr").error
