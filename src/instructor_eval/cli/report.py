"""`evaluate report`: flags, and where the page is written."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from instructor_eval.analysis.board.overlaps import overlap_marks
from instructor_eval.cli.options import add_board_options, add_debug_option
from instructor_eval.core.errors import EXIT_OK, UserError, reason
from instructor_eval.core.output import tell, tell_bytes, warn

if TYPE_CHECKING:
    from instructor_eval.report.texts import ItemTexts
    from instructor_eval.report.thumbnails import Thumbnails
    from instructor_eval.results.store import Store

_GATE = Path("gate/gate.json")
_STDOUT = "-"
_TITLE = "Embedding leaderboard"
_EPILOG = """\
one HTML file: no network, no server, readable with JavaScript off.

  evaluate report --results results -o report.html
  evaluate report --baseline minilm --open
  evaluate report --task SciFact --task STSBenchmark --title "Release 2026-11"
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags of `evaluate report` that the leaderboard does not have."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("-o", "--output", type=Path, default=Path("report.html"), metavar="FILE",
                        help="where the page is written (default ./report.html); - is standard output")  # fmt: skip
    parser.add_argument("--open", action="store_true", help="show the page in the browser")
    parser.add_argument("--title", default=_TITLE, metavar="TEXT", help=f"the page's headline (default: {_TITLE})")
    parser.add_argument("--texts", action="store_true",
                        help="show texts and pictures of the lowest and highest items of tasks whose card has "
                        "show_texts: true")  # fmt: skip
    gate = parser.add_mutually_exclusive_group()
    gate.add_argument("--gate", type=Path, metavar="FILE",
                      help="a gate.json whose verdict stands first (default RESULTS/gate/gate.json)")  # fmt: skip
    gate.add_argument("--no-gate", action="store_true", help="leave the verdict out")
    add_board_options(parser)
    add_debug_option(parser)


def run(options: argparse.Namespace) -> int:
    """`evaluate report`: the page of a results folder."""
    from instructor_eval.analysis.board.evidence import Evidence
    from instructor_eval.analysis.board.statistics_files import StoredStatistics
    from instructor_eval.cli.compare import progress
    from instructor_eval.cli.leaderboard import board_of
    from instructor_eval.report.details import counted
    from instructor_eval.report.page import Request, render
    from instructor_eval.report.studies import sections_of
    from instructor_eval.results.store import Store

    output: Path = options.output
    if str(output) != _STDOUT:
        _check(output)
    store = Store(options.results)
    stored = StoredStatistics.of(store)
    with progress() as say:
        board = board_of(options, store, stored, say)
        say("writing the page")
        evidence = Evidence(None) if options.no_intervals else Evidence(store.items, stored)
        studies = sections_of(options.results)
        texts, thumbnails = _shown(options, store, board.tasks) if options.texts else (None, None)
        page = render(
            Request(
                board,
                evidence,
                str(options.results),
                options.title,
                _gate(options),
                options.command,
                studies,
                texts,
                thumbnails,
                overlap_marks(board, options.results),
            )
        )
        stored.save()
    if str(output) == _STDOUT:
        tell_bytes(page)
        return EXIT_OK
    _write(output, page)
    measured = any(row.source == "measured" for row in board.rows)
    found = (
        f"{counted(len(board.rows), 'row')}, {counted(len(board.tasks), 'task')}"
        if measured
        else "no results yet to show"
    )
    tell(f"{output}: {found}, {len(page) / 1000:,.0f} kB")
    if options.open:
        _open(output)
    return EXIT_OK


def _shown(options: argparse.Namespace, store: Store, tasks: Collection[str]) -> tuple[ItemTexts, Thumbnails]:
    """Return what finds the texts and draws the pictures of shipped tasks' items, and of those that `--task` names.

    Raises:
        UserError: a card breaks the schema.
    """
    from instructor_eval.cli.leaderboard import stored_names
    from instructor_eval.report.texts import ItemTexts
    from instructor_eval.report.thumbnails import Thumbnails
    from instructor_eval.tasks.cards import select, shipped_cards

    stored = stored_names(options, tasks)
    named = select([task for task in options.task if task not in stored])
    cards = {**shipped_cards(), **{card.name: card for card in named}}
    return ItemTexts(cards, store.items), Thumbnails(cards, store.items)


def _gate(options: argparse.Namespace) -> Path | None:
    if options.no_gate:
        return None
    if options.gate is not None:
        return Path(options.gate)
    there = Path(options.results) / _GATE
    return there if os.path.lexists(there) else None  # a broken link is one that was there


def _check(output: Path) -> None:
    """Before anything is computed: can the page be written there at all?

    Raises:
        UserError: it is a folder, or its folder is missing.
    """
    try:
        if output.is_dir():
            raise UserError(
                f"cannot write the page to {output}: it is a folder: name a file, such as {output}/report.html"
            )
        if not output.resolve().parent.is_dir():
            raise UserError(f"cannot write the page to {output}: there is no folder {output.parent}: make it first")
    except OSError as e:  # a name that the system does not take
        raise _not_written(output, e) from e


def _write(output: Path, page: bytes) -> None:
    from instructor_eval.core.whole_files import atomic_write

    try:
        if output.exists() and not output.is_file():  # /dev/stdout, a pipe
            output.write_bytes(page)
        else:
            atomic_write(output.resolve(), lambda f: f.write(page))  # what a link points to, not the link
    except OSError as e:
        raise _not_written(output, e) from e


def _not_written(output: Path, e: OSError) -> UserError:
    return UserError(f"cannot write the page to {str(output)[:200]}: {reason(e)}: choose another file with -o")


def _open(output: Path) -> None:
    """Show the page; where there is no browser the file is there all the same."""
    import webbrowser

    if not webbrowser.open(output.resolve().as_uri()):
        warn(f"evaluate: no browser could be started: open {output} yourself")
