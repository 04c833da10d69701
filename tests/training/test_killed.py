"""Training that is killed: what is left is whole, and the run that goes on ends as one never killed."""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import made_rows
import numpy as np
import pytest
import tiny
from forks import Ended, Forks

import instructor_eval as ie
from instructor_eval.core.errors import UserError
from instructor_eval.training import curve
from instructor_eval.training.model import TrainedModel
from instructor_eval.training.save import move_whole
from instructor_eval.training.trainer import ContrastiveTrainer, discard, last_checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")
Train = Callable[..., Any]
_FLAGS = [
    *("train", "--model_name_or_path", "start", "--train_file", "rows.json", "--output_dir", "out", "--offline"),
    *("--learning_rate", "2e-3", "--max_steps", "8", "--logging_steps", "1", "--save_steps", "4", "--use_cpu"),
    *("--evaluate", "DemoSTS", "--evaluate_steps", "2", "--keep", "best"),
]


class KilledError(BaseException):
    """Stands for a kill in these tests: nothing handles it."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny.build_instructor(tmp_path / "start")
    made_rows.write(tmp_path / "rows.json", made_rows.rows())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def train(folder: Path) -> Train:
    def one(output: str = "out", **options: Any) -> Any:
        given = {"learning_rate": 2e-3, "max_steps": 8, "logging_steps": 1, "save_steps": 4, "use_cpu": True}
        return ie.train("start", "rows.json", output, **(given | {"evaluate": "DemoSTS", "offline": True} | options))

    return one


def killed(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, when: Callable[..., bool]) -> None:
    """Have a function kill the run at the first call for which `when` holds."""
    plain, done = getattr(owner, name), []

    def one(*given: Any, **options: Any) -> Any:
        if not done and when(*given, **options):
            done.append(True)
            raise KilledError
        return plain(*given, **options)

    monkeypatch.setattr(owner, name, one)


def scores(said: list[str]) -> list[str]:
    return [line for line in said if "DemoSTS" in line or line.startswith("best: ")]


def test_what_was_evaluated_behind_the_checkpoint_is_compared_as_if_nothing_had_been(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: list[str] = []
    train(evaluate_steps=1, keep="best", say=whole.append, run_name="one")
    before: list[str] = []
    killed(monkeypatch, ContrastiveTrainer, "training_step", lambda trainer, *_: trainer.state.global_step == 7)
    with pytest.raises(KilledError):
        train("killed", evaluate_steps=1, keep="best", say=before.append, run_name="two")
    after: list[str] = []
    train("killed", evaluate_steps=1, keep="best", say=after.append, run_name="two", resume_from_checkpoint="last")
    assert scores(before) == scores(whole)[:8]
    assert scores(after) == scores(whole)[5:]


def test_a_run_that_had_stopped_does_not_train_on(train: Train, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    def worse(model: TrainedModel, texts: Any, instruction: str) -> Any:
        rows = plain(model, texts, instruction)
        return np.roll(rows, 1, axis=0) if (folder / "out" / "checkpoint-4").exists() else rows

    plain = TrainedModel.encode
    monkeypatch.setattr(TrainedModel, "encode", worse)
    killed(monkeypatch, ContrastiveTrainer, "save_final", lambda *_: True)
    options = {"evaluate_steps": 4, "stop_if": "regressed", "max_steps": 12}
    with pytest.raises(KilledError):
        train(**options)
    done = train(**options, resume_from_checkpoint="last")
    assert (done.steps, sorted(done.losses)) == (8, list(range(1, 9)))
    assert "step 8 is REGRESSED" in done.curve.stopped
    weights = [(folder / "out" / part / "model.safetensors").read_bytes() for part in ("", "checkpoint-8")]
    assert weights[0] == weights[1]


def test_killed_before_its_first_checkpoint_a_run_begins_again(
    train: Train, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    killed(monkeypatch, ContrastiveTrainer, "training_step", lambda trainer, *_: trainer.state.global_step == 3)
    with pytest.raises(KilledError):
        train(evaluate_steps=2, keep="best")
    with pytest.raises(UserError, match="it is not empty: name another, or give resume_from_checkpoint"):
        train(evaluate_steps=2, keep="best")
    (folder / "out" / "mine.txt").touch()
    with pytest.raises(UserError, match="holds no whole checkpoint"):
        train(evaluate_steps=2, keep="best", resume_from_checkpoint="last")
    (folder / "out" / "mine.txt").unlink()
    assert train(evaluate_steps=2, keep="best", resume_from_checkpoint="last").steps == 8


@pytest.mark.parametrize("there", [False, True])
def test_a_model_is_whole_or_no_model(folder: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    plain, calls = Path.replace, 0
    for kill_at in range(100):
        made, out = folder / f"made-{kill_at}", folder / f"out-{kill_at}"
        tiny.build_instructor(made)
        if there:
            tiny.build_instructor(out, seed=5)
        out.mkdir(exist_ok=True)
        calls = 0

        def replace(self: Path, target: Path, kill_at: int = kill_at) -> Path:
            nonlocal calls
            calls += 1
            if calls > kill_at:
                raise KilledError
            return plain(self, target)

        monkeypatch.setattr(Path, "replace", replace)
        try:
            move_whole(made, out)
        except KilledError:
            assert not (out / "config.json").exists()
            continue
        finally:
            monkeypatch.undo()
        break
    assert calls == kill_at > 5
    want = {path.relative_to(folder / "start"): path for path in (folder / "start").rglob("*") if path.is_file()}
    assert {path.relative_to(out) for path in out.rglob("*") if path.is_file()} == set(want)
    assert all((out / name).read_bytes() == path.read_bytes() for name, path in want.items())


def test_the_best_checkpoint_is_there_after_a_kill_between_two_renames(
    train: Train, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    killed(
        monkeypatch, Path, "rename", lambda path, _: path.name == ".best.new" and (folder / "out/.best.old").exists()
    )
    monkeypatch.setattr(curve, "recover", lambda folder: None)  # a kill lets nobody clean up
    with pytest.raises(KilledError):
        train(evaluate_steps=1, keep="best")
    assert not (folder / "out" / "best").exists()
    monkeypatch.undo()
    curve.recover(folder / "out" / "best")
    assert ie.load_encoder(folder / "out" / "best", device="cpu").encode(["x"], "").shape == (1, 24)
    assert not list((folder / "out").glob(".best*"))


def test_a_checkpoint_half_removed_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkpoint-4").mkdir()
    (tmp_path / "checkpoint-4" / "trainer_state.json").touch()
    killed(monkeypatch, shutil, "rmtree", lambda *_: True)
    with pytest.raises(KilledError):
        discard(tmp_path / "checkpoint-4")
    assert last_checkpoint(tmp_path) is None


@pytest.fixture
def forks() -> Iterator[Forks]:
    found = Forks(kill_after=120.0)
    yield found
    found.close()


def files(folder: Path) -> dict[str, str | bytes]:
    """The files that a run left, without the command line, times and how long they took."""
    found: dict[str, str | bytes] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        found[name] = path.read_bytes()
        if path.name in ("README.md", "training.json"):
            found[name] = "".join(line for line in path.read_text().splitlines() if "resume_from" not in line)
        elif path.name == "trainer_state.json":
            state = json.loads(path.read_text())
            state["log_history"] = [{k: v for k, v in one.items() if "_per_" not in k} for one in state["log_history"]]
            found[name] = json.dumps(state, sort_keys=True)
    return found


@pytest.mark.slow
def test_killed_at_any_write_it_goes_on_to_the_same_model(folder: Path, forks: Forks) -> None:
    def run(name: str, *more: str, **kill: Any) -> Ended:
        (folder / name).mkdir(exist_ok=True)
        shutil.copytree(folder / "start", folder / name / "start", dirs_exist_ok=True)
        shutil.copyfile(folder / "rows.json", folder / name / "rows.json")
        return forks.run([*_FLAGS, *more], folder / name, **kill)

    whole = run("whole")
    assert whole.code == 0, whole.err
    said = whole.out.decode().splitlines()
    for kill_at in random.Random(0).sample(range(10, whole.writes), 10):
        name = f"killed-{kill_at}"
        assert run(name, kill_at=kill_at).code == -signal.SIGKILL
        again = run(name, *["--resume_from_checkpoint"] * (folder / name / "out").exists())
        assert again.code == 0, again.err
        assert [line for line in again.out.decode().splitlines() if line.startswith(("step", "best"))][-1:] == said[
            -2:-1
        ]
        assert files(folder / name / "out") == files(folder / "whole" / "out"), kill_at
        assert not list((folder / name).rglob("*.tmp"))


@pytest.mark.slow
def test_an_interrupt_says_how_to_go_on(folder: Path, forks: Forks) -> None:
    ended = forks.run(_FLAGS, folder, kill_at=250, kill_with=signal.SIGINT)
    assert ended.code == 130
    assert ended.err.decode() == (
        "evaluate: interrupted: the same command with --resume_from_checkpoint goes on from the last whole checkpoint\n"
    )
    assert forks.run([*_FLAGS, "--resume_from_checkpoint"], folder).code == 0
