"""`evaluate init`: the card of a user's own data, written beside them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from instructor_eval.cli.options import add_debug_option
from instructor_eval.core.errors import EXIT_OK, UserError, reason
from instructor_eval.core.output import tell
from instructor_eval.core.whole_files import atomic_write
from instructor_eval.tasks.cards import own_cards
from instructor_eval.tasks.own.suggest import as_yaml, is_data, suggest


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags of `evaluate init`."""
    parser.add_argument("data", type=Path, metavar="PATH", help="a folder in BEIR's layout, or of tables, or a table")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default PATH.yaml, beside the data")
    parser.add_argument("--force", action="store_true", help="write over a card that is there")
    add_debug_option(parser)


def run(options: argparse.Namespace) -> int:
    """Write the card that the data would need, and print it."""
    if not is_data(str(options.data)):
        raise UserError(f"{options.data}: no folder, and no table (.jsonl, .csv, .tsv): give the path of your data")
    [card] = own_cards(str(options.data))  # what a run would make of it, and refuse
    file = options.output or options.data.resolve().with_suffix(".yaml")
    if file.exists() and not options.force:
        raise UserError(f"{file} is there: choose another -o FILE, or --force")
    suggested = suggest(options.data)
    text = as_yaml(suggested | {"data": os.path.relpath(suggested["data"], file.resolve().parent)})
    try:
        atomic_write(file, lambda opened: opened.write(text.encode()))
    except OSError as e:
        raise UserError(f"cannot write the card to {file}: {reason(e)}: choose another file with -o") from e
    tell(text.rstrip())
    tell(f"\n{card.name} is written to {file}: add its instructions (docs/adding-a-task.md), then")
    tell(f"  evaluate validate {file}")
    tell(f"  evaluate --model minilm --task {file}")
    return EXIT_OK
