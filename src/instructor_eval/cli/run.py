"""The commands that run models: `evaluate --model ... --task ...` and `evaluate demo`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from instructor_eval import api
from instructor_eval.analysis.board.board import build
from instructor_eval.analysis.board.formats import format_board
from instructor_eval.analysis.board.statistics_files import StoredStatistics
from instructor_eval.core.errors import EXIT_ERROR, EXIT_OK
from instructor_eval.core.output import say, tell, warn
from instructor_eval.core.progress import Progress, doing
from instructor_eval.results.imported import rows_of
from instructor_eval.results.published import published
from instructor_eval.results.score import UNSTARTED, Score
from instructor_eval.results.store import Store
from instructor_eval.run.options import Options
from instructor_eval.tasks import protocol
from instructor_eval.tasks.cards import select, shipped_cards
from instructor_eval.tasks.own.suggest import as_yaml, is_data, suggest
from instructor_eval.tasks.task import Card


def run_root(options: argparse.Namespace) -> int:
    """`evaluate --model ... --task ...`: run, file, print the board of what was asked for."""
    options_of(options).check()
    if not options.quiet:
        _show_suggested(options.task)
    return run_tasks(options)


def _show_suggested(tasks: list[str]) -> None:
    """Print the card that stands for data given as a task."""
    for task in tasks:
        if task not in shipped_cards() and not task.endswith((".yaml", ".yml")) and is_data(task):
            lines = as_yaml(suggest(Path(task))).splitlines()
            say("\n  ".join([f"{task} is taken as a task with this card (`evaluate init {task}` writes it):", *lines]))


def options_of(flags: argparse.Namespace) -> Options:
    """Return the options that the flags give."""
    given = {field.name: getattr(flags, field.name) for field in dataclasses.fields(Options)}
    lists = {name: [text for part in given[name] for text in part] for name in ("variant", "embedding")}
    return Options(**{**given, **lists})


def run_tasks(options: argparse.Namespace) -> int:
    """Run what was asked for and print its table; the return value is the exit code."""
    Progress.enabled = not options.quiet
    asked = options_of(options)
    summary = api.run(asked, (lambda _line: None) if options.quiet else say, _warn)
    store, cards = Store(options.results), select(options.task, options.benchmark, options.type, options.domain)
    failures = [s for s in summary.scores if s.status == "failed"]
    if options.quiet:
        for line in _lines(failures):
            warn(f"evaluate: {line}")
    if len(failures) == len(summary.scores):
        return EXIT_ERROR
    with doing("reading results"):
        board = build(
            store.scores(),
            [*published().values(), *rows_of(store.root)],
            protocol=protocol.parse(options.protocol),
            limit=options.limit,
            only=_columns(cards),
            reader=summary.reader,
            current={s.identity for s in summary.scores},
            items=store.items,
            stored=StoredStatistics.of(store),
        )
    tell()
    tell(format_board(board, "table"))
    if not options.quiet:
        limited = f", cut to {options.limit} items each: not comparable with whole tasks" if options.limit else ""
        tell(
            f"\n{summary.ran} run, {summary.reused} reused, {summary.failed} failed{limited}; "
            f"results in {options.results}"
        )
    return EXIT_ERROR if summary.failed else EXIT_OK


def _lines(failures: list[Score]) -> list[str]:
    """Return why tasks failed, a line each; one line for all tasks of a model that failed alike."""
    alike: dict[tuple[str, str | None], list[Score]] = {}
    for score in failures:
        alike.setdefault((score.model.fingerprint, score.error), []).append(score)
    lines = []
    for (fingerprint, error), scores in alike.items():
        what = scores[0].task + (f" and {len(scores) - 1} others" if len(scores) > 1 else "")
        if fingerprint.startswith(UNSTARTED):
            what = f"model {scores[0].model.name}"
        lines.append(f"{what} failed: {error}")
    return lines


def _columns(cards: list[Card]) -> list[Card]:
    """The tasks asked for; a part that came in with its whole is no column of its own."""
    names = {c.name for c in cards}
    return [c for c in cards if c.part_of not in names]


def _warn(line: str) -> None:
    warn(f"evaluate: {line}")
