"""The command line: the command is found, its flags are parsed, every error becomes one line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from instructor_eval.cli.options import add_run_options, add_task_options
from instructor_eval.core.environment import VERSION
from instructor_eval.core.errors import (
    EXIT_ERROR,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_TERMINATED,
    UserError,
    did_you_mean,
    reason,
)
from instructor_eval.core.libraries import show_logs
from instructor_eval.core.output import flush, prepare_streams, silence, warn
from instructor_eval.core.progress import Progress, doing

COMMANDS = {
    "demo": "run the embedded model on the embedded tasks, with no network",
    "init": "write the card of your own data: a folder in BEIR's layout, or a table",
    "tasks": "list the tasks, or show one card with its literal instructions",
    "models": "list the models whose instructions or published scores are known, and those with results",
    "train": "train a text encoder that takes instructions, and evaluate it on the way",
    "overlap": "tell which texts of tasks stand in training data, verbatim or nearly",
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
    "export": "write results for other tools: mteb, TREC, a model card, MLflow, Weights & Biases",
    "import": "take the scores of an mteb results folder in, beside those measured here",
    "cache": "show, check or shrink the cache of vectors and answers",
    "completion": "print what lets bash, zsh or fish complete commands, flags, tasks and models",
}
_ROOT_DESCRIPTION = """\
Score text embedding models on the tasks of the INSTRUCTOR paper, or on your own.

  evaluate --model hkunlp/instructor-large --task ArguAna
  evaluate --model minilm --task STSBenchmark,SciFact --hub ./mirror
  evaluate --model minilm --task 'STS*' --type STS
  evaluate --model minilm,hkunlp/instructor-base --domain medical
  evaluate --model ./my-checkpoint --task ./my-task.yaml --instructions paper --instructions none
"""
_EXIT_CODES = """\
exit codes: 0 done, 2 an error or a failed task, 4 nothing could be compared, 130 interrupted, 143 terminated;
of gate also 1 REGRESSED, 3 INCONCLUSIVE (with --fail-on-inconclusive), 4 NOT COMPARABLE"""


_OF_A_RUN = ("--model", "--task", "--benchmark", "--type", "--domain", "--instructions", "--variant", "--limit",
             "--device", "--results", "--hub", "--offline", "--quiet")  # fmt: skip
_COMMON = {
    "evaluate": _OF_A_RUN,
    "evaluate demo": ("--variant", "--device", "--results", "--quiet"),
    "evaluate plan": (*_OF_A_RUN, "--baseline", "--format"),
    "evaluate gate": ("--candidate", "--baseline", "--gate", "--thresholds", "--output", "--self-test", "--results",
                      "--task"),
    "evaluate train": ("--model_name_or_path", "--output_dir", "--train_file", "--max_source_length",
                       "--cl_temperature", "--evaluate", "--evaluate_steps", "--stop_if", "--keep", "--results"),
}  # fmt: skip
"""The flags that `--help` of a command with many shows; `--help-all` shows every one."""
_FILED = "finished results are filed, the same command goes on from there"
_INTERRUPTED = {"train": "the same command with --resume_from_checkpoint goes on from the last whole checkpoint"}


class _Terminated(KeyboardInterrupt):
    """A scheduler or the host of a container ends us: clean up what an interrupt would."""


class _HelpAll(argparse.Action):
    """Print the help with every flag, and leave."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        assert isinstance(parser, _Parser)
        parser.common = ()
        parser.print_help()
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """Usage errors as one line, like every other error, and the common flags in a short help."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.common = _COMMON.get(self.prog, ())
        if self.common:
            self.add_argument("--help-all", action=_HelpAll, nargs=0, help="show every flag")

    def format_help(self) -> str:
        """Return the help; of a command with many flags only the common ones, and how to see the others."""
        if not self.common:
            return super().format_help()
        shown = {"-h", "--help-all", *self.common}
        hidden = {action: action.help for action in self._actions if not shown & set(action.option_strings)}
        usage = self.usage
        required = [f"{a.option_strings[0]} {a.metavar}" for a in self._actions if a.required and a.option_strings]
        self.usage = " ".join([self.prog, *required, "[options]"])
        try:
            for action in hidden:
                action.help = argparse.SUPPRESS
            return super().format_help()
        finally:
            self.usage = usage
            for action, text in hidden.items():
                action.help = text

    def error(self, message: str) -> None:  # type: ignore[override] # argparse says NoReturn
        raise UserError(f"{message}{self._meant(message)} (see {self.prog} --help)")

    def _meant(self, message: str) -> str:
        """Return which flag an unknown one may have meant."""
        behind = re.match(r"unrecognized arguments: ([a-z]+)", message)
        if behind and behind[1] in COMMANDS and self.prog == "evaluate":
            return f": a command comes before its flags, evaluate {behind[1]} ..."
        unknown = re.match(r"unrecognized arguments: --([\w-]+)", message)
        names = [flag[2:] for flag in self._option_string_actions if flag.startswith("--")]
        near = difflib.get_close_matches(unknown[1], names, n=2, cutoff=0.7) if unknown else []
        return f": did you mean --{' or --'.join(near)}?" if near else ""


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
    except KeyboardInterrupt as e:
        if debug:
            raise
        ended = isinstance(e, _Terminated)
        way_on = _INTERRUPTED.get(arguments[0], _FILED) if arguments else _FILED
        warn(f"evaluate: {'terminated' if ended else 'interrupted'}: {way_on}")
        return EXIT_TERMINATED if ended else EXIT_INTERRUPTED
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
    if "_ARGCOMPLETE" in os.environ:  # a shell completes a command line
        from instructor_eval.cli.completion import answer

        answer(COMMANDS, lambda name: parser_of(name)[0] if name else root_parser())
    signal.signal(signal.SIGTERM, _terminate)
    prepare_streams()
    show_logs(verbose=not {"-v", "--verbose"}.isdisjoint(sys.argv[1:]))
    try:
        code = main()
    except Exception:  # noqa: BLE001 # shown in full: it is an error of this program
        with contextlib.suppress(OSError, ValueError):  # nobody may be listening there either
            traceback.print_exc()
        code = EXIT_ERROR
    sys.exit(code)


def _terminate(_number: int, _frame: object) -> None:
    raise _Terminated


def _refused_by_the_system(e: OSError) -> UserError:
    if e.filename is not None:
        return UserError(f"{os.fsdecode(e.filename)}: {reason(e)}: see that it can be used")
    try:
        Path.cwd()
    except OSError:
        return UserError("the folder that this runs in is gone: change to another")
    return UserError(f"{reason(e)}: see what the system lacks (--debug shows where)")


def _dispatch(arguments: list[str]) -> int:
    Progress.enabled = "--quiet" not in arguments
    if arguments[:1] == ["help"]:  # as git and pip have it
        arguments = [*arguments[1:2], "--help"]
    if arguments[:1] == ["run"]:
        arguments = arguments[1:] or ["--help"]
    command = next((a for a in arguments if not a.startswith("-")), None)
    if command in COMMANDS and arguments[0] == command:
        if command == "cache" and arguments[1:] and not arguments[1].startswith("-"):
            from instructor_eval.cli.cache import ACTIONS

            _check_known("cache action", arguments[1], "actions", ACTIONS)
        parser, run = parser_of(command)
        if parser.get_default("others") is None:
            options = parser.parse_args(arguments[1:])
        else:  # a command that hands on what it does not know
            options, others = parser.parse_known_args(arguments[1:])
            options.others = others
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
    with doing("starting"):
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
    name = "import_results" if command == "import" else command  # a keyword is no module's name
    with doing("starting"):
        module = importlib.import_module(f"instructor_eval.cli.{name}")
    module.add_options(parser)
    return parser, module.run


if __name__ == "__main__":
    entry()
