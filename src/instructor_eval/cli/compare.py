"""`evaluate compare`: flags and printing."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from instructor_eval.analysis.compare.side import BASELINES
from instructor_eval.cli.flags import names, not_negative, positive
from instructor_eval.cli.options import add_debug_option, add_format_option
from instructor_eval.core.errors import EXIT_NOT_COMPARABLE, EXIT_OK, UserError, did_you_mean
from instructor_eval.core.output import pass_by, tell, warn
from instructor_eval.core.progress import Progress
from instructor_eval.core.tables import BOARD_FORMATS

if TYPE_CHECKING:
    from instructor_eval.analysis.compare.side import Side

_EPILOG = """\
a SIDE is the label of a row of the results folder, MODEL[@REVISION][@VARIANT][:INSTRUCTION SET]; a results folder,
DIR[#LABEL]; a run's manifest or a score file (.json); baseline:NAME[/pinned]; published:MODEL; or imported:MODEL.

  evaluate compare minilm@fp32 minilm@int8
  evaluate compare minilm minilm@int8 minilm@fp32+binary
  evaluate compare hkunlp/instructor-large:none hkunlp/instructor-large:paper
  evaluate compare published:hkunlp/instructor-large hkunlp/instructor-large
  evaluate compare baseline:main ./results-of-this-build --format md
"""


def add_side_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where sides are looked up."""
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default ./results")
    add_baselines_option(parser)
    parser.add_argument(
        "--task", action="extend", type=names, default=[], metavar="TASK,...", help="only these; repeatable"
    )
    parser.add_argument("--protocol", action="append", default=[], metavar="CHOICE", help="results made with these")
    parser.add_argument("--limit", type=positive, metavar="N", help="results made with this --limit")
    parser.add_argument("--reader", metavar="READER",
                        help="prompt-retrieval results of this reader (default nearest, else the first)")  # fmt: skip


def add_baselines_option(parser: argparse.ArgumentParser) -> None:
    """Add the flag that says where baselines are stored."""
    parser.add_argument("--baselines", type=Path, default=BASELINES, metavar="DIR", help=f"default ./{BASELINES}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags of `evaluate compare`."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("baseline", metavar="BASELINE", help="the side that the others are compared with")
    parser.add_argument("candidates", nargs="+", metavar="CANDIDATE", help="what is compared; several give one table")
    add_side_options(parser)
    parser.add_argument("--intersect", action="store_true",
                        help="leave out, and name, the items and tasks that one side lacks")  # fmt: skip
    parser.add_argument("--items", type=not_negative, metavar="N", help="items that moved most, a task (default 3)")
    add_format_option(parser, BOARD_FORMATS)
    add_debug_option(parser)


def run(options: argparse.Namespace) -> int:
    """`evaluate compare`: differences task by task, with intervals and p-values."""
    from instructor_eval.analysis.compare.compare import compare
    from instructor_eval.analysis.compare.text import format_comparisons

    baseline, *candidates = (find_side(options, text) for text in (options.baseline, *options.candidates))
    tasks = tasks_of(options, baseline, *candidates)
    with progress() as say:
        found = [
            compare(baseline, candidate, intersect=options.intersect, tasks=tasks, say=say) for candidate in candidates
        ]
    if not any(c.tasks for c in found):
        raise UserError(
            f"{baseline.label} and {found[0].candidate} have no task in common: run one of them on the other's"
        )
    tell(format_comparisons(found, options.format, items=options.items))
    if not any(c.comparable for c in found):
        warn("evaluate: nothing can be compared: the reasons stand above")
        return EXIT_NOT_COMPARABLE
    return EXIT_OK


def tasks_of(options: argparse.Namespace, *found: Side) -> list[str] | None:
    """The tasks that `--task` names, None for every one.

    Raises:
        UserError: a card that cannot be read, or a task that no side has.
    """
    names = names_of(options.task)
    known = list(dict.fromkeys(task for side in found for task in (*side.scores, *side.values, *side.failed)))
    for name in names:
        if name not in known:
            hint = (
                did_you_mean(name, known) or f": there are {', '.join(known[:12])}{' ...' if len(known) > 12 else ''}"
            )
            raise UserError(f"--task {name}: no side has results of it{hint}")
    return list(dict.fromkeys(names)) or None  # one task given twice must not count twice


def names_of(tasks: Iterable[str]) -> list[str]:
    """Return the names of tasks, each a name or a card's path.

    Raises:
        UserError: a card cannot be read.
    """
    from instructor_eval.tasks.cards import read_cards

    names: list[str] = []
    for text in tasks:
        names += [c.name for c in read_cards(Path(text))] if text.endswith((".yaml", ".yml")) else [text]
    return names


def find_side(options: argparse.Namespace, text: str) -> Side:
    """The side that a text of the command line means.

    Raises:
        UserError: none, or several.
    """
    from instructor_eval.analysis.compare import find_side as sides
    from instructor_eval.tasks import protocol

    return sides.resolve(
        text,
        results=options.results,
        protocol=protocol.parse(options.protocol),
        limit=options.limit,
        reader=options.reader,
        baselines=options.baselines,
    )


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """On a terminal, one line that says what is being done and is gone at the end; else nothing."""
    if sys.stderr is None or not sys.stderr.isatty() or not Progress.enabled:
        yield lambda _line: None
        return

    try:
        yield pass_by
    finally:
        pass_by("")
