"""`evaluate baseline`: flags and printing."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from instructor_eval.analysis.compare.side import BASELINES
from instructor_eval.cli.compare import add_baselines_option, add_side_options, find_side, names_of
from instructor_eval.cli.options import add_actions, add_debug_option, add_format_option
from instructor_eval.core.errors import EXIT_ERROR, EXIT_OK, UserError
from instructor_eval.core.escapes import json_text
from instructor_eval.core.output import tell
from instructor_eval.core.stored_files import is_folder

if TYPE_CHECKING:
    from instructor_eval.analysis.compare.baselines import Baseline

_ACTIONS = {
    "set": "keep these results as the last baseline, and as the pinned one where there is none",
    "show": "list the baselines, or what one holds",
    "pin": "make the last baseline the pinned one, against which small losses add up",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags of `evaluate baseline`."""
    parsers = add_actions(parser, _ACTIONS)
    keep = parsers["set"]
    keep.add_argument(
        "side", metavar="SIDE",
        help="a score file, a run's manifest, a results folder, or MODEL[@VARIANT][:SET] of --results",
    )  # fmt: skip
    keep.add_argument("--name", default="main", help="what to call it (default main)")
    keep.add_argument("--note", default="", metavar="TEXT", help="why, for people")
    add_side_options(keep)
    parsers["show"].add_argument("name", nargs="?", metavar="NAME", help="only this one, with its scores")
    add_format_option(parsers["show"], ("table", "json"))
    parsers["pin"].add_argument("name", nargs="?", default="main", metavar="NAME", help="default main")
    for action in (parsers["show"], parsers["pin"]):
        add_baselines_option(action)
    for action in parsers.values():
        add_debug_option(action)


def run(options: argparse.Namespace) -> int:
    """`evaluate baseline`: one action; the return value is the exit code."""
    if options.action is None:
        options.show_help()
        return EXIT_ERROR
    return {"set": _set, "show": _show, "pin": _pin}[options.action](options)


def _set(options: argparse.Namespace) -> int:
    from instructor_eval.analysis.compare import baselines

    side = find_side(options, options.side)
    path, written = baselines.set_baseline(
        side, name=options.name, note=options.note, folder=options.baselines, tasks=names_of(options.task)
    )
    found = baselines.load(path)
    state = "is now" if written else "is already"
    count = len(found.side.values)
    tell(f"baseline {options.name} {state} {found.side.label}: {count} task{'s' * (count != 1)}, {_size(found.size)}")
    tell(f"{path.parent}: commit this folder, and give baseline:{options.name} to a gate or a comparison")
    return EXIT_OK


def _pin(options: argparse.Namespace) -> int:
    from instructor_eval.analysis.compare import baselines

    path = baselines.pin(options.name, folder=options.baselines)
    tell(f"pinned: {baselines.load(path).side.label}\n{path}: baseline:{options.name}/{baselines.PINNED}")
    return EXIT_OK


def _show(options: argparse.Namespace) -> int:
    from instructor_eval.analysis.compare import baselines
    from instructor_eval.core.tables import listing

    if options.baselines != BASELINES and not is_folder(options.baselines):
        raise UserError(
            f"--baselines {options.baselines}: there is no such folder: `evaluate baseline set SIDE` makes it"
        )
    every = [options.name] if options.name else baselines.names(options.baselines)
    found = [
        baselines.load(baselines.find(name, options.baselines, which))
        for name in every
        for which in (baselines.LAST, baselines.PINNED)
        if which == baselines.LAST or baselines.has(name, which, options.baselines)
    ]
    if options.format == "json":
        tell(json_text([_described(b) for b in found]))
        return EXIT_OK
    if not found:
        tell(f"no baselines in {options.baselines}: make one with `evaluate baseline set SIDE`")
        return EXIT_OK
    headers = ["baseline", "which", "model", "variant", "instructions", "tasks", "set", "size", "note"]
    rows = [
        [
            b.name, b.which, b.model.name, b.model.variant, b.instructions, len(b.side.values), b.created[:16],
            _size(b.size), b.note,
        ]
        for b in found
    ]  # fmt: skip
    tell(listing(headers, rows, "table", left=5, rare=("size", "note", "set")))
    if options.name:
        tell()
        tell(_scores(found))
    return EXIT_OK


def _scores(found: list[Baseline]) -> str:
    """The scores of one baseline, the last one's beside the pinned one's."""
    from instructor_eval.analysis.format import score_text
    from instructor_eval.core.tables import render

    tasks = {task: score for b in reversed(found) for task, score in b.side.scores.items() if task in b.side.values}
    rows: list[list[Any]] = [
        [task, score.type, score.metric, *(score_text(b.side.values.get(task)) for b in found), f"{score.n_items:,}"]
        for task, score in sorted(tasks.items())
    ]
    return render(["task", "type", "metric", *(b.which for b in found), "items"], rows, "table", left=3)


def _described(b: Baseline) -> dict[str, Any]:
    from instructor_eval.results.reading import plain

    tasks = {
        task: {"type": s.type, "metric": s.metric, "score": s.score, "items": s.n_items, "identity": s.identity}
        for task, s in sorted(b.side.scores.items())
    }
    return {
        "name": b.name,
        "which": b.which,
        "label": b.side.label,
        "model": plain(b.model),
        "instructions": b.instructions,
        "created": b.created,
        "note": b.note,
        "path": str(b.path),
        "bytes": b.size,
        "tasks": tasks,
    }


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"
