"""`evaluate export`: results in the forms of other tools."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from instructor_eval.analysis.format import some
from instructor_eval.cli.compare import names_of
from instructor_eval.cli.flags import names, positive
from instructor_eval.cli.leaderboard import check_results_folder
from instructor_eval.cli.options import add_debug_option
from instructor_eval.core.errors import EXIT_ERROR, EXIT_OK, UserError, did_you_mean
from instructor_eval.core.output import tell, warn
from instructor_eval.tasks import protocol

if TYPE_CHECKING:
    from instructor_eval.analysis.compare.side import Side
    from instructor_eval.integrations.export import Export

FORMATS = ("mteb", "trec", "model-index", "mlflow", "wandb")
_NAMED = 12
_WHOLE = ("mteb", "model-index")
"""Forms that have no word for `--limit`."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `evaluate export`."""
    parser.add_argument("rows", nargs="*", metavar="ROW",
                        help="rows as in compare, MODEL[@VARIANT][:INSTRUCTIONS]; default: all")  # fmt: skip
    parser.add_argument(
        "--format", choices=FORMATS, required=True,
        help="mteb: its results repository; trec: run and qrels of retrieval and reranking (of `evaluate --rankings`); "
        "model-index: YAML of a model card, of one row; mlflow, wandb: their client's files, nothing is sent",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, metavar="PATH",
                        help="the folder to write to; of model-index a file, by default what is printed")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="write over what is there")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default ./results")
    parser.add_argument(
        "--task", action="extend", type=names, default=[], metavar="TASK,...", help="only these; repeatable"
    )
    parser.add_argument("--protocol", action="append", default=[], metavar="CHOICE", help="results made with these")
    parser.add_argument("--limit", type=positive, metavar="N", help="results made with this --limit")
    add_debug_option(parser)


def run(options: argparse.Namespace) -> int:
    """Export what the flags ask for; what had to be left out is a line each, and ends with 2."""
    check_results_folder(options.results)
    if options.limit and options.format in _WHOLE:
        raise UserError(f"--limit {options.limit}: {options.format} is of whole tasks, and has no word for some items")
    if options.output is None and options.format != "model-index":
        raise UserError(f"--format {options.format} writes files: name a folder with --output")
    sides = _sides(options)
    if options.format == "model-index":
        return _model_index(options, sides)
    if options.format in ("mlflow", "wandb"):
        return _track(options, sides)
    export = _files(options, sides)
    export.write(options.output, force=options.force)
    tell(f"{len(export.files):,} file{'s' * (len(export.files) != 1)} in {options.output}")
    if export.no_place:
        names = some(sorted(set(export.no_place)), _NAMED)
        tell(f"left out, as there is no place for these tasks in {options.format}: {names}")
    for line in export.left_out:
        warn(f"evaluate: left out: {line}")
    return EXIT_ERROR if export.left_out or not export.files else EXIT_OK


def _files(options: argparse.Namespace, sides: Sequence[Side]) -> Export:
    if options.format == "trec":
        from instructor_eval.integrations import trec

        return trec.files(sides)
    from instructor_eval.integrations import mteb_results

    return mteb_results.files(sides)


def _model_index(options: argparse.Namespace, sides: Sequence[Side]) -> int:
    from instructor_eval.integrations import model_index
    from instructor_eval.integrations.export import refuse_existing, write_file

    if len(sides) != 1:
        raise UserError(
            f"a model card is of one row, here are {some([side.label for side in sides], _NAMED)}: name one"
        )
    text = model_index.text(sides[0])
    if options.output is None:
        tell(text.rstrip("\n"))
    else:
        refuse_existing({options.output: text.encode}, force=options.force)
        write_file(options.output, text.encode())
        tell(f"{options.output}: put it between the --- lines of the model's README.md")
    return EXIT_OK


def _track(options: argparse.Namespace, sides: Sequence[Side]) -> int:
    from instructor_eval.integrations import trackers

    send = trackers.to_mlflow if options.format == "mlflow" else trackers.to_wandb
    for side in sides:
        tell(f"{side.label}: {send(side, options.output, force=options.force)}")
    return EXIT_OK


def _sides(options: argparse.Namespace) -> list[Side]:
    """Return the rows that are asked for, each with the tasks asked for.

    Raises:
        UserError: there is no such row or task, or nothing in it.
    """
    from instructor_eval.analysis.compare.find_side import every_side, resolve

    how = {"protocol": protocol.parse(options.protocol), "limit": options.limit}
    if options.rows:
        found = [resolve(row, results=options.results, **how) for row in options.rows]
    else:
        found = every_side(options.results, **how)
    known = dict.fromkeys(task for side in found for task in side.scores)
    tasks = names_of(options.task)
    for task in tasks:
        if task not in known:
            hint = did_you_mean(task, known) or ": leave --task out to export all"
            raise UserError(f"no result of task '{task}' among these rows{hint}")
    chosen = [_only(side, tasks) for side in found]
    chosen = [side for side in chosen if side.scores]
    if not chosen:
        raise UserError(
            f"no finished results in {options.results} to export: run something, or give the --limit and --protocol "
            "they were made with"
        )
    return chosen


def _only(side: Side, tasks: Sequence[str]) -> Side:
    scores = {task: score for task, score in side.scores.items() if not tasks or task in tasks}
    return dataclasses.replace(side, scores=scores, values={t: v for t, v in side.values.items() if t in scores})
