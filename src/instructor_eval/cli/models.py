"""`evaluate models`: models whose instructions or published scores are known, and those with results."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from instructor_eval.cli.leaderboard import RESULTS, check_results_folder
from instructor_eval.cli.options import add_debug_option, add_format_option
from instructor_eval.core.errors import EXIT_OK
from instructor_eval.core.output import prose, tell
from instructor_eval.core.tables import LISTING_FORMATS, listing
from instructor_eval.results.published import published
from instructor_eval.results.store import Store
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.instructions import PAPER_MODELS


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `evaluate models`."""
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")
    add_format_option(parser, LISTING_FORMATS)
    add_debug_option(parser)


def run(options: argparse.Namespace) -> int:
    """`evaluate models`: known models, and those with results."""
    counts: Counter[str] = Counter()
    families: dict[str, str] = {}
    if options.results != RESULTS or options.results.exists():
        check_results_folder(options.results)
    for score in Store(options.results).scores():
        counts[score.model.name] += score.status == "ok"
        families[score.model.name] = score.model.family
    headers = ["model", "family", "instructions", "published MTEB-56", "results here"]
    rows: list[list[Any]] = []
    for name, entry in published().items():
        if "/" not in name:
            continue
        own = [v for t, v in entry.tasks.items() if t in shipped_cards() and shipped_cards()[t].part_of is None]
        mean = round(100 * sum(own) / len(own), 2) if own else None
        shown = f"{mean:.2f}" if mean is not None and options.format == "table" else mean
        is_instructor = name in PAPER_MODELS
        rows.append([
            name, families.pop(name, "instructor" if is_instructor else "plain"),
            "paper, template" if is_instructor else None, shown, counts.get(name) or None,
        ])  # fmt: skip
    rows += [[name, family, None, None, counts[name]] for name, family in families.items()]
    tell(listing(headers, rows, options.format, left=3, rare=("instructions", "family")))
    if options.format == "table" and not options.quiet:
        tell(
            prose(
                "\nAny folder or hub id (org/name[@revision]) with safetensors weights can be given to --model; minilm "
                "is the embedded sentence-transformers/all-MiniLM-L6-v2. Family and rule are decided from the "
                "checkpoint's files when it is run."
            )
        )
    return EXIT_OK
