"""The command line: flags in, exit codes out. What the commands do stands in `cli_run` and `cli_show`."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from instructor_eval.core.environment import VERSION
from instructor_eval.core.errors import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_OK, UserError, did_you_mean, reason
from instructor_eval.core.output import flush, prepare_streams, silence, warn
from instructor_eval.core.tables import BOARD_FORMATS, LISTING_FORMATS
from instructor_eval.flag_types import COSTS, amount, listed, positive, seconds
from instructor_eval.models.variant import EMBEDDINGS

_COMMANDS = {
    "demo": "run the embedded model on the embedded tasks, with no network",
    "tasks": "list the tasks, or show one card with its literal instructions",
    "models": "list the models whose instructions or published scores are known, and those with results",
    "measure": "measure what the numeric forms of a model cost here: speed, size, memory, cold start",
    "variants": "list the numeric forms, with what each needs",
    "leaderboard": "print the table of all results",
    "report": "write all results as one HTML page that needs no network",
    "compare": "compare two runs, models or variants task by task, with intervals and tests",
    "gate": "decide whether a candidate may pass: quality, drift, speed; made for CI",
    "baseline": "keep the results that a gate compares with, as files fit for git",
    "plan": "what a run would encode, how long that takes, and what it could detect; nothing is run",
    "validate": "check task cards and own data before any model loads, or stored results",
    "cache": "show, check or shrink the cache of vectors and answers",
}
_CACHE_ACTIONS = {
    "info": "show what is kept of which model",
    "verify": "check every vector and answer; drop what is damaged",
    "prune": "drop what was not used for longest, or what one model left",
    "clear": "drop everything",
}
_ROOT_DESCRIPTION = """\
Score text embedding models on the tasks of the INSTRUCTOR paper, or on your own.

  evaluate --model hkunlp/instructor-large --task ArguAna
  evaluate --model minilm --task STSBenchmark --task SciFact --hub ./mirror
  evaluate --model ./my-checkpoint --task ./my-task.yaml --instructions paper --instructions none
"""
_EXIT_CODES = """\
exit codes: 0 done, 2 an error or a failed task, 4 nothing could be compared, 130 interrupted; of gate also
1 REGRESSED, 3 INCONCLUSIVE (with --fail-on-inconclusive), 4 NOT COMPARABLE"""


class _Parser(argparse.ArgumentParser):
    """Usage errors as one line, like every other error."""

    def error(self, message: str) -> None:  # type: ignore[override] # argparse says NoReturn
        raise UserError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the return value is the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    code = EXIT_OK
    try:
        try:
            code = _dispatch(arguments)
        finally:  # after --help too, which leaves by SystemExit
            flush()
    except UserError as e:
        if debug:
            raise
        warn(f"evaluate: {e}")
        return EXIT_ERROR
    except KeyboardInterrupt:
        if debug:
            raise
        warn("evaluate: interrupted: finished results are kept, the same command goes on from there")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing more to say, and nothing to say it to.
        silence()
    except OSError as e:  # of a file or folder that no better line was found for
        if debug:
            raise
        warn(f"evaluate: {_refused_by_the_system(e)}")
        return EXIT_ERROR
    return code


def entry() -> None:
    """The console script; what breaks it ends with 2, for Python's own 1 is what a gate says of a bad model."""
    prepare_streams()
    try:
        code = main()
    except Exception:  # noqa: BLE001 # told in full: it is a fault of ours
        with contextlib.suppress(OSError, ValueError):  # nobody may be listening there either
            traceback.print_exc()
        code = EXIT_ERROR
    sys.exit(code)


def _refused_by_the_system(e: OSError) -> UserError:
    if e.filename is not None:
        return UserError(f"{os.fsdecode(e.filename)}: {reason(e)}: see that it can be used")
    try:
        Path.cwd()
    except OSError:
        return UserError("the folder that this runs in is gone: change to another")
    return UserError(f"{reason(e)}: see what the system lacks (--debug shows where)")


def _dispatch(arguments: list[str]) -> int:
    command = next((a for a in arguments if not a.startswith("-")), None)
    if command in _COMMANDS and arguments[0] == command:
        if command == "cache" and arguments[1:] and not arguments[1].startswith("-"):
            _check_known("cache action", arguments[1], "actions", _CACHE_ACTIONS)
        parser, run = _parsers()[command]
        options = parser.parse_args(arguments[1:])
        options.command = ["evaluate", *arguments]
        return run(options)
    parser = _root_parser()
    if not arguments:
        parser.print_help()
        return EXIT_ERROR
    if not arguments[0].startswith("-"):
        _check_known("command", arguments[0], "commands", _COMMANDS)
    options = parser.parse_args(arguments)
    options.command = ["evaluate", *arguments]
    from instructor_eval.cli_run import run_root  # keeps --help light

    return run_root(options)


def _check_known(what: str, name: str, all_of_them: str, known: Iterable[str]) -> None:
    if name not in known:
        hint = did_you_mean(name, known) or f": {all_of_them} are {', '.join(known)}"
        raise UserError(f"unknown {what} '{name}'{hint}")


def _root_parser() -> argparse.ArgumentParser:
    commands = "\n".join(f"  {name:<13}{text}" for name, text in _COMMANDS.items())
    parser = _Parser(
        prog="evaluate",
        description=_ROOT_DESCRIPTION,
        epilog=f"commands (evaluate COMMAND --help):\n{commands}\n\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"instructor-eval {VERSION}")
    _add_task_options(parser)
    _add_run_options(parser)
    return parser


def _add_task_options(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what to run")
    what.add_argument(
        "--model", action="append", default=[], metavar="MODEL",
        help="a hub id (org/name[@revision]), a folder, minilm (the embedded model), or one that is served "
        "(docs/model-servers.md): endpoint:URL[#MODEL], hosted:PROVIDER/MODEL, mteb:NAME; repeatable",
    )  # fmt: skip
    what.add_argument(
        "--task", action="append", default=[], metavar="TASK", help="a task, or a card (.yaml); repeatable"
    )
    what.add_argument("--benchmark", action="append", default=[], metavar="NAME",
                      help="all tasks of mteb, billboard, prompt-retrieval or demo; repeatable")  # fmt: skip
    what.add_argument(
        "--instructions", action="append", default=[], metavar="SET",
        help="paper (default), paper:MODEL, template, none, or a YAML file; repeatable, results stand side by side",
    )  # fmt: skip
    what.add_argument("--protocol", action="append", default=[], metavar="CHOICE",
                      help="mteb (default), paper, or CHOICE=VALUE (docs/protocol.md); repeatable")  # fmt: skip
    what.add_argument("--limit", type=positive, metavar="N", help="cut every task to N items, for a quick look")
    what.add_argument("--strict", action="store_true", help="a warning about the data is an error")
    prompts = parser.add_argument_group("prompt retrieval")
    prompts.add_argument(
        "--selection", action="append", default=[], metavar="HOW",
        help="how demonstrations are chosen: similar (default), random[:SEED], bm25; repeatable",
    )  # fmt: skip
    prompts.add_argument(
        "--reader", metavar="READER",
        help="what answers: nearest (default; no model), hf:MODEL, endpoint:URL[#MODEL], paper (GPT-J)",
    )  # fmt: skip
    prompts.add_argument(
        "--reader-dtype", choices=("auto", "float32", "bfloat16", "float16"), default="auto",
        help="numeric form of an hf: reader; auto is bfloat16 on a GPU, float32 elsewhere",
    )  # fmt: skip


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how to run")
    how.add_argument("--device", default="auto", metavar="DEVICE", help="auto (default), cpu, cuda, cuda:1")
    _add_variant_options(how)
    how.add_argument("--search", action="append", default=[], metavar="SEARCH",
                     help="what finds the documents of retrieval tasks: exact (default), faiss:FACTORY, "
                     "lancedb[:INDEX], milvus[:URI] (docs/search.md); repeatable, each is a row")  # fmt: skip
    how.add_argument("--cost", choices=COSTS, default=_cost_default(),
                     help="measure size, speed and memory of each form once and file them with its scores: auto "
                     "(default), full (cold start of a single form too), off")  # fmt: skip
    how.add_argument("--batch-tokens", type=positive, metavar="N", help="tokens in a batch, padding included")
    how.add_argument("--compile", action="store_true", help="compile the model first: for long runs on a GPU")
    how.add_argument("--family", choices=("instructor", "prefix", "plain"),
                     help="how the model takes instructions, where its files do not show it")  # fmt: skip
    how.add_argument("--trust-remote-code", action="store_true", help="let a checkpoint run code of its own")
    how.add_argument(
        "--executor", default="local", metavar="WHERE",
        help="what encodes: local (default), ray (every GPU of this machine, else its processors), ray:auto or "
        "ray:HOST:PORT (a Ray cluster; docs/ray.md)",
    )  # fmt: skip
    _add_serving_options(parser.add_argument_group("served models"))
    where = parser.add_argument_group("where things are")
    where.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default ./results")
    where.add_argument("--hub", type=Path, default=_hub_default(), metavar="DIR",
                       help="a local mirror of data sets in hub layout (default $INSTRUCTOR_EVAL_HUB)")  # fmt: skip
    _add_cache_options(where)
    where.add_argument("--offline", action="store_true", help="never use the network")
    parser.add_argument("--quiet", action="store_true", help="print the table only")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _add_serving_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--request-texts", type=positive, default=64, metavar="N",
                       help="texts in a request (default 64); --batch-tokens bounds its tokens too, estimated at four "
                       "bytes each (default 8192)")  # fmt: skip
    group.add_argument("--concurrency", type=positive, default=4, metavar="N",
                       help="requests at the same time (default 4)")  # fmt: skip
    group.add_argument("--tries", type=positive, default=7, metavar="N",
                       help="how often a request is sent at most (default 7)")  # fmt: skip
    group.add_argument("--timeout", type=seconds, default=60.0, metavar="SECONDS",
                       help="how long to wait for a server that says nothing (default 60)")  # fmt: skip
    group.add_argument("--price", type=amount, metavar="USD",
                       help="of a million tokens: what a run costs is filed with its scores")  # fmt: skip
    group.add_argument("--label", default="", metavar="TEXT",
                       help="your name for the state of its weights, part of the fingerprint")  # fmt: skip


def _add_variant_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--variant", action="append", type=listed, default=[], metavar="FORM[+EMBEDDING][@DIM],...",
        help="numeric forms of the model (evaluate variants): auto (default: bf16 on a GPU, fp32 elsewhere), int8, "
        "bf16+binary@256, ...; repeatable, each is a row",
    )  # fmt: skip
    group.add_argument(
        "--embedding", action="append", type=listed, default=[], metavar="KIND,...",
        help=f"what vectors are kept as, for every --variant: {', '.join(EMBEDDINGS)}; repeatable",
    )  # fmt: skip
    group.add_argument("--truncate-dim", action="append", type=positive, default=[], metavar="N",
                       help="keep the first N values of each vector, for every --variant; repeatable")  # fmt: skip


def _add_cache_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--cache", type=Path, metavar="DIR",
        help="vectors already computed (default $INSTRUCTOR_EVAL_CACHE, else ~/.cache/instructor-eval)",
    )  # fmt: skip
    group.add_argument("--no-cache", action="store_true", help="compute every vector and keep none")
    group.add_argument("--cache-size", type=_size, default=_size("20G"), metavar="SIZE",
                       help="how large it may grow, as 500M or 2T (default 20G); least recently used goes")  # fmt: skip
    group.add_argument("--cache-dtype", choices=("float32", "float16"), default="float32",
                       help="float16 halves the cache and rounds every vector: another variant")  # fmt: skip


def _size(text: str) -> int:
    units = {"K": 1, "M": 2, "G": 3, "T": 4}
    number, unit = text[:-1], text[-1:].upper()
    try:
        size = int(float(number) * 1024 ** units[unit])
    except (KeyError, ValueError, OverflowError):
        size = 0
    if size < 1024**2:
        raise argparse.ArgumentTypeError(f"{text!r} is no size of at least 1M: write 500M, 20G or 2T")
    return size


def _hub_default() -> Path | None:
    value = os.environ.get("INSTRUCTOR_EVAL_HUB")
    return Path(value) if value else None


def _cost_default() -> str:
    return os.environ.get("INSTRUCTOR_EVAL_COST") or "auto"  # checked when it is used


def _parsers() -> dict[str, tuple[argparse.ArgumentParser, Callable[[argparse.Namespace], int]]]:
    def command(name: str) -> argparse.ArgumentParser:
        text = _COMMANDS[name]
        return _Parser(prog=f"evaluate {name}", description=f"{text[0].upper()}{text[1:]}.")

    def lazily(module: str, function: str) -> Callable[[argparse.Namespace], int]:
        def run(options: argparse.Namespace) -> int:
            import importlib

            found: Callable[[argparse.Namespace], int] = getattr(
                importlib.import_module(f"instructor_eval.{module}"), function
            )
            return found(options)

        return run

    demo = command("demo")
    _add_run_options(demo)

    tasks = command("tasks")
    tasks.add_argument("name", nargs="?", metavar="TASK", help="show this task's card")
    tasks.add_argument("--benchmark", metavar="NAME", help="only this benchmark")
    tasks.add_argument("--type", metavar="TYPE", help="only this task type")
    tasks.add_argument("--search", metavar="TEXT", help="only names that contain TEXT, in any case")
    tasks.add_argument("--model", metavar="MODEL", help="with TASK: the instructions of this hub id only")
    tasks.add_argument("--format", choices=LISTING_FORMATS, default="table")

    models = command("models")
    models.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")
    models.add_argument("--format", choices=LISTING_FORMATS, default="table")

    from instructor_eval import (  # light
        cli_baseline,
        cli_compare,
        cli_gate,
        cli_measure,
        cli_plan,
        cli_report,
        cli_validate,
    )

    measure = command("measure")
    cli_measure.add_options(measure)

    compare, gate, plan = command("compare"), command("gate"), command("plan")
    cli_compare.add_options(compare)
    cli_gate.add_options(gate)
    _add_task_options(plan)
    _add_run_options(plan)
    cli_plan.add_options(plan)
    baseline = command("baseline")
    cli_baseline.add_options(baseline)

    variants = command("variants")
    variants.add_argument("--format", choices=LISTING_FORMATS, default="table")

    board = command("leaderboard")
    _add_board_options(board)
    board.add_argument("--format", choices=BOARD_FORMATS, default="table")

    report = command("report")
    cli_report.add_options(report)
    _add_board_options(report)

    validate = command("validate")
    cli_validate.add_options(validate)

    cache = command("cache")
    actions = _cache_parsers(cache)

    for parser in (tasks, models, measure, variants, board, report, compare, gate, validate, *actions):
        parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return {
        "demo": (demo, lazily("cli_run", "run_demo")),
        "tasks": (tasks, lazily("cli_show", "tasks")),
        "models": (models, lazily("cli_show", "models")),
        "measure": (measure, lazily("cli_measure", "run")),
        "variants": (variants, lazily("cli_variants", "variants")),
        "leaderboard": (board, lazily("cli_show", "leaderboard")),
        "report": (report, lazily("cli_report", "run")),
        "compare": (compare, lazily("cli_compare", "run")),
        "gate": (gate, lazily("cli_gate", "run")),
        "baseline": (baseline, lazily("cli_baseline", "run")),
        "plan": (plan, lazily("cli_plan", "run")),
        "validate": (validate, lazily("cli_validate", "run")),
        "cache": (cache, lazily("cli_cache", "run")),
    }


def _add_board_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default ./results")
    parser.add_argument("--task", action="append", default=[], metavar="TASK", help="only these columns; repeatable")
    parser.add_argument("--benchmark", action="append", default=[], metavar="NAME", help="only these; repeatable")
    parser.add_argument("--protocol", action="append", default=[], metavar="CHOICE", help="results made with these")
    parser.add_argument("--limit", type=positive, metavar="N", help="results made with this --limit")
    parser.add_argument("--reader", metavar="READER",
                       help="prompt-retrieval results of this reader (default nearest, else the first)")  # fmt: skip
    parser.add_argument("--no-published", action="store_true", help="leave published scores out")
    parser.add_argument("--baseline", metavar="ROW",
                       help="mark what differs from this row: MODEL[@VARIANT][:INSTRUCTIONS]")  # fmt: skip
    parser.add_argument("--no-intervals", action="store_true", help="scores alone; no file of items is read")


def _cache_parsers(cache: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    cache.set_defaults(show_help=cache.print_help)
    choice = cache.add_subparsers(dest="action", metavar="ACTION", title="actions (evaluate cache ACTION --help)")
    parsers = {
        name: choice.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        for name, text in _CACHE_ACTIONS.items()
    }
    for parser in parsers.values():
        parser.add_argument(
            "--cache", type=Path, metavar="DIR",
            help="its folder (default $INSTRUCTOR_EVAL_CACHE, else ~/.cache/instructor-eval)",
        )  # fmt: skip
    parsers["info"].add_argument("--format", choices=("table", "json"), default="table")
    prune = parsers["prune"]
    prune.add_argument("--size", type=_size, metavar="SIZE", help="until the cache takes no more, as 500M or 2T")
    prune.add_argument(
        "--model",
        metavar="NAME",
        help="only this model's: its name, name@revision or fingerprint; or a reader's answers",
    )
    prune.add_argument("--older-than", type=positive, metavar="DAYS", help="only what was not used for so many days")
    return list(parsers.values())


if __name__ == "__main__":
    entry()
