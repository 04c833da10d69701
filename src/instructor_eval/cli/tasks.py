"""`evaluate tasks`: the tasks, or one card with its literal instructions."""

from __future__ import annotations

import argparse
import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from instructor_eval.cli.flags import names
from instructor_eval.cli.options import add_debug_option, add_format_option
from instructor_eval.core.errors import EXIT_OK, UserError, did_you_mean
from instructor_eval.core.escapes import json_text
from instructor_eval.core.output import tell, warn
from instructor_eval.core.tables import LISTING_FORMATS, listing, render
from instructor_eval.results.published import published
from instructor_eval.tasks import types
from instructor_eval.tasks.cards import (
    benchmarks,
    domains,
    known_cards,
    own_cards,
    plugin_cards,
    read_cards,
    shipped_cards,
)
from instructor_eval.tasks.instructions import PAPER_MODELS, InstructionSet, ModelRule, resolve
from instructor_eval.tasks.task import Card

_FILTERS = {"benchmark": "these benchmarks", "type": "these task types", "domain": "these domains, as medical or news"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `evaluate tasks`."""
    parser.add_argument("name", nargs="?", metavar="TASK", help="show this task's card")
    for flag, what in _FILTERS.items():
        parser.add_argument(f"--{flag}", action="extend", type=names, default=[], metavar="NAME,...",
                            help=f"only {what}; repeatable")  # fmt: skip
    parser.add_argument("--search", metavar="TEXT", help="only names that contain TEXT, in any case")
    parser.add_argument("--model", metavar="MODEL", help="with TASK: the instructions of this hub id only")
    add_format_option(parser, LISTING_FORMATS)
    add_debug_option(parser)


def run(options: argparse.Namespace) -> int:
    """`evaluate tasks`: the list, or one card."""
    cards = shipped_cards()
    _check_together(options)
    if options.name:
        if options.name in cards:
            found = [cards[options.name]]
        elif options.name.endswith((".yaml", ".yml")):
            found = read_cards(Path(options.name))
        else:
            found = own_cards(options.name)
        if options.model:
            _check_model(options.model, found)
        for card in found:
            _print_card(card, options)
        return EXIT_OK
    ours, cards = cards, known_cards()
    for error in plugin_cards().errors:
        warn(f"evaluate: {error}")
    for value, known, what in (
        *((value, benchmarks(cards), "benchmark") for value in options.benchmark),
        *((value, list(types.TYPES), "type") for value in options.type),
        *((value, domains(cards.values()), "domain") for value in options.domain),
    ):
        if value not in known:
            hint = did_you_mean(value, known) or f": known are {', '.join(known)}"
            raise UserError(f"unknown {what} '{value}'{hint}")
    chosen = [
        c
        for c in cards.values()
        if (not options.benchmark or c.benchmark in options.benchmark)
        and (not options.type or c.type in options.type)
        and (not options.domain or cards.get(c.part_of or "", c).domain_name in options.domain)
        and (not options.search or options.search.lower() in c.name.lower())
    ]
    headers = ["task", "benchmark", "type", "domain", "metric", "split", "roles", "data", "part of"]
    rows = [
        [c.name, c.benchmark, c.type, c.domain_name, c.metric, c.split, " ".join(() if c.parts else c.roles),
         c.data_id or (f"{len(c.parts)} tasks" if c.parts else "shipped" if c.name in ours else "plugin"), c.part_of]
        for c in chosen
    ]  # fmt: skip
    rare = ("part of", "split", "data", "roles", "benchmark", "metric")
    tell(listing(headers, rows, options.format, left=len(headers), rare=rare))
    if options.format == "table" and not options.quiet:
        whole = Counter(c.benchmark for c in chosen if c.part_of is None)
        parts = sum(c.part_of is not None for c in chosen)
        counts = ", ".join(f"{n} {name}" for name, n in whole.items())
        tell(f"\n{counts or 'no task'}{f', {parts} parts of another task' if parts else ''}")
    return EXIT_OK


def _check_together(options: argparse.Namespace) -> None:
    """Raise UserError for a flag that would be ignored."""
    of_list = {f"--{flag}": getattr(options, flag) for flag in (*_FILTERS, "search")}
    given = [flag for flag, value in of_list.items() if value]
    if options.name and given:
        raise UserError(f"{given[0]} chooses from the list of tasks: leave it out, or leave '{options.name}' out")
    if options.model and not options.name:
        raise UserError("--model shows a task's instructions: name the task, as in `evaluate tasks ArguAna --model M`")


def _check_model(name: str, cards: Sequence[Card]) -> None:
    """Raise UserError for a name that no instruction is written for, and no score is published of."""
    own = {model for card in cards for by_model in card.instructions.values() for model in by_model if "/" in model}
    known = list(dict.fromkeys([*PAPER_MODELS, *sorted(own), *(m for m in published() if "/" in m)]))
    if name not in known:
        hint = did_you_mean(name, known) or ": `evaluate models` lists them"
        raise UserError(f"unknown model '{name}'{hint}")


def _instruction_rows(card: Card, model: str | None) -> list[dict[str, str]]:
    """Per role and checkpoint, the literal instruction and where it comes from."""
    if card.parts:
        return []
    paper = InstructionSet("paper", "paper")
    return [
        {"role": role, "model": name, "instruction": found.text, "rule": found.rule}
        for role in card.roles
        for name in ([model] if model else PAPER_MODELS)
        for found in [resolve(card, role, paper, ModelRule(name, "instructor"))]
    ]


def _print_card(card: Card, options: argparse.Namespace) -> None:
    rows = _instruction_rows(card, options.model)
    template = {} if card.parts else {role: card.template.instruction(role) for role in card.roles}
    if options.format == "json":
        value: dict[str, Any] = {
            k: v for k, v in dataclasses.asdict(card).items() if k not in ("file", "folder", "template", "instructions")
        }
        value |= {"instructions": rows, "template": template}
        tell(json_text(value))
    elif options.format == "csv":
        tell(render(["role", "model", "instruction", "rule"], [list(r.values()) for r in rows], "csv"))
    else:
        tell("\n".join(_card_lines(card, rows, template)))


def _card_lines(card: Card, rows: list[dict[str, str]], template: dict[str, str]) -> list[str]:
    subset = f", subset {card.subset}" if card.subset != "default" else ""
    data = f"{card.data_id} at {card.data_revision}" if card.data_revision else card.data_id or card.folder
    lines = [
        f"{card.name}: {card.type}, benchmark {card.benchmark}",
        f"  metric  {card.metric} on split {card.split}{subset}",
        f"  parts   {', '.join(card.parts)}" if card.parts else f"  data    {data}",
        *types.get(card.type).card_lines(card),
        *(f"  note    {note}" for note in card.notes),
        *([f"  source  {card.source}"] if card.source else []),
    ]
    for role, wording in template.items():
        by_text: dict[str, list[str]] = {}
        for row in rows:
            if row["role"] == role:
                by_text.setdefault(row["instruction"], []).append(row["model"].removeprefix("hkunlp/"))
        lines += ["", f"  {role}"]
        lines += [f"    paper     {text!r} ({', '.join(models)})" for text, models in by_text.items()]
        lines.append(f"    template  {wording!r}")
    return lines
