"""`evaluate completion`: the script that makes a shell complete, and what answers when it does. Light.

A shell runs `evaluate` itself with `_ARGCOMPLETE` set, so that commands, flags and names are those of the version that
is installed. Names come from files: what is no plain word is left out.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from instructor_eval.cli.options import add_debug_option
from instructor_eval.core.errors import EXIT_OK, UserError
from instructor_eval.core.output import tell

if TYPE_CHECKING:
    from instructor_eval.results.score import Score

SHELLS = ("bash", "zsh", "fish")
_EPILOG = """\
where it goes, and then a new shell:

  eval "$(evaluate completion bash)"     # ~/.bashrc
  eval "$(evaluate completion zsh)"      # ~/.zshrc, after compinit
  evaluate completion fish | source      # ~/.config/fish/config.fish
"""
_PLAIN = re.compile(r"[\w./@:+#=-]+")
_MOST_SCORES = 500
"""Scores that are looked at for the names of rows: an answer should be there at once."""

Names = Callable[[argparse.Namespace], Iterable[str]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `evaluate completion`."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")
    add_debug_option(parser)


def run(options: argparse.Namespace) -> int:
    """Print the script of a shell."""
    from argcomplete.shell_integration import shellcode

    tell(shellcode(["evaluate"], shell=options.shell).rstrip("\n"))
    return EXIT_OK


def answer(commands: Collection[str], parser_of: Callable[[str | None], argparse.ArgumentParser]) -> None:
    """Answer the shell that asks through the environment, and end the process.

    Args:
        commands: Names of the commands.
        parser_of: Returns a command's parser; None is for `evaluate` without one.
    """
    import argcomplete
    from argcomplete.lexers import split_line

    words = split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))[3]
    start = int(os.environ["_ARGCOMPLETE"])
    first = words[start] if len(words) > start else None
    if first == "help":
        parser = argparse.ArgumentParser(add_help=False)
        parser.add_argument("command", choices=commands)
    else:
        parser = parser_of(first if first in commands else None)
        if first is None:
            parser.add_argument("command", nargs="?", choices=["run", "help", *commands])
    _add_completers(parser)
    os.environ["_ARGCOMPLETE"] = str(start + (first in (*commands, "help", "run")))  # words that argcomplete leaves out
    argcomplete.autocomplete(parser, always_complete_options=False)


def _add_completers(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _add_completers(below)
            continue
        flag = action.option_strings[-1] if action.option_strings else f"{parser.prog.split()[-1]} {action.dest}"
        if flag in _VALUES:
            completer: Callable[..., Iterable[str]] = _completer(*_VALUES[flag], metavar=str(action.metavar))
        elif action.metavar == "DIR":
            completer = _files
        elif action.choices is None and action.metavar not in ("FILE", "PATH", "CARD"):
            completer = _nothing
        else:
            continue  # argcomplete offers choices, and files
        action.completer = completer  # type: ignore[attr-defined] # where argcomplete looks for it


def _completer(names: Names, endings: Sequence[str] | None, *, metavar: str) -> Callable[..., list[str]]:
    """Return what gives argcomplete the values of a flag: names, and files with these endings (None: no file)."""
    is_list = metavar.endswith(",...")

    def complete(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
        before, comma, last = prefix.rpartition(",") if is_list else ("", "", prefix)
        try:
            known = [name for name in names(parsed_args) if _PLAIN.fullmatch(name)]
        except (UserError, OSError):  # of a folder or package: the command itself says it
            known = []
        found = [f"{before}{comma}{name}" for name in known if name not in before.split(",")]
        return found if endings is None or comma else [*found, *_files(last, endings)]

    return complete


def _files(prefix: str, endings: Sequence[str] = (), **_: object) -> list[str]:
    """Return folders, and files with one of the endings, that begin with a prefix."""
    folder, slash, start = prefix.rpartition("/")
    try:
        entries = sorted(Path(f"{folder}{slash}" or ".").expanduser().iterdir())
    except (OSError, RuntimeError):
        return []
    shown = [entry for entry in entries if entry.name.startswith(start) and entry.name.isprintable()]
    shown = [entry for entry in shown if start or not entry.name.startswith(".")]
    return [
        f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}"
        for entry in shown
        if entry.is_dir() or entry.suffix.lower() in endings
    ]


def _nothing(**_: object) -> list[str]:
    return []


def _tasks(_: argparse.Namespace) -> Iterable[str]:
    from instructor_eval.tasks.cards import known_cards

    return known_cards()


def _benchmarks(_: argparse.Namespace) -> Iterable[str]:
    from instructor_eval.tasks.cards import benchmarks, known_cards

    return benchmarks(known_cards())


def _types(_: argparse.Namespace) -> Iterable[str]:
    from instructor_eval.tasks.types import TYPES

    return TYPES


def _domains(_: argparse.Namespace) -> Iterable[str]:
    from instructor_eval.tasks.cards import domains, known_cards

    return domains(known_cards().values())


def _models(options: argparse.Namespace) -> Iterable[str]:
    from instructor_eval.models.find import EMBEDDED
    from instructor_eval.results.published import published

    here = [score.model.name for score in _scores(options)]
    return dict.fromkeys([EMBEDDED, *here, *(name for name in published() if "/" in name)])


def _forms(_: argparse.Namespace) -> Iterable[str]:
    from instructor_eval.models.variant import known_forms

    return ["auto", *known_forms()]


def _embeddings(_: argparse.Namespace) -> Iterable[str]:
    from instructor_eval.models.variant import EMBEDDINGS

    return EMBEDDINGS


def _protocol(_: argparse.Namespace) -> Iterable[str]:
    from instructor_eval.tasks.protocol import CHOICES

    return ["mteb", "paper", *(f"{name}={value}" for name, values in CHOICES.items() for value in values)]


def _rows(options: argparse.Namespace) -> Iterable[str]:
    from instructor_eval.analysis.compare.find_side import labels_of

    return [*labels_of(_scores(options)), *(f"baseline:{name}" for name in _baselines(options))]


def _baselines(options: argparse.Namespace) -> Iterable[str]:
    from instructor_eval.analysis.compare import baselines
    from instructor_eval.analysis.compare.side import BASELINES

    return baselines.names(getattr(options, "baselines", None) or BASELINES)


def _scores(options: argparse.Namespace) -> list[Score]:
    from instructor_eval.results.store import Store

    return list(islice(Store(getattr(options, "results", None) or Path("results")).scores(), _MOST_SCORES))


def _these(*names: str) -> Names:
    return lambda _: names


_CARDS, _TABLES = (".yaml", ".yml"), (".yaml", ".yml", ".csv", ".tsv", ".jsonl")
_VALUES: dict[str, tuple[Names, Sequence[str] | None]] = {
    "--task": (_tasks, _TABLES),
    "tasks name": (_tasks, _CARDS),
    "--benchmark": (_benchmarks, None),
    "--type": (_types, None),
    "--domain": (_domains, None),
    "--model": (_models, ()),
    "--instructions": (_these("paper", "template", "none"), _CARDS),
    "--variant": (_forms, None),
    "--embedding": (_embeddings, None),
    "--protocol": (_protocol, None),
    "--search": (_these("exact", "faiss:", "lancedb", "milvus"), None),
    "--selection": (_these("similar", "random", "bm25"), None),
    "--reader": (_these("nearest", "paper", "hf:", "endpoint:"), None),
    "--executor": (_these("local", "ray", "ray:auto"), None),
    "--device": (_these("auto", "cpu", "cuda"), None),
    "--chunk": (_these("64", "128", "256", "512", "whole"), None),
    "--candidate": (_rows, (".json",)),
    "--baseline": (_rows, (".json",)),
    "compare baseline": (_rows, (".json",)),
    "compare candidates": (_rows, (".json",)),
    "export rows": (_rows, None),
    "set side": (_rows, (".json",)),
    "show name": (_baselines, None),
    "pin name": (_baselines, None),
}
"""The values of a flag, or of a command's argument: names, and folders and files with these endings (None: neither)."""
