"""transformers' training arguments, from the command line or by name."""

from __future__ import annotations

import argparse
import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import HfArgumentParser, TrainingArguments
from transformers.integrations import is_tensorboard_available

from instructor_eval.core.errors import UserError, did_you_mean, one_line
from instructor_eval.training.options import TrainOptions

_NEEDLESS = ("do_train", "do_eval")
"""Flags of the authors' script that say what is done here anyway."""


class _Parser(HfArgumentParser):  # type: ignore[misc] # transformers has no types here
    """Raises an error instead of ending the program."""

    def error(self, message: str) -> None:
        raise UserError(f"{message} (see evaluate train --help)")


def parse_arguments(options: TrainOptions, others: Sequence[str] | Mapping[str, Any]) -> TrainingArguments:
    """Return transformers' arguments.

    Args:
        options: Ours.
        others: The rest of the command line, or arguments by name.

    Raises:
        UserError: one is unknown, or has a value that transformers refuses.
    """
    known = [field.name for field in dataclasses.fields(TrainingArguments) if field.init]
    fixed = {"output_dir": str(options.output_dir), "remove_unused_columns": False}
    if options.warmup_ratio:
        fixed["warmup_steps"] = options.warmup_ratio
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            given = dict(others) if isinstance(others, Mapping) else _from_flags(others, known)
            unknown = [name for name in given if name not in known]
            if unknown:
                raise UserError(_unknown(unknown[0], known))
            if options.validation_file is not None and "eval_strategy" not in given:
                given |= {"eval_strategy": "steps", "eval_steps": given.get("eval_steps", given.get("save_steps", 500))}
            given.setdefault("ddp_find_unused_parameters", False)  # what takes no part has no gradient (`model.py`)
            if "report_to" not in given and is_tensorboard_available():
                given["report_to"] = ["tensorboard"]
            found = TrainingArguments(**{**given, **fixed})
        except (ValueError, TypeError, ImportError, RuntimeError, argparse.ArgumentError) as e:
            raise UserError(one_line(f"training arguments: {e}")) from e
    if found.n_gpu > 1:
        raise UserError(
            f"{found.n_gpu} GPUs are seen by one process: start one a GPU, `accelerate launch -m "
            "instructor_eval.cli.main train ...`, or name one in CUDA_VISIBLE_DEVICES"
        )
    if found.dataloader_persistent_workers:
        raise UserError("--dataloader_persistent_workers: an epoch's order is drawn again for each: leave it out")
    return found


def _from_flags(flags: Sequence[str], known: Sequence[str]) -> dict[str, Any]:
    parser = _Parser(TrainingArguments, allow_abbrev=False)
    flags = [flag for flag in flags if flag.removeprefix("--") not in _NEEDLESS]
    namespace, unknown = parser.parse_known_args(list(flags))
    if unknown:
        raise UserError(_unknown(unknown[0], known))
    said = {flag.removeprefix("--").partition("=")[0].replace("-", "_") for flag in flags if flag.startswith("--")}
    return {name: value for name, value in vars(namespace).items() if name in said or f"no_{name}" in said}


def _unknown(flag: str, known: Sequence[str]) -> str:
    name = flag.removeprefix("--").partition("=")[0]
    ours = [field.name for field in dataclasses.fields(TrainOptions)]
    hint = did_you_mean(name, [*known, *ours]) or ": see `evaluate train --help`, and transformers' TrainingArguments"
    return f"unknown argument '{flag}'{hint}"
