"""`evaluate train` on the command line: INSTRUCTOR's own command, transformers' arguments, errors of one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from instructor_eval.cli.main import main, parser_of

README = (
    "--output_dir outputs/model --cache_dir {data} --max_source_length 512 --num_train_epochs 10 --save_steps 500 "
    "--cl_temperature 0.01 --warmup_ratio 0.1 --learning_rate 2e-5 --overwrite_output_dir"
)
"""INSTRUCTOR's README, "Training": `python train.py --model_name_or_path sentence-transformers/gtr-t5-large ...`."""
ROW = {"query": ["Represent the word: ", "a dog"], "pos": ["", "a cat"], "neg": ["", "the sun"], "task_name": "t"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny.build_instructor(tmp_path / "start")
    (tmp_path / "medi-data.json").write_text(json.dumps([ROW] * 16))
    return tmp_path


def evaluate(*arguments: str) -> int:
    return main(["train", *arguments])


def test_the_command_of_instructors_readme(folder: Path, capsys: pytest.CaptureFixture[str], one_thread: None) -> None:
    code = evaluate("--model_name_or_path", "start", *README.format(data=".").split(), "--use_cpu")
    out = capsys.readouterr().out
    assert code == 0, out
    assert "2 batches an epoch" in out
    record = json.loads((folder / "outputs" / "model" / "training.json").read_text())
    assert record["steps"] == 20
    assert record["arguments"]["learning_rate"] == "2e-5"
    assert record["arguments"]["warmup_ratio"] == 0.1
    assert record["data"]["tasks"] == ["t"]


def test_a_file_of_arguments(folder: Path, capsys: pytest.CaptureFixture[str], one_thread: None) -> None:
    given = {"model_name_or_path": "start", "output_dir": "out", "cache_dir": ".", "max_steps": 1, "use_cpu": True}
    (folder / "all.json").write_text(json.dumps(given))
    assert evaluate("all.json") == 0
    assert json.loads((folder / "out" / "training.json").read_text())["steps"] == 1


BAD: list[tuple[str, str]] = [
    ("--output_dir out --cache_dir .", "no --model_name_or_path given"),
    ("--model_name_or_path start --output_dir out", "give --train_file FILE, or --cache_dir DIR"),
    ("--model_name_or_path start --output_dir out --cache_dir . --learning_rat 1", "did you mean learning_rate"),
    ("--model_name_or_path start --output_dir out --cache_dir . --learning_rate high", "invalid float value: 'high'"),
    ("--model_name_or_path start --output_dir out --cache_dir . stray", "unknown argument 'stray'"),
    ("--model_name_or_path start --output_dir . --cache_dir .", "it is not empty"),
    ("--model_name_or_path start --output_dir out --cache_dir nowhere", "no such file"),
    ("--model_name_or_path nowhere/ --output_dir out --cache_dir .", "'nowhere/' is no model: give a folder"),
    ("--model_name_or_path start --output_dir out --cache_dir . --keep some", "invalid choice: 'some'"),
    ("--model_name_or_path start --output_dir out --cache_dir . --overwrite_output_dir maybe", "give True or False"),
    ("gone.json", "gone.json: not a readable file of arguments"),
]


@pytest.mark.parametrize(("line", "why"), BAD)
def test_one_line_for_what_cannot_be(folder: Path, capsys: pytest.CaptureFixture[str], line: str, why: str) -> None:
    assert evaluate(*line.split()) == 2
    [error] = capsys.readouterr().err.splitlines()
    assert error.startswith("evaluate: ")
    assert why in error


@pytest.mark.parametrize("broken", [{"pos": ["", ""]}, {"query": [5, "a"]}, {"pos": None}])
def test_a_bad_row_is_named(folder: Path, capsys: pytest.CaptureFixture[str], broken: dict[str, object]) -> None:
    (folder / "medi-data.json").write_text(json.dumps([ROW, {**ROW, **broken}]))
    assert evaluate(*["--model_name_or_path", "start", "--output_dir", "out", "--cache_dir", "."]) == 2
    assert "medi-data.json, row 2: " in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_help_imports_no_torch() -> None:
    parser, _ = parser_of("train")
    assert "--cl_temperature" in parser.format_help()
    code = "import sys; from instructor_eval.cli import main; main.parser_of('train'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
