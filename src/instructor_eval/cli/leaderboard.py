"""`evaluate leaderboard`: the table of all results. Imports neither torch nor mteb."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from pathlib import Path

from instructor_eval import metrics
from instructor_eval.analysis.board.board import build
from instructor_eval.analysis.board.by_metric import by_metric, direction
from instructor_eval.analysis.board.evidence import Evidence
from instructor_eval.analysis.board.formats import PAPERS, format_board
from instructor_eval.analysis.board.overlaps import overlap_marks
from instructor_eval.analysis.board.paper import Paper
from instructor_eval.analysis.board.rows import Board
from instructor_eval.analysis.board.statistics_files import StoredStatistics
from instructor_eval.cli.flags import listed
from instructor_eval.cli.options import add_board_options, add_debug_option, add_format_option
from instructor_eval.core.errors import EXIT_OK, UserError
from instructor_eval.core.output import tell, warn
from instructor_eval.core.progress import doing
from instructor_eval.core.stored_files import is_folder
from instructor_eval.core.tables import BOARD_FORMATS
from instructor_eval.core.values import Items
from instructor_eval.results.imported import rows_of
from instructor_eval.results.published import published
from instructor_eval.results.readers import find_reader, readers_of
from instructor_eval.results.score import Key, Score, key_of
from instructor_eval.results.store import Store
from instructor_eval.tasks import protocol
from instructor_eval.tasks.cards import known_cards, select

RESULTS = Path("results")
"""The default results folder: that it is not there yet is no mistake."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `evaluate leaderboard`."""
    add_board_options(parser)
    parser.add_argument("--metric", metavar="NAME",
                        help="another figure of the same results, computed from their items: fpr_at_95, fnr_at_95, "
                        "threshold, separation (docs/studies.md), recall_at_10, cosine_pearson, ...")  # fmt: skip
    add_format_option(parser, BOARD_FORMATS)
    parser.add_argument("--columns", type=listed, metavar="NAME,NAME,...",
                        help="md, latex: rank, instructions, means, tasks, in this order, and no more")  # fmt: skip
    parser.add_argument("--precision", type=int, choices=range(5), metavar="N",
                        help="md, latex: digits of a score behind its point, 0 to 4 (default 2)")  # fmt: skip
    add_debug_option(parser)


def run(options: argparse.Namespace) -> int:
    """`evaluate leaderboard`: the table of stored scores."""
    paper = _paper(options)
    store = Store(options.results)
    statistics = StoredStatistics.of(store)
    with doing("reading results"):
        board = board_of(options, store, statistics)
    evidence = None if options.no_intervals or options.metric else Evidence(store.items, statistics)
    tell(format_board(board, options.format, paper=paper, evidence=evidence))
    if options.format in PAPERS:
        statistics.save()
    if options.format == "table":
        for line in overlap_marks(board, options.results):
            tell(f"! {line}")
    if options.metric and options.format == "table":
        tell(f"\nThe metric is {options.metric}, whatever a task's own. {direction(options.metric)}".rstrip())
    if board.left_out and not options.quiet and options.format == "table":
        what = f"{board.left_out} result{'s' * (board.left_out != 1)} of another --protocol, --limit or --reader"
        warn(f"\n{what} left out: give the same flags to see them")
    elif not options.quiet and not any(row.source == "measured" for row in board.rows):
        warn(f"\nno results in {options.results} to show: others' scores alone")
    return EXIT_OK


def _paper(options: argparse.Namespace) -> Paper:
    """Return how Markdown and LaTeX are to look.

    Raises:
        UserError: a flag of theirs is given with another format.
    """
    given = {"--columns": options.columns, "--precision": options.precision}
    wrong = [flag for flag, value in given.items() if value is not None and options.format not in PAPERS]
    if wrong:
        raise UserError(f"{wrong[0]} is of --format md and latex: give one of them, or leave it out")
    digits = 2 if options.precision is None else options.precision
    return Paper(options.columns or (), digits, bold=options.metric is None or not metrics.is_neutral(options.metric))


def check_results_folder(path: Path) -> None:
    """Raise UserError unless there is a folder, whatever it holds."""
    if not is_folder(path):
        if path.exists():
            raise UserError(f"no results folder at {path}: it is no folder: name one with --results")
        raise UserError(
            f"no results folder at {path}: run something first (`evaluate demo`), or name it with --results"
        )


def board_of(
    options: argparse.Namespace,
    store: Store,
    stored: StoredStatistics,
    say: Callable[[str], None] = lambda _line: None,
) -> Board:
    """The board that the flags of `evaluate leaderboard` ask for.

    Args:
        options: The flags.
        store: The results folder.
        stored: Its statistics.
        say: Called with each score whose items are read.

    Raises:
        UserError: there is no such folder, a score in it is not whole, or a flag means nothing in it.
    """
    check_results_folder(options.results)

    def read(score: Score) -> Items:
        say(f"reading items: {score.task} of {score.model.name} ({score.model.variant})")
        return store.items(score)

    scores = list(store.scores())
    named = stored_names(options, {score.task for score in scores})
    chosen = ([task for task in options.task if task not in named], options.benchmark, options.type, options.domain)
    only = [*(select(*chosen) if any(chosen) else ()), *named] if any(chosen) or named else None
    metric = getattr(options, "metric", None)
    reader = find_reader(options.reader, readers_of(scores)) if options.reader else None
    if metric is not None:
        scores = by_metric(scores, metric, None if options.no_intervals else read)
    board = build(
        scores,
        () if options.no_published or metric is not None else [*published().values(), *rows_of(store.root)],
        protocol=protocol.parse(options.protocol),
        limit=options.limit,
        only=only,
        reader=reader,
        items=None if options.no_intervals else read,
        stored=None if options.no_intervals else stored,
        baseline=_baseline(options, reader),
    )
    if options.baseline is not None and board.baseline is None:
        raise UserError(f"--baseline {options.baseline}: that row is not on this board: name one that is")
    return board


def stored_names(options: argparse.Namespace, stored: Collection[str]) -> list[str]:
    """Return which of `--task` are own tasks by the name that results have; a card says more, but may be elsewhere."""
    if options.type or options.domain:  # these are of cards
        return []
    known = known_cards() if options.task else ()
    return list(dict.fromkeys(task for task in options.task if task in stored and task not in known))


def _baseline(options: argparse.Namespace, reader: str | None) -> Key | None:
    """The row that `--baseline` names.

    Raises:
        UserError: there is none, several go by that name, or it has no items to compare with.
    """
    if options.baseline is None:
        return None
    if options.no_intervals:
        raise UserError("--baseline marks what differs beyond its interval: leave --no-intervals out")
    from instructor_eval.analysis.compare.find_side import resolve as side

    found = side(
        options.baseline,
        results=options.results,
        protocol=protocol.parse(options.protocol),
        limit=options.limit,
        reader=reader,
    )
    score = next(iter(found.scores.values()), None)
    if score is None:
        raise UserError(f"--baseline {options.baseline}: it has no stored scores to compare with: name a measured row")
    return key_of(score)
