"""`evaluate train`: flags and printing. INSTRUCTOR's own command line works as its README prints it."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from instructor_eval import api
from instructor_eval.core.errors import EXIT_OK, UserError
from instructor_eval.core.output import say
from instructor_eval.core.outside import read_json, why
from instructor_eval.training.options import KEEP, LAST, MEDI, STOP, TrainOptions


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags of `evaluate train`; what it does not know goes to transformers."""
    parser.description = (
        "Train a text encoder that takes instructions, as INSTRUCTOR was trained. Every argument of transformers' "
        "TrainingArguments goes too: --num_train_epochs, --save_steps, --learning_rate, --per_device_train_batch_size, "
        "--bf16, ... A single FILE.json holds all arguments as an object."
    )
    parser.allow_abbrev = False
    parser.set_defaults(others=True)
    what = parser.add_argument_group("what to train")
    what.add_argument(
        "--model_name_or_path", metavar="MODEL", help="a T5 encoder or a BERT: a folder, a hub id, minilm"
    )
    what.add_argument("--output_dir", type=Path, metavar="DIR", help="the checkpoint's folder")
    what.add_argument("--overwrite_output_dir", **_flag(default=False), help="it need not be empty")
    what.add_argument("--resume_from_checkpoint", nargs="?", const=LAST, metavar="DIR",
                      help="go on from a checkpoint, by default the last one of --output_dir")  # fmt: skip
    what.add_argument("--cache_dir", type=Path, metavar="DIR", help=f"the folder of {MEDI}")
    what.add_argument(
        "--train_file", type=Path, metavar="FILE", help="another file of rows: a JSON array or JSON lines"
    )
    what.add_argument("--validation_file", type=Path, metavar="FILE", help="rows whose loss is computed on the way")
    what.add_argument("--max_examples", "--max_train_samples", "--debug_mode", type=int, metavar="N",
                      help="the first N rows only")  # fmt: skip
    what.add_argument("--skip_bad_rows", **_flag(default=False), help="leave rows out that cannot be used")
    how = parser.add_argument_group("how")
    how.add_argument("--max_source_length", type=int, default=512, metavar="N", help="tokens of a text (default 512)")
    how.add_argument("--add_prompt_to_document", **_flag(default=True), help="False leaves every instruction out")
    how.add_argument("--cl_temperature", type=float, default=0.01, metavar="T", help="of the loss (default 0.01)")
    how.add_argument("--warmup_ratio", type=float, default=0.0, metavar="SHARE", help="share of steps that warm up")
    how.add_argument("--gradient_cache", type=int, metavar="N",
                     help="hold the activations of N texts at a time: batches larger than memory")  # fmt: skip
    how.add_argument("--dense_dim", type=int, metavar="N", help="begin a Dense layer to N values, where there is none")
    on_the_way = parser.add_argument_group("evaluation on the way")
    on_the_way.add_argument("--evaluate", type=_names, default=(), metavar="TASK,...", help="tasks, or cards")
    on_the_way.add_argument("--evaluate_steps", type=int, metavar="N", help="every N steps (default: --save_steps)")
    on_the_way.add_argument("--evaluate_limit", type=int, metavar="N", help="cut every task to N items")
    on_the_way.add_argument("--instructions", action="append", default=[], metavar="SET", help="as of `evaluate`")
    on_the_way.add_argument("--stop_if", choices=STOP, default=STOP[0],
                            help="regressed: end where the gate against the best step fails")  # fmt: skip
    on_the_way.add_argument("--thresholds", type=Path, metavar="FILE", help="of that gate")
    on_the_way.add_argument("--keep", choices=KEEP, default=KEEP[0], help="the checkpoint that is saved (default last)")
    on_the_way.add_argument("--best_task", metavar="TASK", help="says which is best (default: the mean of all)")
    on_the_way.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")
    on_the_way.add_argument("--hub", type=Path, metavar="DIR", help="a mirror of data sets")
    on_the_way.add_argument("--offline", action="store_true", help="never use the network")
    parser.add_argument("-v", "--verbose", action="store_true", help="show what libraries log")
    parser.add_argument("--debug", action="store_true", help="show where an error was raised")


def run(options: argparse.Namespace) -> int:
    """Train."""
    given = vars(options)
    if len(options.others) == 1 and options.others[0].endswith(".json"):
        return _run_file(Path(options.others[0]))
    for needed in ("model_name_or_path", "output_dir"):
        if given[needed] is None:
            raise UserError(f"no --{needed} given (see evaluate train --help)")
    asked = TrainOptions(**{field.name: given[field.name] for field in dataclasses.fields(TrainOptions)})
    api.run_training(asked, options.others, say)
    return EXIT_OK


def _run_file(path: Path) -> int:
    """Train by a file of arguments, as the authors' script takes it."""
    try:
        value = read_json(path)
    except (OSError, ValueError) as e:
        raise UserError(f"{path}: not a readable file of arguments ({why(e)}): give a JSON object") from e
    if not isinstance(value, dict):
        raise UserError(f"{path}: it is no JSON object of arguments")
    ours = {field.name: field for field in dataclasses.fields(TrainOptions)}
    paths = {name for name, field in ours.items() if "Path" in str(field.type)}
    named: dict[str, Any] = {
        name: Path(v) if name in paths and isinstance(v, str) else v for name, v in value.items() if name in ours
    }
    for needed in ("model_name_or_path", "output_dir"):
        if needed not in named:
            raise UserError(f"{path}: it names no {needed}")
    api.run_training(TrainOptions(**named), {n: v for n, v in value.items() if n not in ours}, say)
    return EXIT_OK


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _flag(*, default: bool) -> dict[str, Any]:
    """Return how a flag is read that may stand alone, or before True or False, as transformers' may."""
    return {"nargs": "?", "const": True, "default": default, "type": _truth, "metavar": "True|False"}


def _truth(text: str) -> bool:
    if text.lower() in ("true", "1", "yes"):
        return True
    if text.lower() in ("false", "0", "no"):
        return False
    raise argparse.ArgumentTypeError(f"'{text}': give True or False")
