"""The command line: the command is found, its flags are parsed, every error becomes one line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from instructor_eval.cli.options import add_run_options, add_task_options
from instructor_eval.core.environment import VERSION
from instructor_eval.core.errors import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_OK, UserError, did_you_mean, reason
from instructor_eval.core.output import flush, prepare_streams, silence, warn

COMMANDS = {
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
    "study": "what an instruction, a chunk size or a query is worth: runs planned for one question",
    "validate": "check task cards and own data before any model loads, or stored results",
    "cache": "show, check or shrink the cache of vectors and answers",
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
        warn("evaluate: interrupted: finished results are filed, the same command goes on from there")
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
    except Exception:  # noqa: BLE001 # shown in full: it is an error of this program
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
    if command in COMMANDS and arguments[0] == command:
        if command == "cache" and arguments[1:] and not arguments[1].startswith("-"):
            from instructor_eval.cli.cache import ACTIONS

            _check_known("cache action", arguments[1], "actions", ACTIONS)
        parser, run = parser_of(command)
        options = parser.parse_args(arguments[1:])
        options.command = ["evaluate", *arguments]
        return run(options)
    parser = root_parser()
    if not arguments:
        parser.print_help()
        return EXIT_ERROR
    if not arguments[0].startswith("-"):
        _check_known("command", arguments[0], "commands", COMMANDS)
    options = parser.parse_args(arguments)
    options.command = ["evaluate", *arguments]
    from instructor_eval.cli.run import run_root  # keeps --help light

    return run_root(options)


def _check_known(what: str, name: str, all_of_them: str, known: Iterable[str]) -> None:
    if name not in known:
        hint = did_you_mean(name, known) or f": {all_of_them} are {', '.join(known)}"
        raise UserError(f"unknown {what} '{name}'{hint}")


def root_parser() -> argparse.ArgumentParser:
    """Return the parser of `evaluate` without a command, which runs tasks."""
    commands = "\n".join(f"  {name:<13}{text}" for name, text in COMMANDS.items())
    parser = _Parser(
        prog="evaluate",
        description=_ROOT_DESCRIPTION,
        epilog=f"commands (evaluate COMMAND --help):\n{commands}\n\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"instructor-eval {VERSION}")
    add_task_options(parser)
    add_run_options(parser)
    return parser


def parser_of(command: str) -> tuple[argparse.ArgumentParser, Callable[[argparse.Namespace], int]]:
    """Return the parser of a command and what runs it; only its own module is imported."""
    text = COMMANDS[command]
    parser = _Parser(prog=f"evaluate {command}", description=f"{text[0].upper()}{text[1:]}.")
    module = importlib.import_module(f"instructor_eval.cli.{command}")
    module.add_options(parser)
    return parser, module.run


if __name__ == "__main__":
    entry()
