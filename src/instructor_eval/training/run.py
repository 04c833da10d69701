"""A training run from its options to its folder."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import set_seed

from instructor_eval.analysis.gate.limits import Thresholds, read_thresholds
from instructor_eval.cache.vectors import default_folder
from instructor_eval.core.errors import UserError
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.family import is_t5
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.models.pooling import EXCLUDED, INSTRUCTOR
from instructor_eval.training.arguments import parse_arguments
from instructor_eval.training.batches import Batches
from instructor_eval.training.curve import BEST, FILE, Curve, Evaluation, Evaluator, recover
from instructor_eval.training.data import Rows, load_rows
from instructor_eval.training.model import TrainedModel
from instructor_eval.training.options import LAST, TrainOptions
from instructor_eval.training.save import Provenance, dense_folders, saved_step
from instructor_eval.training.trainer import (
    UNFINISHED,
    ContrastiveTrainer,
    discard,
    is_checkpoint,
    last_checkpoint,
    step_of,
)

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from instructor_eval.training.inputs import Collator

_MOST_NAMED = 5
_BEFORE_A_CHECKPOINT = (BEST, FILE, "runs")
"""Names that a run killed before its first checkpoint may leave; `runs` is TensorBoard's."""


@dataclass(frozen=True)
class Trained:
    """A finished run."""

    folder: Path
    """The checkpoint."""
    steps: int
    losses: Mapping[int, float]
    """Step -> mean loss since the one before, as logged."""
    curve: Curve | None
    """The result of evaluation; None where none was asked for."""


def train(
    options: TrainOptions,
    others: Sequence[str] | Mapping[str, Any],
    evaluator: Evaluator | None,
    say: Callable[[str], None],
) -> Trained:
    """Train, save, and evaluate on the way.

    Args:
        options: What is asked for.
        others: transformers' own training arguments.
        evaluator: Runs the tasks that are to be evaluated.
        say: Called with what goes on.

    Raises:
        UserError: something cannot be had or done; the checkpoint saved last is whole.
    """
    options.check()
    thresholds = read_thresholds(options.thresholds) if options.thresholds else Thresholds()
    arguments = parse_arguments(options, others)
    say = say if arguments.process_index == 0 else _silent
    resumed = _prepare(options, arguments, say)
    checkpoint = _start(options)
    set_seed(arguments.seed)
    model = TrainedModel(checkpoint, dense_dim=options.dense_dim, recompute=options.gradient_cache is not None)
    collate = model.collator(
        arguments.device.type,
        most=options.gradient_cache,
        without_instructions=not options.add_prompt_to_document,
    )
    with arguments.main_process_first(desc="reading rows"):
        rows = _rows(options.file, options, say)
        validation = _rows(options.validation_file, options, say) if options.validation_file else None
    batches = _batches(rows, collate, arguments, say)
    trainer = ContrastiveTrainer(
        model,
        arguments,
        batches=batches,
        validation=_validation(validation, collate, arguments) if validation else None,
        temperature=options.cl_temperature,
        provenance=Provenance(options.output_dir.name, checkpoint.name, rows.about, _said(options, others)),
        say=say,
    )
    evaluation = None
    if options.evaluate and evaluator is not None:
        evaluation = Evaluation(
            trainer,
            evaluator,
            run=arguments.run_name or options.output_dir.name,
            every=options.evaluate_steps,
            best_task=options.best_task,
            stop=options.stop_if == "regressed",
            thresholds=thresholds,
            keep=options.keep == BEST,
            results=options.results,
            say=say,
        )
        trainer.add_callback(evaluation)
    if resumed and evaluation is not None and evaluation.remember(step_of(resumed)):
        trainer.go_back_to(resumed)  # it had stopped, and was killed before the end
    else:
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    curve = evaluation.curve if evaluation else None
    _finish(trainer, options, curve, say)
    losses = {int(one["step"]): float(one["loss"]) for one in trainer.state.log_history if "loss" in one}
    return Trained(options.output_dir, trainer.state.global_step, losses, curve)


def _silent(_line: str) -> None:
    pass


def _prepare(options: TrainOptions, arguments: TrainingArguments, say: Callable[[str], None]) -> Path | None:
    """Return the checkpoint to resume from; else see that the output folder is free.

    Raises:
        UserError: there is no such checkpoint, or the folder holds something.
    """
    folder = options.output_dir
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output_dir {folder}: it is a file: name a folder")
    if arguments.process_index == 0:
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)  # of a run that was killed
        recover(folder / BEST)
    if options.resume_from_checkpoint is not None:
        given = options.resume_from_checkpoint
        found = last_checkpoint(folder) if given == LAST else Path(given)
        if found is not None and is_checkpoint(found):
            say(f"going on from {found}")
            return found
        if given != LAST or not _is_begun(folder):
            raise UserError(
                f"--resume_from_checkpoint: {folder if given == LAST else given} holds no whole checkpoint: name one, "
                "or begin without it"
            )
        say(f"{folder}: no checkpoint was saved yet: beginning again")
    held = [path for path in folder.iterdir()] if folder.is_dir() else []
    if held and not options.overwrite_output_dir and options.resume_from_checkpoint is None:
        raise UserError(
            f"--output_dir {folder}: it is not empty: name another, or give --resume_from_checkpoint or "
            "--overwrite_output_dir"
        )
    if arguments.process_index == 0:
        for path in held:  # else a later --resume_from_checkpoint would find them
            if path.name == BEST or (path.name.startswith("checkpoint-") and is_checkpoint(path)):
                say(f"removing {path} of an earlier run")
                discard(path)
        (folder / FILE).unlink(missing_ok=True)
    return None


def _is_begun(folder: Path) -> bool:
    """Tell whether a folder holds nothing but what a run leaves that was killed before its first checkpoint."""
    hidden = (UNFINISHED, f".{BEST}.", f".{FILE}.")
    return folder.is_dir() and all(
        path.name in _BEFORE_A_CHECKPOINT or path.name.startswith(hidden) for path in folder.iterdir()
    )


def _start(options: TrainOptions) -> Checkpoint:
    """Return the checkpoint to begin with, under the rule that the trained one will be read with."""
    found = locate(ModelSpec.parse(options.model_name_or_path), offline=options.offline, known=[], family="instructor")
    if found.through:
        raise UserError(f"{found.name} cannot be trained here: it is computed {found.computed}")
    length = min(options.max_source_length, found.max_length or options.max_source_length)
    rule = INSTRUCTOR if is_t5(found.config) else EXCLUDED
    return dataclasses.replace(found, max_length=length, prompt_rule=rule)


def _rows(path: Path, options: TrainOptions, say: Callable[[str], None]) -> Rows:
    folder = default_folder() / "training"
    return load_rows(path, folder, most=options.max_examples, skip_bad=options.skip_bad_rows, say=say)


def _batches(rows: Rows, collate: Collator, arguments: TrainingArguments, say: Callable[[str], None]) -> Batches:
    size, processes = arguments.per_device_train_batch_size, arguments.world_size
    found = Batches(rows, collate, size=size, processes=processes, seed=arguments.data_seed or arguments.seed)
    say(
        f"{len(rows):,} rows of {len(rows.about.tasks):,} tasks: {len(found) // processes:,} batches an epoch, "
        f"of {size} rows of one task on each of {processes} processes"
    )
    left = sum(found.left_out.values())
    if left:
        say(f"{left:,} rows of {len(found.left_out):,} tasks fill no batch in an epoch, others in the next")
    if found.too_small:
        names = ", ".join(found.too_small[:_MOST_NAMED]) + (" ..." if len(found.too_small) > _MOST_NAMED else "")
        say(f"tasks with fewer rows than a batch take no part: {names}")
    return found


def _validation(rows: Rows, collate: Collator, arguments: TrainingArguments) -> Batches:
    size = arguments.per_device_eval_batch_size
    return Batches(rows, collate, size=size, processes=arguments.world_size, shuffle=False)


def _said(options: TrainOptions, others: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as the model card shows them; none of them is a secret of ours, so hub tokens stay out."""
    ours = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(options)
        if getattr(options, field.name) not in (field.default, [])
    }
    shown: dict[str, Any] = {name: _plain(value) for name, value in ours.items()}
    if isinstance(others, Mapping):
        return shown | {name: _plain(value) for name, value in others.items() if "token" not in name}
    rest = list(others)
    at = 0
    while at < len(rest):
        name, equals, value = rest[at].removeprefix("--").partition("=")
        given = [value] if equals else []
        while at + 1 < len(rest) and not rest[at + 1].startswith("--"):
            at += 1
            given.append(rest[at])
        if "token" not in name:
            shown[name] = given[0] if len(given) == 1 else given or True
        at += 1
    return shown


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) or value is None else str(value)


def _finish(
    trainer: ContrastiveTrainer, options: TrainOptions, curve: Curve | None, say: Callable[[str], None]
) -> None:
    """Save the model in the output folder: the last one, or the best, which the first process alone knows of."""
    best = curve.best if curve is not None and options.keep == BEST else None
    step = trainer.state.global_step
    if best is not None:
        folder = options.output_dir / BEST
        trainer.trained.load(folder, dense_folders(folder))
        step = saved_step(folder)
        tied = [str(n) for n in curve.tied] if curve else []
        say(f"best: step {step:,}" + (f"; within noise of it: step {', '.join(tied)}" if tied else ""))
    trainer.save_final(step)
    say(f"saved step {step:,} in {options.output_dir}")
