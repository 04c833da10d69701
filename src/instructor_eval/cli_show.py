"""The commands that read: tasks, models, leaderboard. None of them imports torch or mteb."""

from __future__ import annotations

import argparse
import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from instructor_eval.analysis.board.board import build
from instructor_eval.analysis.board.rows import Board
from instructor_eval.analysis.board.statistics_files import KeptStatistics
from instructor_eval.analysis.board.text import format_board
from instructor_eval.core.errors import EXIT_OK, UserError, did_you_mean
from instructor_eval.core.escapes import json_text
from instructor_eval.core.output import tell, warn
from instructor_eval.core.stored_files import is_folder
from instructor_eval.core.tables import render
from instructor_eval.core.values import Items
from instructor_eval.results.published import published
from instructor_eval.results.readers import find_reader, readers_of
from instructor_eval.results.score import Key, Score, key_of
from instructor_eval.results.store import Store
from instructor_eval.tasks import protocol
from instructor_eval.tasks.cards import (
    benchmarks,
    known_cards,
    own_cards,
    plugged_cards,
    read_cards,
    select,
    shipped_cards,
)
from instructor_eval.tasks.instructions import PAPER_MODELS, InstructionSet, ModelRule, resolve
from instructor_eval.tasks.prompts.recipe import recipe_of
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.types import TYPES

_RESULTS = Path("results")
"""Where results are unless said otherwise: that there are none yet is no mistake."""


def tasks(options: argparse.Namespace) -> int:
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
    for fault in plugged_cards().faults:
        warn(f"evaluate: {fault}")
    for value, known, what in (
        (options.benchmark, benchmarks(cards), "benchmark"),
        (options.type, list(TYPES), "type"),
    ):
        if value and value not in known:
            hint = did_you_mean(value, known) or f": known are {', '.join(known)}"
            raise UserError(f"unknown {what} '{value}'{hint}")
    chosen = [
        c
        for c in cards.values()
        if (not options.benchmark or c.benchmark == options.benchmark)
        and (not options.type or c.type == options.type)
        and (not options.search or options.search.lower() in c.name.lower())
    ]
    headers = ["task", "benchmark", "type", "metric", "split", "roles", "data", "part of"]
    rows = [
        [c.name, c.benchmark, c.type, c.metric, c.split, " ".join(() if c.parts else c.roles),
         c.data_id or (f"{len(c.parts)} tasks" if c.parts else "shipped" if c.name in ours else "plugin"), c.part_of]
        for c in chosen
    ]  # fmt: skip
    tell(render(headers, rows, options.format, left=len(headers)))
    if options.format == "table":
        whole = Counter(c.benchmark for c in chosen if c.part_of is None)
        parts = sum(c.part_of is not None for c in chosen)
        counts = ", ".join(f"{n} {name}" for name, n in whole.items())
        tell(f"\n{counts or 'no task'}{f', {parts} parts of another task' if parts else ''}")
    return EXIT_OK


def _check_together(options: argparse.Namespace) -> None:
    """Raise UserError for a flag that would be ignored."""
    of_list = {"--benchmark": options.benchmark, "--type": options.type, "--search": options.search}
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
        *_prompt_lines(card),
        *(f"  note    {note}" for note in card.notes),
        *([f"  source  {card.source}"] if card.source else []),
    ]
    for role, wording in template.items():
        by_text: dict[str, list[str]] = {}
        for row in rows:
            if row["role"] == role:
                by_text.setdefault(row["instruction"], []).append(row["model"].removeprefix("hkunlp/"))
        lines += ["", f"  {role}"]
        lines += [f"    paper     {text!r} ({', '.join(names)})" for text, names in by_text.items()]
        lines.append(f"    template  {wording!r}")
    return lines


def _prompt_lines(card: Card) -> list[str]:
    """What a prompt-retrieval card asks, and of how many."""
    if card.type != "PromptRetrieval":
        return []
    from instructor_eval.tasks.prompts.recipe import files_of

    recipe = recipe_of(card)
    how = "one of " + ", ".join(map(repr, recipe.labels.values())) if recipe.labels else "generated"
    asked = "20 reviewers x 50 test items" if recipe.sampling == "reviewers" else f"{recipe.test or 'all'} test items"
    drawn = [f"pool of {recipe.pool:,}" if recipe.pool else "the whole pool", asked]
    return [
        f"  files   {files_of(card)}",
        f"  embeds  {recipe.embed!r}",
        *([f"  first   {recipe.preamble!r}"] if recipe.preamble else []),
        f"  shown   {recipe.input!r}",
        *([f"  asked   {recipe.query!r}"] if recipe.query else []),
        f"  answer  {f'one of the field {recipe.choices}' if recipe.choices else how}",
        f"  drawn   {', '.join(drawn)} ({recipe.sampling}); prompts of {recipe.budget:,} GPT-2 tokens",
    ]


def models(options: argparse.Namespace) -> int:
    """`evaluate models`: known models, and those with results."""
    counts: Counter[str] = Counter()
    families: dict[str, str] = {}
    if options.results != _RESULTS or options.results.exists():
        check_results_folder(options.results)
    for score in Store(options.results).scores():
        counts[score.model["name"]] += score.status == "ok"
        families[score.model["name"]] = score.model["family"]
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
    tell(render(headers, rows, options.format, left=3))
    if options.format == "table":
        tell(
            "\nAny folder or hub id (org/name[@revision]) with safetensors weights can be given to --model; "
            "minilm is the embedded\nsentence-transformers/all-MiniLM-L6-v2. Family and rule are decided from the "
            "checkpoint's files when it is run."
        )
    return EXIT_OK


def leaderboard(options: argparse.Namespace) -> int:
    """`evaluate leaderboard`: the table of stored scores."""
    store = Store(options.results)
    board = board_of(options, store, KeptStatistics.of(store))
    tell(format_board(board, options.format))
    if board.left_out and options.format == "table":
        what = f"{board.left_out} result{'s' * (board.left_out != 1)} of another --protocol, --limit or --reader"
        warn(f"\n{what} left out: give the same flags to see them")
    return EXIT_OK


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
    kept: KeptStatistics,
    say: Callable[[str], None] = lambda _line: None,
) -> Board:
    """The board that the flags of `evaluate leaderboard` ask for.

    Args:
        options: The flags.
        store: The results folder.
        kept: Its statistics.
        say: Told of each score whose items are read.

    Raises:
        UserError: there is no such folder, a score in it is not whole, or a flag means nothing in it.
    """
    check_results_folder(options.results)

    def read(score: Score) -> Items:
        say(f"reading items: {score.task} of {score.model['name']} ({score.model['variant']})")
        return store.items(score)

    only = select(options.task, options.benchmark) if options.task or options.benchmark else None
    scores = list(store.scores())
    reader = find_reader(options.reader, readers_of(scores)) if options.reader else None
    board = build(
        scores,
        () if options.no_published else published().values(),
        protocol=protocol.parse(options.protocol),
        limit=options.limit,
        only=only,
        reader=reader,
        items=None if options.no_intervals else read,
        kept=None if options.no_intervals else kept,
        baseline=_baseline(options, reader),
    )
    if options.baseline is not None and board.baseline is None:
        raise UserError(f"--baseline {options.baseline}: that row is not on this board: name one that is")
    return board


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
