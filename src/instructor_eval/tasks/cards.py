"""Task cards: read from YAML, checked against a schema, found by name.

A file holds either `benchmark:` and a list under `tasks:` (the shipped ones), or a single task on the top level (a
user's own). Every error names the file, the task and the key.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from instructor_eval.core import plugins
from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.paths import shipped
from instructor_eval.core.schema import Document, Keys
from instructor_eval.core.values import Template
from instructor_eval.core.yaml_file import read_yaml
from instructor_eval.tasks import types
from instructor_eval.tasks.by_name import PREFIX, card_of, hint_of, is_by_name
from instructor_eval.tasks.card_file import CardsFile, given, shape_of
from instructor_eval.tasks.own.suggest import is_data, suggest
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.types.base import LONGEST_NAME, TaskType

_PAPER = ("mteb", "billboard", "prompt-retrieval")
_PATTERN = re.compile(r"[*?\[]")


def read_cards(file: Path, *, default_benchmark: str = "own") -> list[Card]:
    """Read all cards of one YAML file.

    Raises:
        UserError: the file is missing, is not YAML, or a card in it breaks the schema (`card_file.py`).
    """
    document = read_yaml(file, "no such card: give the path of a YAML file")
    raw = document.value
    if not isinstance(raw, dict):
        raise document.error((), "expected a mapping with `name`, `type` and `data` (see docs/adding-a-task.md)")
    if "tasks" not in raw:
        return [_card(document, (), default_benchmark, "")]
    whole = document.parse(CardsFile)
    places = [("tasks", str(n)) for n in range(len(whole.tasks))]
    cards = [_card(document, at, whole.benchmark or default_benchmark, whole.source) for at in places]
    seen: set[str] = set()
    for at, card in zip(places, cards, strict=True):
        if card.name in seen:
            raise document.error((*at, "name"), "name: used twice in this file", _subject(card.name))
        seen.add(card.name)
    return cards


def _subject(name: object) -> str:
    return f"task '{name if isinstance(name, str) and len(name) <= LONGEST_NAME else reprlib.repr(name)}': "


def _card(document: Document, at: Keys, benchmark: str, source: str) -> Card:
    """Return the card at a place of its file."""
    raw = document.value["tasks"][int(at[1])] if at else document.value
    subject, type_ = _subject(raw.get("name", "(no name)")), raw.get("type")
    if not isinstance(type_, str) or type_ not in types.TYPES:
        said = "it is missing" if type_ is None else f"unknown value {reprlib.repr(type_)}"
        hint = did_you_mean(str(type_)[:100], types.TYPES) or f": known are {', '.join(types.TYPES)}"
        raise document.error((*at, "type"), f"type: {said}{hint}", subject)
    kind = types.get(type_)
    parsed = document.parse(shape_of(type_), at, below=len(at), subject=subject)
    data = {"folder": parsed.data} if isinstance(parsed.data, str) else given(parsed.data)
    folder = _home(document, at, data["folder"], subject) if "folder" in data else None
    template, options = given(parsed.template), raw.get("options") or {}
    if isinstance(options.get("labels"), dict):  # a YAML key may be a number; options are part of the identity
        options = options | {"labels": {str(label): word for label, word in options["labels"].items()}}
    card = Card(
        name=parsed.name,
        benchmark=parsed.benchmark or benchmark,
        type=type_,
        metric=parsed.metric or kind.metrics[0],
        split=parsed.split,
        subset=parsed.subset,
        data_id=data.get("id"),
        data_revision=data.get("revision"),
        data_mirror=data.get("mirror"),
        folder=folder and document.file.parent / folder,
        domain=parsed.domain or "",
        show_texts=parsed.show_texts,
        template=_template(kind, template),
        template_is_default=not template,
        instructions={r: {"default": i} if isinstance(i, str) else i for r, i in given(parsed.instructions).items()},
        parts=parsed.parts,
        part_of=parsed.part_of or None,
        options={key: value for key, value in options.items() if value is not None},
        notes=parsed.notes,
        source=parsed.source or source,
        file=document.file,
    )
    if card.metric not in kind.metrics:
        from instructor_eval.metrics import plugged  # numpy

        known = (*kind.metrics, *plugged())
        if card.metric not in known:
            hint = did_you_mean(card.metric, known) or f": known are {', '.join(known[:12])}"
            raise document.error((*at, "metric"), f"metric: unknown value '{card.metric}'{hint}", subject)
    return card


def _home(document: Document, at: Keys, folder: str, subject: str) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError as e:
        raise document.error((*at, "data"), f"data: there is no home folder for {folder[:60]!r}", subject) from e


def _template(kind: TaskType, words: Mapping[str, Any]) -> Template:
    """Return the template in a card's words; roles without words have the type's general ones."""
    lists = {role: [w] if isinstance(w, str) else w for role, w in words.items() if role in kind.wording}
    roles = {role: (words[0], words[1] if len(words) == 2 else "") for role, words in lists.items()}
    return Template(domain=words.get("domain", ""), roles={**kind.wording, **roles})


SHIPPED = (
    *("mteb.yaml", "billboard.yaml", "prompt_retrieval.yaml", "demo/demo.yaml"),
    *("probe/probe.yaml", "demo/pictures.yaml"),
)
"""The files of the shipped cards, in `tasks/`."""


@cache
def shipped_cards() -> dict[str, Card]:
    """Return the cards of the five shipped benchmarks, by name, in the files' order."""
    return {card.name: card for file in SHIPPED for card in read_cards(shipped("tasks") / file)}


@dataclass(frozen=True)
class PluginCards:
    """Cards of installed packages, by entry points `instructor_eval.tasks`."""

    cards: dict[str, Card]
    errors: tuple[str, ...]
    """Errors of packages whose cards cannot be read, a line each; shown only to a user who asks for an unknown card."""


@cache
def plugin_cards() -> PluginCards:
    """Return the cards of installed packages; an entry's name is the default of their benchmark.

    The rules are those for own cards; and they cannot use the name of a shipped task or benchmark.
    """
    cards: dict[str, Card] = {}
    errors: list[str] = []
    for plugin in plugins.found(plugins.TASKS).values():
        try:
            cards |= _cards_of(plugin, cards)
        except UserError as e:
            errors.append(str(e))
    return PluginCards(cards, tuple(errors))


def _cards_of(plugin: plugins.Plugin, others: Mapping[str, Card]) -> dict[str, Card]:
    """Return all cards of one entry by name, or raise: half a benchmark is another benchmark."""
    folder = plugin.load(lambda value: callable(value) or hasattr(value, "iterdir"), "folder of cards or function")
    if callable(folder):
        folder = plugin.run(folder, "cannot name its folder of cards")
    if not isinstance(folder, Path) or not folder.is_dir():
        raise UserError(f"{plugin.what}: {str(folder)[:200]} is not a folder on disk: fix it, or install it unpacked")
    every = plugin.run(lambda: sorted(folder.iterdir()), "cannot list its folder")
    files = [p for p in every if p.suffix in (".yaml", ".yml") and p.is_file()]
    cards: dict[str, Card] = {}
    ours = shipped_cards()
    for card in (card for file in files for card in read_cards(file, default_benchmark=plugin.name)):
        _check_own(card, ours)
        if card.benchmark in benchmarks(ours):
            raise _error(card, f"benchmark: '{card.benchmark}' is a shipped benchmark: choose another name")
        twice = cards.get(card.name) or others.get(card.name)
        if twice is not None:
            raise _error(card, f"name: it is in {twice.file} too: rename one, or uninstall {plugin.what}")
        cards[card.name] = card
    if not cards:
        raise UserError(f"{plugin.what}: there is no card (*.yaml) in {folder}: fix or uninstall it")
    return cards


def known_cards() -> dict[str, Card]:
    """Return the shipped cards, then those of installed packages."""
    return {**shipped_cards(), **plugin_cards().cards}


def benchmarks(cards: Mapping[str, Card]) -> list[str]:
    """Return the benchmarks' names, in the order of their cards."""
    return list(dict.fromkeys(card.benchmark for card in cards.values()))


def select(
    tasks: Collection[str],
    wanted_benchmarks: Collection[str] = (),
    wanted_types: Collection[str] = (),
    wanted_domains: Collection[str] = (),
) -> list[Card]:
    """Return the cards that `--task` and `--benchmark` name, each once; a task with parts comes after its parts.

    Args:
        tasks: Names, patterns such as `STS*`, and paths of own cards.
        wanted_benchmarks: Names of benchmarks.
        wanted_types: Leave out tasks of other types; with neither a task nor a benchmark, choose from all of the paper.
        wanted_domains: The same of domains. A part has that of its whole, where that is chosen too.

    Raises:
        UserError: an unknown task, benchmark, type or domain, with suggestions; a broken own card; an own card with the
            name of a shipped task.
    """
    check_types(wanted_types)
    if (wanted_types or wanted_domains) and not tasks and not wanted_benchmarks:
        wanted_benchmarks = _PAPER
    cards = shipped_cards()
    chosen: dict[str, Card] = {}

    def add(card: Card) -> None:
        for part in card.parts:
            add(cards[part])
        chosen.setdefault(card.name, card)

    for benchmark in wanted_benchmarks:
        for card in of_benchmark(benchmark):
            add(card)
    for task in tasks:
        for card in [cards[task]] if task in cards else _matching(task) or own_cards(task):
            if card.name in chosen and chosen[card.name].file != card.file:
                raise UserError(f"task '{card.name}' is in {chosen[card.name].file} and in {card.file}: rename one")
            add(card)
    check_domains(wanted_domains, chosen.values())
    found = [card for card in chosen.values() if not wanted_types or card.type in wanted_types]
    found = [c for c in found if not wanted_domains or chosen.get(c.part_of or "", c).domain_name in wanted_domains]
    if chosen and not found:
        kinds = [("type", wanted_types), ("domain", wanted_domains)]
        what = " and ".join(f"of {kind} {' or '.join(wanted)}" for kind, wanted in kinds if wanted)
        raise UserError(f"none of these tasks is {what}: `evaluate tasks` lists them")
    return found


def domains(cards: Iterable[Card]) -> list[str]:
    """Return the domains' names, sorted."""
    return sorted({card.domain_name for card in cards})


def check_domains(names: Iterable[str], chosen: Iterable[Card]) -> None:
    """Raise UserError for a domain that neither a known card nor a chosen one has."""
    known = domains([*known_cards().values(), *chosen]) if names else []
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f": known are {', '.join(known)}"
            raise UserError(f"unknown domain '{name}'{hint}")


def check_types(names: Iterable[str]) -> None:
    """Raise UserError for a task type that there is not."""
    for name in names:
        if name not in types.TYPES:
            hint = did_you_mean(name, types.TYPES) or f": known are {', '.join(types.TYPES)}"
            raise UserError(f"unknown task type '{name}'{hint}")


def _matching(pattern: str) -> list[Card]:
    """Return the cards whose names a pattern such as `STS*` matches; none if it is no pattern.

    Raises:
        UserError: it matches no task.
    """
    if not _PATTERN.search(pattern) or pattern.endswith((".yaml", ".yml")):
        return []
    found = [card for name, card in known_cards().items() if fnmatchcase(name, pattern)]
    if not found:
        raise _unknown("task", pattern, ": no name matches; `evaluate tasks` lists them")
    return found


def of_benchmark(name: str) -> list[Card]:
    """Return a benchmark's cards; packages are searched only if it is not a shipped one.

    Raises:
        UserError: there is no such benchmark.
    """
    for cards in (shipped_cards, known_cards):
        found = [card for card in cards().values() if card.benchmark == name]
        if found:
            return found
    known = benchmarks(known_cards())
    raise _unknown("benchmark", name, did_you_mean(name, known) or f": known are {', '.join(known)}")


def _unknown(what: str, name: str, hint: str) -> UserError:
    """Return the error for an unknown name, with the first error of a package that may have been meant."""
    return UserError("; ".join([f"unknown {what} '{name}'{hint}", *plugin_cards().errors[:1]]))


def own_cards(task: str) -> list[Card]:
    """Return cards that are not shipped: a package's or mteb's by name, or all in the file that `--task` names.

    Raises:
        UserError: it is neither a name nor a card's path, or a card in the file cannot be an own task.
    """
    if is_by_name(task):
        ours = shipped_cards().get(task.removeprefix(PREFIX))
        return [ours if ours is not None and ours.benchmark == "mteb" else card_of(task)]
    if not task.endswith((".yaml", ".yml")):
        known = known_cards()
        if task in known:
            return [known[task]]
        if is_data(task):
            found = [_card(Document(Path(task), suggest(Path(task))), (), "own", "")]
            _check_own(found[0], shipped_cards())
            return found
        lists = ": `evaluate tasks` lists them; an own task is the path of a YAML card, or of its data"
        raise _unknown("task", task, hint_of(task) or did_you_mean(task, known) or lists)
    found = read_cards(Path(task))
    for card in found:
        _check_own(card, shipped_cards())
    return found


def _check_own(card: Card, ours: Mapping[str, Card]) -> None:
    if card.name in ours:
        raise _error(card, "name: it is the name of a shipped task: choose another")
    if not types.get(card.type).may_be_own:
        raise _error(card, f"type: own tasks can be {', '.join(types.own())}")
    if card.parts:
        raise _error(card, "parts: own tasks have none")


def _error(card: Card, message: str) -> UserError:
    return UserError(f"{card.file}: task '{card.name}': {message}")
