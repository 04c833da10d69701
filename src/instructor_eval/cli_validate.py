"""`evaluate validate`: task cards and own data before any model loads, and stored results."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructor_eval.cards import OWN_TYPES, own_cards, read_cards, shipped_cards
from instructor_eval.errors import EXIT_ERROR, EXIT_OK, UserError
from instructor_eval.instructions import PAPER_MODELS, InstructionSet, ModelRule, resolve
from instructor_eval.output import tell
from instructor_eval.paths import shipped
from instructor_eval.tables import LISTING_FORMATS, render
from instructor_eval.types import Card

if TYPE_CHECKING:
    from instructor_eval.checks.consistency import Checked

_FEW = 20
"""So many good results are shown without being asked for."""
_HEADERS = ["file", "task", "type", "verdict"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags of `evaluate validate`."""
    parser.add_argument("cards", nargs="*", type=Path, metavar="CARD", help="own cards; default: the shipped ones")
    parser.add_argument("--results", type=Path, metavar="DIR",
                        help="check every result stored there; with CARD, against the card's data too")  # fmt: skip
    parser.add_argument("--all", action="store_true", help="in the table, list good results however many there are")
    parser.add_argument("--format", choices=LISTING_FORMATS, default="table")


def run(options: argparse.Namespace) -> int:
    """`evaluate validate`: cards against the schema, own data against the card, results against themselves."""
    rows: list[list[Any]] = []
    known: dict[str, Card] = {}
    closing: list[str] = []
    bad = 0
    if options.cards or options.results is None:
        bad = _cards(options.cards, rows, known)
        closing.append(f"{len(rows) - bad} good, {bad} with errors")
    if options.results is not None:
        from instructor_eval.checks.consistency import check_results  # numpy and scipy

        results = check_results(options.results, known)
        bad += sum(bool(r.errors) for r in results)
        every = options.all or options.format != "table"
        rows += [[r.file, r.task, r.type, r.verdict] for r in _shown(results, every=every)]
        closing.append(_summary(results))
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
    n = len(results)
    runs = f"{failed:,} failed run{'s' * (failed != 1)}"
    text = f"{n:,} result{'s' * (n != 1)}: {good:,} good, {runs}, {errors:,} with errors"
    uncounted = sum(not r.errors and r.failed is None and not r.counted for r in results)
    if uncounted:
        text += (
            f"\nitems counted in the data for {good - uncounted:,} of {good:,} good ones: the others' data is not "
            "here, or has changed since (own data: give the cards)"
        )
    unsealed = sum(bool(r.warnings) for r in results)
    if unsealed:
        text += f"\nno checksum in {unsealed:,}, written by an earlier version: an edit of these may go unseen"
    return text


def _cards(given: Sequence[Path], rows: list[list[Any]], known: dict[str, Card]) -> int:
    """Add one row a card, and note the good ones; the number of bad ones is returned."""
    root = shipped("tasks")
    files = given or [
        root / "mteb.yaml", root / "billboard.yaml", root / "prompt_retrieval.yaml", root / "demo" / "demo.yaml"
    ]  # fmt: skip
    bad = 0
    for file in files:
        try:
            cards = read_cards(file) if file.resolve().is_relative_to(root.resolve()) else own_cards(str(file))
        except UserError as e:
            bad += 1
            rows.append([str(file), None, None, f"ERROR {e}"])
            continue
        for card in cards:
            verdict = _check(card)
            if verdict.startswith("ERROR"):
                bad += 1
            else:
                known[card.name] = card
            rows.append([file.name if file.is_relative_to(root) else str(file), card.name, card.type, verdict])
    return bad


def _check(card: Card) -> str:
    """What a card holds, or what is wrong with it."""
    try:
        for role in () if card.parts else card.roles:
            for name in PAPER_MODELS:
                resolve(card, role, InstructionSet("paper", "paper"), ModelRule(name, "instructor"))
        if card.folder is None:
            return "ok"
        if card.type not in OWN_TYPES:
            return f"ERROR type {card.type}: own tasks can be {', '.join(OWN_TYPES)}"
        if card.type == "TextEvaluation":
            from instructor_eval.adapters.billboard import load_segments  # numpy and scipy

            segments = load_segments(card.folder)
            text = f"{len(segments):,} segments, {sum(len(s.hypotheses) for s in segments):,} hypotheses"
        elif card.type == "PromptRetrieval":
            from instructor_eval.adapters.prompt_retrieval import describe as describe_prompts

            text = describe_prompts(card, with_prompts=card.name not in shipped_cards())
        else:
            from instructor_eval.adapters.folder import describe

            text = describe(card)
    except UserError as e:
        return f"ERROR {e}"
    no_instruction = not card.instructions
    return f"ok: {text}" + ("; no instruction of its own: the unified template is used" if no_instruction else "")
