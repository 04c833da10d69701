"""Evaluation between two steps: a row of results for each, compared with the best so far."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from transformers import TrainerCallback

from instructor_eval.analysis.compare.compare import Comparison, compare
from instructor_eval.analysis.compare.find_side import choose
from instructor_eval.analysis.compare.side import Side
from instructor_eval.analysis.format import interval_text, score_text
from instructor_eval.analysis.gate.limits import Thresholds
from instructor_eval.analysis.gate.quality import REGRESSED, judge
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Vectors
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.models.description import trained_on
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.training.model import TrainedModel
from instructor_eval.training.save import Provenance, save

Evaluator: TypeAlias = Callable[[Callable[[Sequence[str], str], Vectors], str, str, str], Sequence[Score]]
"""Given a function of (texts, instruction), the row's name, a name of its weights and a note of what they were trained
on, files scores and returns them."""
BEST = "best"
FILE = "best.json"
"""In the output folder: what each evaluation showed, so that a resumed run knows the best step so far."""


@dataclass
class Point:
    """The scores of one step."""

    step: int
    scores: Sequence[Score]
    against: Comparison | None = None
    """With the best step before it."""
    verdict: str = ""
    """The gate's, of the same comparison."""

    def mean(self, task: str | None) -> float:
        """Return the mean of its scores, or the score of one task; a fraction of 1."""
        values = [s.score for s in self.scores if s.score is not None and task in (None, s.task)]
        return sum(values) / len(values)


@dataclass
class Curve:
    """The results of evaluation inside one run."""

    run: str
    points: list[Point] = field(default_factory=list)
    best: Point | None = None
    tied: list[int] = field(default_factory=list)
    """Steps whose difference from the best is within noise."""
    stopped: str = ""
    """Why training was ended; empty: it was not."""


class Evaluation(TrainerCallback):  # type: ignore[misc] # transformers has no types here
    """Evaluates the model as it is, before the first step, every so many steps, and behind the last.

    Args:
        trainer: Whose model it is.
        evaluator: Runs the tasks.
        run: The name of the rows.
        every: Steps between two evaluations; None: as between two checkpoints.
        best_task: The task that says which step is best; None: the mean of all.
        stop: End training where the gate against the best step is REGRESSED.
        thresholds: Of that gate.
        keep: Store the best step's checkpoint.
        results: The folder that scores are filed in.
        say: Called with what is found.
    """

    def __init__(
        self,
        trainer: Any,
        evaluator: Evaluator,
        *,
        run: str,
        every: int | None,
        best_task: str | None,
        stop: bool,
        thresholds: Thresholds,
        keep: bool,
        results: Path,
        say: Callable[[str], None],
    ) -> None:
        self._trainer, self._evaluator, self._every = trainer, evaluator, every
        self._task, self._stop, self._thresholds, self._keep = best_task, stop, thresholds, keep
        self._store, self._say = Store(results), say
        self.curve = Curve(run)
        self._record: list[dict[str, Any]] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Evaluate the model that training begins with."""
        if state.global_step == 0:
            self._evaluate(state, control)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Evaluate where its turn has come."""
        if state.global_step % (self._every or max(1, state.save_steps)) == 0 or state.global_step == state.max_steps:
            self._evaluate(state, control)

    def _evaluate(self, state: Any, control: Any) -> None:
        stopped = torch.zeros(1, device=self._trainer.args.device)
        if state.is_world_process_zero:
            stopped += self._judge(state.global_step)
        if self._trainer.args.world_size > 1:
            torch.distributed.broadcast(stopped, 0)
        control.should_training_stop = control.should_training_stop or bool(stopped)

    def _note(self, step: int) -> str:
        data = self._trainer.provenance.data
        return trained_on(data.file, data.sha256) if step else ""

    def _judge(self, step: int) -> bool:
        """Evaluate, compare with the best step, and tell; return whether training is to end."""
        model: TrainedModel = self._trainer.trained
        with _same_draws():
            scores = self._evaluator(
                model.encode, f"{self.curve.run}@step-{step}", f"step-{step}-{model.digest()}", self._note(step)
            )
        failed = [s for s in scores if s.score is None]
        if failed:
            raise UserError(f"step {step}: {failed[0].task} cannot be evaluated: {failed[0].error}")
        point = Point(step, scores)
        self.curve.points.append(point)
        best = self.curve.best
        if best is not None:
            point.against = compare(self._side(best), self._side(point))
            point.verdict = judge(point.against, self._thresholds).verdict
        self._say(_line(point, best))
        self._log({f"eval_{s.task}": s.score for s in scores} | {"eval_mean": point.mean(None)})
        if best is None or point.mean(self._task) > best.mean(self._task):
            self._set_best(point)
        elif self._difference(point) == "same":
            self.curve.tied.append(step)
        if self._stop and best is not None and point.verdict == REGRESSED:
            self.curve.stopped = f"step {step} is REGRESSED against step {best.step}"
            self._say(f"{self.curve.stopped}: training stops")
        self._write_down(step)
        return bool(self.curve.stopped)

    def _log(self, values: dict[str, Any]) -> None:
        """Log for TensorBoard and others; the step's own log, its loss, still follows."""
        control = self._trainer.control
        due = control.should_log
        self._trainer.log(values)
        control.should_log = due

    def _side(self, point: Point) -> Side:
        return choose("", point.scores, self._store)

    def _difference(self, point: Point) -> str:
        if point.against is None:
            return "better"
        if self._task is None:
            return point.against.macro.verdict if point.against.macro else "unknown"
        return next(t.difference.verdict for t in point.against.comparable if t.task == self._task and t.difference)

    def _set_best(self, point: Point) -> None:
        before = self.curve.best
        self.curve.tied = [before.step] if before is not None and self._difference(point) == "same" else []
        self.curve.best = point
        trainer, folder = self._trainer, Path(self._trainer.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        if self._keep:
            save_whole(trainer.trained, folder / BEST, trainer.provenance, point.step)

    def _write_down(self, step: int) -> None:
        best = self.curve.best
        assert best is not None
        scores = [s.identity for s in best.scores]
        now = {"best": best.step, "scores": scores, "tied": list(self.curve.tied), "stopped": self.curve.stopped}
        self._record.append({"step": step, **now})
        content = json.dumps({"evaluations": self._record}).encode()
        atomic_write(Path(self._trainer.args.output_dir, FILE), lambda file: file.write(content))

    def remember(self, step: int) -> bool:
        """Find out again what was known at a step that training goes on from; return whether it was to end there.

        What was evaluated behind that step is evaluated again: it must not be compared with itself, or with what came
        later.
        """
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            text = Path(self._trainer.args.output_dir, FILE).read_text(encoding="utf-8")
            before = [one for one in json.loads(text)["evaluations"] if one["step"] <= step]
            last = before[-1]
            scores = [s for s in self._store.scores() if s.identity in last["scores"]]
            if len(scores) == len(last["scores"]):
                self._record = before
                self.curve.best, self.curve.tied = Point(int(last["best"]), scores), list(last["tied"])
                self.curve.stopped = str(last["stopped"]) if self._stop else ""
        return bool(self.curve.stopped)


def save_whole(model: TrainedModel, folder: Path, provenance: Provenance, step: int) -> None:
    """Write a checkpoint so that the folder holds the old one or the whole new one."""
    beside, old = _beside(folder)
    recover(folder)
    try:
        save(model, beside, provenance, step)
        if folder.exists():
            folder.rename(old)
        beside.rename(folder)
    finally:
        recover(folder)


def recover(folder: Path) -> None:
    """Bring a checkpoint back that a killed `save_whole` was about to replace, and remove what else that left."""
    beside, old = _beside(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)
    for leftover in (beside, old):
        shutil.rmtree(leftover, ignore_errors=True)


def _beside(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")


def _line(point: Point, best: Point | None) -> str:
    parts = []
    found = {t.task: t.difference for t in point.against.comparable} if point.against else {}
    for score in point.scores:
        difference = found.get(score.task)
        parts.append(
            f"{score.task} {score_text(score.score)}" + (f" ({interval_text(difference)})" if difference else "")
        )
    against = f", against step {best.step}: {point.verdict}" if best is not None else ""
    return f"step {point.step:,}: " + ", ".join(parts) + against


@contextlib.contextmanager
def _same_draws() -> Iterator[None]:
    """Leave all random numbers as they were: evaluation changes nothing of training."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if gpu:
            torch.cuda.set_rng_state_all(gpu)
