"""`evaluate validate`: task cards and own data before any model loads, and stored results."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructor_eval.cli.options import add_debug_option, add_format_option
from instructor_eval.core.errors import EXIT_ERROR, EXIT_OK, UserError
from instructor_eval.core.output import tell
from instructor_eval.core.paths import shipped
from instructor_eval.core.progress import doing
from instructor_eval.core.tables import LISTING_FORMATS, render
from instructor_eval.tasks import types
from instructor_eval.tasks.cards import SHIPPED, own_cards, read_cards, shipped_cards
from instructor_eval.tasks.instructions import PAPER_MODELS, InstructionSet, ModelRule, resolve
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.values import count, refuse_if_strict

if TYPE_CHECKING:
    from instructor_eval.analysis.check.check import Checked

_FEW = 20
"""So many good results are shown without being asked for."""
_HEADERS = ["file", "task", "type", "verdict"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags of `evaluate validate`."""
    parser.add_argument("cards", nargs="*", type=Path, metavar="CARD", help="own cards; default: the shipped ones")
    parser.add_argument("--results", type=Path, metavar="DIR",
                        help="check every result stored there; with CARD, against the card's data too")  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="a warning about the data is an error")
    parser.add_argument("--all", action="store_true", help="in the table, list good results however many there are")
    add_format_option(parser, LISTING_FORMATS)
    add_debug_option(parser)


def run(options: argparse.Namespace) -> int:
    """`evaluate validate`: cards against the schema, own data against the card, results against themselves."""
    rows: list[list[Any]] = []
    known: dict[str, Card] = {}
    closing: list[str] = []
    warnings: list[str] = []
    bad = 0
    if options.cards or options.results is None:
        with doing("checking cards"):
            checks = _cards(options.cards, strict=options.strict)
        bad = sum(check.is_bad for check in checks)
        known = {check.card.name: check.card for check in checks if check.card and not check.is_bad}
        listed = options.format == "table"
        rows = [[c.file, c.card and c.card.name, c.card and c.card.type, c.verdict(listed=listed)] for c in checks]
        warnings = [f"warning: {c.card.name}: {text}" for c in checks if c.card for text in c.warnings]
        closing += [*warnings, f"{len(rows) - bad} good, {bad} with errors"]
    if options.results is not None:
        from instructor_eval.analysis.check.check import check_results  # numpy
        from instructor_eval.analysis.check.imported import check_imported

        with doing("checking results"):
            results = [*check_results(options.results, known), *check_imported(options.results)]
        bad += sum(bool(r.errors) for r in results)
        every = options.all or options.format != "table"
        rows += [[r.file, r.task, r.type, r.verdict] for r in _shown(results, every=every)]
        closing.append(_summary(results))
    if warnings:
        closing.append(f"{'' if bad else 'ok, '}{count(len(warnings), 'warning')}")
    if rows or options.format != "table":
        tell(render(_HEADERS, rows, options.format, left=len(_HEADERS)))
    if options.format == "table":
        tell("\n" * bool(rows) + "\n".join(closing))
    return EXIT_ERROR if bad else EXIT_OK


def _shown(results: Sequence[Checked], *, every: bool) -> list[Checked]:
    """Errors, then failed runs, then, if they are few or all are wanted, good ones."""
    errors = [r for r in results if r.errors]
    failed = [r for r in results if not r.errors and r.failed is not None]
    good = [r for r in results if not r.errors and r.failed is None]
    return [*errors, *failed, *(good if every or len(good) <= _FEW else [])]


def _summary(results: Sequence[Checked]) -> str:
    """The counts, and what could not be checked."""
    errors = sum(bool(r.errors) for r in results)
    failed = sum(not r.errors and r.failed is not None for r in results)
    good = len(results) - errors - failed
    from instructor_eval.analysis.check.imported import CheckedImport

    n, imported = len(results), [r for r in results if isinstance(r, CheckedImport) and not r.errors]
    runs = f"{failed:,} failed run{'s' * (failed != 1)}"
    text = f"{n:,} result{'s' * (n != 1)}: {good:,} good, {runs}, {errors:,} with errors"
    if imported:
        text += f"; {len(imported):,} of the good ones are imported: unedited, with no items to check the scores by"
    own = good - len(imported)
    uncounted = sum(not r.errors and r.failed is None and not r.counted for r in results) - len(imported)
    if uncounted:
        text += (
            f"\nitems counted in the data for {own - uncounted:,} of {own:,} good ones: the others' data is not "
            "here, or has changed since (own data: give the cards)"
        )
    unsealed = sum(bool(r.warnings) for r in results)
    if unsealed:
        text += f"\nno checksum in {unsealed:,}, written by an earlier version: an edit of these may go unseen"
    return text


@dataclass(frozen=True)
class _Check:
    """A card, and what was found."""

    file: str
    card: Card | None = None
    error: str = ""
    text: str = ""
    """A summary of a good card's data."""
    warnings: tuple[str, ...] = ()

    @property
    def is_bad(self) -> bool:
        """Return whether it has an error."""
        return bool(self.error)

    def verdict(self, *, listed: bool) -> str:
        """Return the cell of the table; the warnings stand in it unless they are listed elsewhere."""
        if self.error:
            return f"ERROR {self.error}"
        found = [f"ok, {count(len(self.warnings), 'warning')}" if self.warnings else "ok"]
        found += [self.text] if self.text else []
        return "; ".join([": ".join(found), *(() if listed else self.warnings)])


def _cards(given: Sequence[Path], *, strict: bool) -> list[_Check]:
    """Check every card of these files, or of the shipped ones."""
    root = shipped("tasks")
    files = given or [root / file for file in SHIPPED]
    checks = []
    for file in files:
        try:
            cards = read_cards(file) if file.resolve().is_relative_to(root.resolve()) else own_cards(str(file))
        except UserError as e:
            checks.append(_Check(str(file), error=str(e)))
            continue
        name = file.name if file.is_relative_to(root) else str(file)
        checks += [_check(name, card, strict=strict) for card in cards]
    return checks


def _check(file: str, card: Card, *, strict: bool) -> _Check:
    """Check a card and its data."""
    try:
        for role in () if card.parts else card.roles:
            for name in PAPER_MODELS:
                resolve(card, role, InstructionSet("paper", "paper"), ModelRule(name, "instructor"))
        if card.folder is None:
            return _Check(file, card)
        text, warnings = types.get(card.type).describe(card, shipped=card.name in shipped_cards())
        refuse_if_strict(card, warnings, strict=strict)
    except UserError as e:
        return _Check(file, card, error=str(e))
    if not card.instructions:
        text += "; no instruction of its own: the unified template is used"
    return _Check(file, card, text=text, warnings=warnings)
