"""`evaluate overlap`: flags and printing."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from instructor_eval.cli.options import add_choice_options, add_debug_option, add_format_option
from instructor_eval.core import libraries
from instructor_eval.core.errors import EXIT_OK, UserError
from instructor_eval.core.escapes import json_text
from instructor_eval.core.hub import check_mirror
from instructor_eval.core.output import tell, warn
from instructor_eval.core.tables import LISTING_FORMATS, render
from instructor_eval.results import overlaps
from instructor_eval.tasks import protocol
from instructor_eval.tasks.cards import select
from instructor_eval.tasks.task import RunSettings

_HEADERS = ["task", "role", "texts", "verbatim", "near", "% in the training data"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags of `evaluate overlap`."""
    parser.add_argument("--train", type=Path, required=True, metavar="FILE", help="training rows, as of evaluate train")
    add_choice_options(parser, "")
    parser.add_argument("--threshold", type=float, default=0.8, metavar="J",
                        help="least Jaccard similarity of texts that are near, by pieces of five characters "
                        "(default 0.8)")  # fmt: skip
    parser.add_argument("--skip_bad_rows", action="store_true", help="leave rows out that cannot be used")
    parser.add_argument("--hub", type=Path, metavar="DIR", help="a mirror of data sets")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    parser.add_argument("--results", type=Path, metavar="DIR",
                        help="file it there: the leaderboard marks rows of models trained on this file")  # fmt: skip
    add_format_option(parser, LISTING_FORMATS)
    add_debug_option(parser)


def run(options: argparse.Namespace) -> int:
    """Compare, print, and file."""
    chosen = (options.task, options.benchmark, options.type, options.domain)
    if not any(chosen):
        raise UserError("no --task, --benchmark, --type or --domain given: `evaluate tasks` lists them")
    if not 0.7 <= options.threshold <= 1:
        raise UserError(f"--threshold {options.threshold}: give a similarity from 0.7 to 1")
    cards = [card for card in select(*chosen) if not card.parts]
    check_mirror(options.hub)
    libraries.require(("datasketch", "mteb", "torch"), "train", "evaluate overlap")
    from instructor_eval.cache.vectors import default_folder
    from instructor_eval.tasks.texts import texts_of
    from instructor_eval.training.data import load_rows
    from instructor_eval.training.overlap import overlap

    settings = RunSettings(protocol=protocol.parse([]), hub=options.hub, offline=options.offline, texts_only=True)
    rows = load_rows(options.train, default_folder() / "training", skip_bad=options.skip_bad_rows, say=warn)
    shares = overlap(rows, {card.name: texts_of(card, settings) for card in cards}, options.threshold)
    if options.results is not None:
        overlaps.write(options.results, rows.about.sha256, options.threshold, shares)
    if options.format == "json":
        found = [dataclasses.asdict(share) for share in shares]
        tell(json_text({"sha256": rows.about.sha256, "threshold": options.threshold, "shares": found}))
        return EXIT_OK
    lines = [
        [s.task, s.role, s.texts, s.verbatim, s.near, f"{100 * (s.verbatim + s.near) / max(1, s.texts):.1f}"]
        for s in shares
    ]
    tell(render(_HEADERS, lines, options.format, left=2))
    if options.format == "table" and not options.quiet:
        tell(
            f"\n{len(rows):,} rows of {rows.about.file}; verbatim: equal in lower case and white space; near: Jaccard "
            f"similarity of five-character pieces at least {options.threshold:g} (MinHash), and not verbatim"
        )
    return EXIT_OK
