"""MLflow's and Weights & Biases' own clients take our scores, offline, and give them back."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_results
import pytest
from clients.test_clients import DOC, python

import instructor_eval as ie
from instructor_eval.results.score import Score

__all__ = ["python"]
pytestmark = pytest.mark.clients
TASKS = {"STS12": ("STS", "cosine_spearman"), "SciFact": ("Retrieval", "ndcg_at_10")}
MLFLOW = """
import json, sys
from mlflow import MlflowClient

client = MlflowClient(tracking_uri=f"sqlite:///{sys.argv[1]}/mlflow.db")
runs = client.search_runs([client.get_experiment_by_name("instructor-eval").experiment_id])
print(json.dumps([[run.info.run_name, run.info.status, run.data.params, run.data.metrics] for run in runs]))
"""
WANDB = """
import glob, json, sys
from wandb.proto.wandb_internal_pb2 import Record

# LevelDB's log behind a head of 7 bytes: pieces, each with checksum, length and kind, in blocks of 32 kB.
def records(content):
    place, whole = 7, b""
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        whole += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield whole
            whole = b""

found = {"config": {}, "summary": {}}
for path in glob.glob(f"{sys.argv[1]}/wandb/offline-run-*/*.wandb"):
    for content in records(open(path, "rb").read()):
        record = Record()
        record.ParseFromString(content)
        for item in record.run.config.update:
            found["config"][item.key] = json.loads(item.value_json)
        for item in record.summary.update:
            found["summary"][item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
print(json.dumps(found))
"""


@pytest.fixture
def results(tmp_path: Path, make_score: Callable[..., Score]) -> Path:
    made_results.file(tmp_path / "results", make_score, tasks=TASKS)
    return tmp_path / "results"


def run(python: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, *arguments], capture_output=True, text=True, check=False, timeout=300)


def export(python: Path, form: str, results: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    where = ("--results", results, "--output", results.parent / "out")
    return run(python, "-m", "instructor_eval.cli.main", "export", "--format", form, *where, *flags)


def export_killed_at(python: Path, form: str, call: str, results: Path) -> None:
    """End the process where an export calls the client's `call`, and clean nothing up."""
    words = ["export", "--format", form, "--results", str(results), "--output", str(results.parent / "out")]
    script = (
        f"import os, {form}; {call} = lambda *_, **__: os._exit(9);"
        f"from instructor_eval.cli.main import main; main({words})"
    )
    assert run(python, "-c", script).returncode == 9


def read(python: Path, script: str, results: Path) -> Any:
    done = run(python, "-c", script, results.parent / "out")
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def scores(results: Path) -> dict[str, float]:
    return {f"{s.task}/score": s.score for s in ie.load_results(results).scores if s.score is not None}


def test_mlflow(python: Path, results: Path) -> None:
    done = export(python, "mlflow", results)
    assert (done.returncode, done.stderr) == (0, "")
    [(name, status, about, figures)] = read(python, MLFLOW, results)
    assert (name, status) == (f"{made_results.MINILM}@fp32:paper", "FINISHED")
    assert about["model"] == made_results.MINILM
    assert about["variant"] == "fp32"
    assert {key: figures[key] for key in scores(results)} == scores(results)
    assert figures["STS12/items"] == 300
    again = export(python, "mlflow", results)
    assert again.returncode == 2
    assert "give --force to make another run of them" in again.stderr
    assert export(python, "mlflow", results, "--force").returncode == 0
    assert len(read(python, MLFLOW, results)) == 2


def test_a_killed_export_to_mlflow_does_not_count(python: Path, results: Path) -> None:
    export_killed_at(python, "mlflow", "mlflow.MlflowClient.log_metric", results)
    assert export(python, "mlflow", results).returncode == 0
    assert sorted(status for _, status, *_ in read(python, MLFLOW, results)) == ["FINISHED", "RUNNING"]
    assert export(python, "mlflow", results).returncode == 2


def test_a_file_that_is_no_database_is_one_line(python: Path, results: Path) -> None:
    (results.parent / "out").mkdir()
    (results.parent / "out" / "mlflow.db").write_text("no database" * 200)
    done = export(python, "mlflow", results)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "MLflow cannot write there" in line


def test_wandb(python: Path, results: Path) -> None:
    done = export(python, "wandb", results)
    assert (done.returncode, done.stderr) == (0, "")
    found = read(python, WANDB, results)
    assert found["config"]["model"] == made_results.MINILM
    assert found["config"]["instructions"].keys() == {"STS12", "SciFact"}
    assert {key: found["summary"][key] for key in scores(results)} == scores(results)
    again = export(python, "wandb", results)
    assert again.returncode == 2
    assert "these scores are in" in again.stderr


def test_a_killed_export_to_wandb_does_not_count(python: Path, results: Path) -> None:
    export_killed_at(python, "wandb", "wandb.Run.finish", results)
    assert export(python, "wandb", results).returncode == 0
    out = results.parent / "out"
    assert len(list(out.glob("wandb/offline-run-*/*.wandb"))) == 1
    assert [path.name for path in out.iterdir()] == ["wandb"]
    assert export(python, "wandb", results).returncode == 2


def test_the_commands_of_the_document(python: Path, results: Path) -> None:
    [block] = re.findall(r"^```sh trackers\n(.*?)^```$", DOC.read_text(), re.MULTILINE | re.DOTALL)
    for line in block.splitlines():
        words = line.split()[1:]
        command = [python, "-m", "instructor_eval.cli.main", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=results.parent)
        assert (done.returncode, done.stderr) == (0, "")
    assert (results.parent / "for-mlflow" / "mlflow.db").is_file()
    assert list((results.parent / "for-wandb").glob("wandb/offline-run-*/*.wandb"))
