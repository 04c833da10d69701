"""Task cards: read from YAML, checked against a schema, found by name.

A file holds either `benchmark:` and a list under `tasks:` (the shipped ones), or a single task on the top level (a
user's own). Every error names the file, the task and the key.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from instructor_eval.core import plugins
from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.paths import shipped
from instructor_eval.core.values import FAMILIES, Template
from instructor_eval.core.yaml_file import read_yaml
from instructor_eval.tasks.card_values import LONGEST_NAME, Where
from instructor_eval.tasks.instructions import LONGEST_INSTRUCTION, too_long
from instructor_eval.tasks.prompts.recipe import OPTIONS, recipe_of
from instructor_eval.tasks.task import Card
from instructor_eval.tasks.types import OWN_TYPES, TYPES, TaskType

_LONGEST_PATH = 4096


_FILE_KEYS = ("benchmark", "source", "tasks")
_TASK_KEYS = (
    "name", "benchmark", "type", "metric", "split", "subset", "data", "template", "instructions", "parts", "part_of",
    "options", "notes", "source",
)  # fmt: skip


def read_cards(file: Path, *, default_benchmark: str = "own") -> list[Card]:
    """Read all cards of one YAML file.

    Raises:
        UserError: the file is missing, is not YAML, or a card in it breaks the schema.
    """
    raw = read_yaml(file, "no such card: give the path of a YAML file")
    if not isinstance(raw, dict):
        raise UserError(f"{file}: expected a mapping with `name`, `type` and `data` (see docs/adding-a-task.md)")
    if "tasks" not in raw:
        return [_card(raw, file, raw.get("benchmark", default_benchmark), raw.get("source", ""))]
    Where(file, "(file)").known(raw, _FILE_KEYS)
    if not isinstance(raw["tasks"], list) or not raw["tasks"]:
        raise UserError(f"{file}: tasks: expected a list of tasks")
    cards = [_card(t, file, raw.get("benchmark", default_benchmark), raw.get("source", "")) for t in raw["tasks"]]
    seen: set[str] = set()
    for card in cards:
        if card.name in seen:
            raise UserError(f"{file}: task '{card.name}': name: used twice in this file")
        seen.add(card.name)
    return cards


def _card(raw: object, file: Path, benchmark: str, source: str) -> Card:
    if not isinstance(raw, dict):
        raise UserError(f"{file}: expected a mapping for every task, found {type(raw).__name__}")
    given_name = raw.get("name", "(no name)")
    where = Where(file, given_name if isinstance(given_name, str) else reprlib.repr(given_name))
    where.known(raw, _TASK_KEYS)
    name = where.name(raw, "name")
    type_ = where.one_of("type", where.text(raw, "type"), TYPES)
    kind = TYPES[type_]
    data = _data(raw, where)
    template, is_default = _template(raw, where, kind)
    options = where.mapping("options", raw.get("options", {}))
    where.known(options, (*kind.options, *(OPTIONS if kind is TYPES["PromptRetrieval"] else ())), "options.")
    _check_options(options, where, kind)
    card = Card(
        name=name,
        benchmark=where.name(raw, "benchmark", benchmark),
        type=type_,
        metric=_metric(raw, where, kind),
        split=where.file_name(raw, "split", "test"),
        subset=where.file_name(raw, "subset", "default"),
        data_id=data.id,
        data_revision=data.revision,
        data_mirror=data.mirror,
        folder=data.folder,
        template=template,
        template_is_default=is_default,
        instructions=_instructions(raw, where, tuple(template.roles)),
        parts=_texts(raw, where, "parts"),
        part_of=where.name(raw, "part_of") if "part_of" in raw else None,
        options=options,
        notes=_texts(raw, where, "notes"),
        source=where.text(raw, "source", source),
        file=file,
    )
    if type_ == "PromptRetrieval":
        recipe_of(card)
        if isinstance(options.get("labels"), dict):  # a YAML key may be a number; options are part of the identity
            options["labels"] = {str(label): word for label, word in options["labels"].items()}
    return card


def _metric(raw: Mapping[str, Any], where: Where, kind: TaskType) -> str:
    """Return the card's metric, one of its type's or of an installed package's."""
    metric = where.name(raw, "metric", kind.metrics[0])
    if metric in kind.metrics:
        return metric
    from instructor_eval.metrics import plugged  # numpy and scipy

    return where.one_of("metric", metric, (*kind.metrics, *plugged()))


@dataclass(frozen=True)
class _Data:
    """The place of a task's data."""

    id: str | None = None
    revision: str | None = None
    mirror: str | None = None
    folder: Path | None = None


def _data(raw: Mapping[str, Any], where: Where) -> _Data:
    if raw.get("parts"):
        if "data" in raw:
            raise where.error("data", "a task has either parts or data of its own")
        return _Data()
    data = raw.get("data")
    if isinstance(data, str):
        data = {"folder": data}
    if not isinstance(data, dict):
        raise where.error("data", "expected a folder, or {id: ..., revision: ...}")
    where.known(data, ("id", "revision", "mirror", "folder"), "data.")
    if ("id" in data) == ("folder" in data):
        raise where.error("data", "give either a folder or an id")
    if "folder" in data and len(data) > 1:
        raise where.error("data", "a folder has no revision and no mirror")
    for key in data:
        if not where.text(data, key).strip():
            raise where.error(f"data.{key}", "expected a text, it is empty")
    if "folder" in data:
        folder = _folder(where.text(data, "folder"), where)
        return _Data(folder=folder if folder.is_absolute() else where.file.parent / folder)
    revision = where.name(data, "revision") if "revision" in data else None
    mirror = where.name(data, "mirror") if "mirror" in data else None
    return _Data(where.name(data, "id"), revision, mirror)


def _folder(text: str, where: Where) -> Path:
    if len(text) > _LONGEST_PATH or "\0" in text:
        raise where.error("data", f"{text[:60]!r}... cannot be a folder's name")
    try:
        return Path(text).expanduser()
    except RuntimeError as e:
        raise where.error("data", f"there is no home folder for {text[:60]!r}") from e


def _template(raw: Mapping[str, Any], where: Where, kind: TaskType) -> tuple[Template, bool]:
    given = where.mapping("template", raw.get("template", {}))
    where.known(given, ("domain", *kind.wording), "template.")
    roles = dict(kind.wording)
    for role in kind.wording:
        if role not in given:
            continue
        words = [given[role]] if isinstance(given[role], str) else given[role]
        if not isinstance(words, list) or not 1 <= len(words) <= 2 or not all(isinstance(w, str) for w in words):
            raise where.error(f"template.{role}", "expected [text type] or [text type, objective]")
        roles[role] = (words[0], words[1] if len(words) == 2 else "")
    return Template(domain=where.text(given, "domain", ""), roles=roles), not given


def _instructions(raw: Mapping[str, Any], where: Where, roles: tuple[str, ...]) -> dict[str, dict[str, str]]:
    given = where.mapping("instructions", raw.get("instructions", {}))
    where.known(given, roles, "instructions.")
    result: dict[str, dict[str, str]] = {}
    for role, value in given.items():
        entries = {"default": value} if isinstance(value, str) else where.mapping(f"instructions.{role}", value)
        for key, text in entries.items():
            if "/" not in str(key) and key not in ("default", *FAMILIES):
                raise where.error(
                    f"instructions.{role}.{key}", "expected a model id (org/name), a family, or default as the key"
                )
            if not isinstance(text, str):
                raise where.error(f"instructions.{role}.{key}", f"expected a text, found {type(text).__name__}")
            if len(text) > LONGEST_INSTRUCTION:
                raise where.error(f"instructions.{role}.{key}", too_long(text))
        result[role] = dict(entries)
    return result


def _check_options(options: Mapping[str, Any], where: Where, kind: TaskType) -> None:
    columns = where.mapping("options.columns", options.get("columns", {}))
    where.known(columns, kind.columns, "options.columns.")
    for ours in columns:
        name = columns[ours]
        if not isinstance(name, str) or len(name) > LONGEST_NAME:
            found = f"found {type(name).__name__} {reprlib.repr(name)}"
            raise where.error(f"options.columns.{ours}", f"expected at most {LONGEST_NAME} characters, {found}")
    for key in ("samples_per_label", "n_experiments"):
        if key in options and (type(options[key]) is not int or options[key] < 1):
            raise where.error(f"options.{key}", "expected a whole number of at least 1")


def _texts(raw: Mapping[str, Any], where: Where, key: str) -> tuple[str, ...]:
    value = raw.get(key, [])
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise where.error(key, "expected a list of texts")
    return tuple(value)


@cache
def shipped_cards() -> dict[str, Card]:
    """Return the cards of the four shipped benchmarks, by name, in the files' order."""
    root = shipped("tasks")
    files = [root / "mteb.yaml", root / "billboard.yaml", root / "prompt_retrieval.yaml", root / "demo" / "demo.yaml"]
    return {card.name: card for file in files for card in read_cards(file)}


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
        where = Where(card.file or folder, card.name)
        if card.benchmark in benchmarks(ours):
            raise where.error("benchmark", f"'{card.benchmark}' is a shipped benchmark: choose another name")
        twice = cards.get(card.name) or others.get(card.name)
        if twice is not None:
            raise where.error("name", f"it is in {twice.file} too: rename one, or uninstall {plugin.what}")
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


def select(tasks: Iterable[str], wanted_benchmarks: Iterable[str] = ()) -> list[Card]:
    """Return the cards that `--task` and `--benchmark` name, each once; a task with parts comes after its parts.

    Raises:
        UserError: an unknown task or benchmark, with suggestions; a broken own card; an own card with the name of a
            shipped task.
    """
    cards = shipped_cards()
    chosen: dict[str, Card] = {}

    def add(card: Card) -> None:
        for part in card.parts:
            add(cards[part])
        chosen.setdefault(card.name, card)

    for benchmark in wanted_benchmarks:
        for card in _of_benchmark(benchmark):
            add(card)
    for task in tasks:
        for card in [cards[task]] if task in cards else own_cards(task):
            if card.name in chosen and chosen[card.name].file != card.file:
                raise UserError(f"task '{card.name}' is in {chosen[card.name].file} and in {card.file}: rename one")
            add(card)
    return list(chosen.values())


def _of_benchmark(name: str) -> list[Card]:
    """Return a benchmark's cards; packages are searched only if it is not a shipped one."""
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
    """Return cards that are not shipped: an installed package's by name, or all in the file that `--task` names.

    Raises:
        UserError: it is neither a name nor a card's path, or a card in the file cannot be an own task.
    """
    if not task.endswith((".yaml", ".yml")):
        known = known_cards()
        if task in known:
            return [known[task]]
        lists = ": `evaluate tasks` lists them; an own task is the path of a YAML card"
        raise _unknown("task", task, did_you_mean(task, known) or lists)
    found = read_cards(Path(task))
    for card in found:
        _check_own(card, shipped_cards())
    return found


def _check_own(card: Card, ours: Mapping[str, Card]) -> None:
    where = Where(card.file or Path(), card.name)
    if card.name in ours:
        raise where.error("name", "it is the name of a shipped task: choose another")
    if card.type not in OWN_TYPES:
        raise where.error("type", f"own tasks can be {', '.join(OWN_TYPES)}")
    if card.parts:
        raise where.error("parts", "own tasks have none")
