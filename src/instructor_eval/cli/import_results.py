"""`evaluate import`: scores of mteb's results folders, beside those measured here."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
from pathlib import Path

from instructor_eval.analysis.format import some
from instructor_eval.cli.options import add_debug_option
from instructor_eval.core.errors import EXIT_ERROR, EXIT_OK, UserError
from instructor_eval.core.output import tell, warn
from instructor_eval.results import imported
from instructor_eval.results.store import Store

_NAMED = 8


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `evaluate import`."""
    parser.add_argument("folder", type=Path, metavar="DIR",
                        help="mteb's results: its cache, its repository, a model's folder or a revision's")  # fmt: skip
    parser.add_argument("--source", metavar="TEXT", help="what to call the place they are from (default: DIR)")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default ./results")
    add_debug_option(parser)


def run(options: argparse.Namespace) -> int:
    """Import all that can be; what cannot is a line each, and ends with 2."""
    from instructor_eval.integrations.mteb_import import read_folder

    if options.source is not None and not options.source.strip():
        raise UserError("--source is empty: say where the results are from, or leave it out")
    found = read_folder(options.folder, options.source or str(options.folder))
    store = Store(options.results)
    if found.models:
        store.check_writable()
    now = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
    for one in found.models:
        imported.write(options.results, dataclasses.replace(one, created=now))
        n = len(one.scores)
        tell(f"{one.label}: {n} score{'s' * (n != 1)} imported, {one.origin}")
    if found.unknown:
        names = some(sorted(set(found.unknown)), _NAMED)
        tell(f"left out, as there is no card of these tasks here: {names}")
    if found.other_data:
        tell(f"of another revision of the data than the card's: {some(sorted(set(found.other_data)), _NAMED)}")
    for line in found.skipped:
        warn(f"evaluate: left out: {line}")
    if not found.models:
        warn(f"evaluate: {options.folder}: no score could be imported")
    return EXIT_ERROR if found.skipped or not found.models else EXIT_OK
