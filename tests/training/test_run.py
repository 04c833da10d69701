"""Whole runs of tiny models: they learn, go on where they were killed, are evaluated, and stop where they must."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_rows
import numpy as np
import pytest
import tiny
import torch
from checkpoints import edit_json

import instructor_eval as ie
from instructor_eval.analysis.gate.quality import REGRESSED
from instructor_eval.core.errors import UserError
from instructor_eval.training.model import TrainedModel
from instructor_eval.training.trainer import ContrastiveTrainer

pytestmark = pytest.mark.usefixtures("one_thread")
Train = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.build_instructor(tmp_path / "start")
    made_rows.write(tmp_path / "rows.json", made_rows.rows())
    return tmp_path


@pytest.fixture
def train(folder: Path) -> Train:
    def one(output: str = "out", **options: Any) -> Any:
        given = {"learning_rate": 2e-3, "max_steps": 12, "logging_steps": 1, "save_steps": 4, "use_cpu": True}
        return ie.train(folder / "start", folder / "rows.json", folder / output, **(given | options))

    return one


def found(folder: Path, output: str) -> float:
    """The share of queries whose positive is the nearest of all."""
    encoder = ie.load_encoder(folder / output, device="cpu")
    made = made_rows.rows()
    queries = encoder.encode([row["query"] for row in made])
    positives = encoder.encode([row["pos"] for row in made])
    return float(np.mean(np.argmax(queries @ positives.T, axis=1) == np.arange(len(made))))


def test_a_tiny_t5_learns_64_rows_by_heart(folder: Path, train: Train) -> None:
    edit_json(folder / "start" / "config.json", dropout_rate=0.0)
    made_rows.write(folder / "rows.json", made_rows.rows(tasks=1))
    done = train(
        max_steps=160, save_strategy="no", logging_steps=20, cl_temperature=0.05, learning_rate=4e-3,
        per_device_train_batch_size=32,
    )  # fmt: skip
    assert found(folder, "start") < 0.5
    assert found(folder, "out") == 1.0
    assert done.losses[160] < 0.1 * done.losses[20]


@pytest.mark.slow
def test_a_run_goes_on_after_a_kill_with_the_same_losses(folder: Path, train: Train) -> None:
    whole = train("whole", warmup_ratio=0.1, max_steps=12)
    command = [
        *(sys.executable, "-m", "instructor_eval.cli.main", "train", "--model_name_or_path", "start"),
        *("--train_file", "rows.json", "--output_dir", "killed", "--learning_rate", "2e-3", "--max_steps", "12"),
        *("--logging_steps", "1", "--save_steps", "4", "--warmup_ratio", "0.1", "--use_cpu"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while not (folder / "killed" / "checkpoint-8").exists() and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    resumed = train("killed", warmup_ratio=0.1, resume_from_checkpoint="last")
    assert resumed.steps == 12
    again = {step: loss for step, loss in resumed.losses.items() if step > 8}
    assert set(again) == {9, 10, 11, 12}
    assert again == pytest.approx({step: whole.losses[step] for step in again}, abs=1e-5)
    assert (folder / "killed" / "model.safetensors").exists()


def test_it_refuses_a_folder_in_use_and_removes_old_checkpoints_when_asked(folder: Path, train: Train) -> None:
    train(max_steps=4)
    with pytest.raises(UserError, match="it is not empty"):
        train()
    (folder / "out" / "mine.txt").write_text("x")
    train(max_steps=2, overwrite_output_dir=True)
    assert not (folder / "out" / "checkpoint-4").exists()
    assert (folder / "out" / "mine.txt").exists()


def test_a_loss_that_is_no_number_stops_and_names_the_step(
    train: Train, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ContrastiveTrainer.compute_loss

    def spoilt(self: Any, *given: Any, **options: Any) -> Any:
        return plain(self, *given, **options) * (float("nan") if self.state.global_step == 6 else 1.0)

    monkeypatch.setattr(ContrastiveTrainer, "compute_loss", spoilt)
    with pytest.raises(UserError, match=r"step 7: the loss is nan: training stops; checkpoint-4 is whole"):
        train()
    assert found(folder, "out/checkpoint-4") > 0


def test_weights_that_are_no_numbers_are_not_saved(train: Train, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = TrainedModel.check_finite

    def spoilt(self: TrainedModel) -> None:
        if (folder / "out" / "checkpoint-4").exists():
            with torch.no_grad():
                next(self.parameters())[0] = float("inf")
        plain(self)

    monkeypatch.setattr(TrainedModel, "check_finite", spoilt)
    with pytest.raises(UserError, match=r"step 8: weights of .* checkpoint-4 is whole"):
        train()
    assert not (folder / "out" / "checkpoint-8").exists()


def test_a_full_disk_leaves_the_checkpoint_before_whole(
    train: Train, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = torch.save

    def full(value: Any, path: Any, *given: Any, **options: Any) -> None:
        if "checkpoint-8" in str(path) and str(path).endswith("optimizer.pt"):
            raise OSError(28, "No space left on device", str(path))
        plain(value, path, *given, **options)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"step 8: .*no space left on device.* checkpoint-4 is whole"):
        train()
    assert sorted(path.name for path in (folder / "out").glob("*check*")) == ["checkpoint-4"]
    assert not (folder / "out" / ".saving").exists()
    monkeypatch.undo()
    assert train(resume_from_checkpoint="last").steps == 12


def test_validation_loss_is_that_of_the_rows(train: Train, folder: Path) -> None:
    said: list[str] = []
    train(validation_file=folder / "rows.json", eval_steps=4, say=said.append)
    losses = [float(line.split()[-1]) for line in said if "validation loss" in line]
    assert len(losses) == 3
    assert losses[-1] < losses[0]


def test_options_that_change_what_is_read(train: Train, folder: Path) -> None:
    said: list[str] = []
    train("few", max_examples=32, max_steps=1, say=said.append)
    assert "32 rows of 1 tasks" in "\n".join(said)
    with_them = train("with", max_steps=2)
    without = train("without", max_steps=2, add_prompt_to_document=False)
    assert with_them.losses[1] != without.losses[1]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"learning_rat": 1}, "unknown argument 'learning_rat': did you mean learning_rate"),
        ({"per_device_train_batch_size": 64}, "no task has the 64 rows of a batch"),
        ({"cl_temperature": 0.0}, "cl_temperature 0.0: give a number above 0"),
        ({"stop_if": "regressed"}, "needs evaluate TASK"),
        ({"evaluate": "DemoST"}, "did you mean DemoSTS"),
        ({"resume_from_checkpoint": "last"}, "holds no whole checkpoint"),
        ({"save_strategy": "sometimes"}, "training arguments: sometimes is not a valid"),
    ],
)
def test_what_cannot_be_done_is_one_line(train: Train, options: dict[str, Any], why: str) -> None:
    with pytest.raises(UserError) as error:
        train(**options)
    assert why in str(error.value)


@pytest.mark.parametrize("stop", ["never", "regressed"])
def test_evaluation_files_rows_and_ends_a_bad_run(
    folder: Path, train: Train, stop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    said: list[str] = []
    plain = TrainedModel.encode

    def worse(self: TrainedModel, texts: Any, instruction: str) -> Any:
        rows = plain(self, texts, instruction)
        broken = (folder / "out" / "checkpoint-4").exists()  # from step 8 on
        return np.roll(rows, 1, axis=0) if broken else rows

    monkeypatch.setattr(TrainedModel, "encode", worse)
    done = train(
        evaluate="DemoSTS", evaluate_steps=4, stop_if=stop, keep="best", say=said.append, run_name="mine", max_steps=12
    )
    steps = [point.step for point in done.curve.points]
    assert steps == ([0, 4, 8, 12] if stop == "never" else [0, 4, 8])
    assert done.curve.points[2].verdict == REGRESSED
    assert bool(done.curve.stopped) == (stop == "regressed")
    results = ie.load_results("results")
    assert {score.model.name for score in results.scores} == {f"mine@step-{step}" for step in steps}
    assert all(len(one.items()) == one.score.n_items for one in results)
    data = json.loads((folder / "out" / "training.json").read_text())["data"]
    note = f"trained on {data['file']} (SHA-256 {data['sha256']})"
    noted = {score.model.name: note in score.notes for score in results.scores}
    assert noted == {f"mine@step-{step}": step > 0 for step in steps}
    compared = ie.compare("mine@step-0", "mine@step-8").to_dataframe()
    assert np.isfinite(compared["low"]).all()
    best = done.curve.best.step
    assert best in (0, 4)
    assert f"saved step {best}" in said[-1]
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    saved = ie.evaluate("out", "DemoSTS", results="again", offline=True)
    assert saved[0].value == pytest.approx(done.curve.best.scores[0].score, abs=1e-6)


@pytest.mark.slow
def test_two_processes_train_one_model(folder: Path) -> None:
    flags = "--max_steps 6 --save_steps 3 --logging_steps 1 --learning_rate 2e-3 --use_cpu --gradient_cache 4"
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"),
        *("-m", "instructor_eval.cli.main", "train", "--model_name_or_path", "start", "--train_file", "rows.json"),
        *("--output_dir", "out", "--evaluate", "DemoSTS", "--evaluate_steps", "3", "--keep", "best", *flags.split()),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "4 batches an epoch, of 8 rows of one task on each of 2 processes" in done.stdout
    assert [line.split(":")[0] for line in done.stdout.splitlines() if "DemoSTS" in line] == [
        "step 0", "step 3", "step 6"
    ]  # fmt: skip
    assert found(folder, "out") > 0


@pytest.mark.slow
def test_evaluation_changes_nothing_of_training(folder: Path, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    alone = train("alone", save_strategy="no")
    watched = train("watched", save_strategy="no", evaluate=["DemoSTS", "DemoRetrieval"], evaluate_steps=3)
    assert watched.losses == alone.losses


def test_a_resumed_run_is_compared_with_the_best_step_before(
    folder: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    first = train(evaluate="DemoSTS", evaluate_steps=4, max_steps=8)
    resumed = train(evaluate="DemoSTS", evaluate_steps=4, max_steps=12, resume_from_checkpoint="last")
    [point] = resumed.curve.points
    assert point.step == 12
    assert point.against is not None
    assert point.against.baseline.startswith(f"out@step-{first.curve.best.step}@")
