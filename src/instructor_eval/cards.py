"""Task cards: read from YAML, checked against a schema, found by name.

A file holds either `benchmark:` and a list under `tasks:` (the shipped ones), or a single task on the top level (a
user's own). Every error names the file, the task and the key.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from instructor_eval.adapters.prompts.recipe import OPTIONS, recipe_of
from instructor_eval.errors import UserError, did_you_mean
from instructor_eval.paths import shipped
from instructor_eval.types import FAMILIES, Card, Template
from instructor_eval.yaml_file import read_yaml

_DOCUMENT = {"query": ("query", "retrieving supporting documents"), "document": ("document", "retrieval")}


@dataclass(frozen=True)
class TaskType:
    """What holds for every task of a type: its roles with their general wording, and the metrics it can have."""

    wording: Mapping[str, tuple[str, str]]
    metrics: tuple[str, ...]
    """The first is the default."""
    options: tuple[str, ...] = ()


_AT_K = tuple(f"{m}_at_{k}" for m in ("ndcg", "map", "recall", "precision") for k in (1, 3, 5, 10, 20, 100, 1000))
TYPES: dict[str, TaskType] = {
    "Retrieval": TaskType(_DOCUMENT, ("ndcg_at_10", *(m for m in _AT_K if m != "ndcg_at_10"))),
    "Reranking": TaskType(_DOCUMENT, ("map_at_1000", *_AT_K, "max_over_subqueries_map_at_1000"), ("columns",)),
    "Clustering": TaskType({"text": ("text", "clustering")}, ("v_measure",), ("columns",)),
    "PairClassification": TaskType(
        {"text": ("sentence", "retrieving duplicate sentences")}, ("max_ap", "cosine_ap"), ("columns",)
    ),
    "Classification": TaskType(
        {"text": ("text", "classification")}, ("accuracy",), ("columns", "samples_per_label", "n_experiments")
    ),
    "STS": TaskType({"text": ("sentence", "")}, ("cosine_spearman", "cosine_pearson"), ("columns",)),
    "Summarization": TaskType({"text": ("summary", "retrieval")}, ("cosine_spearman",)),
    "TextEvaluation": TaskType({"text": ("text", "")}, ("pearson",)),
    "PromptRetrieval": TaskType({"example": ("example", "retrieving examples")}, ("rougeL",), OPTIONS),
}
OWN_TYPES = tuple(t for t in TYPES if t != "Summarization")

_FILE_KEYS = ("benchmark", "source", "tasks")
_TASK_KEYS = (
    "name", "benchmark", "type", "metric", "split", "subset", "data", "template", "instructions", "parts", "part_of",
    "options", "notes", "source",
)  # fmt: skip


class _Where:
    """Raises errors that name file, task and key."""

    def __init__(self, file: Path, task: str) -> None:
        self.file, self.task = file, task

    def error(self, key: str, message: str) -> UserError:
        return UserError(f"{self.file}: task '{self.task}': {key}: {message}")

    def text(self, raw: Mapping[str, Any], key: str, default: str | None = None) -> str:
        value = raw.get(key, default)
        if not isinstance(value, str):
            found = f"found {type(value).__name__} {reprlib.repr(value)}, put it in quotes"
            raise self.error(key, f"expected a text, {'it is missing' if value is None else found}")
        return value

    def known(self, raw: Mapping[str, Any], keys: Iterable[str], at: str = "") -> None:
        keys = tuple(keys)
        for key in raw:
            if key not in keys:
                close = difflib.get_close_matches(str(key), keys, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(keys)}"
                raise self.error(f"{at}{key}", f"unknown key: {hint}")

    def one_of(self, key: str, value: str, known: Iterable[str]) -> str:
        known = tuple(known)
        if value not in known:
            hint = did_you_mean(value, known) or f": known are {', '.join(known[:12])}"
            raise self.error(key, f"unknown value '{value}'{hint}")
        return value

    def mapping(self, key: str, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.error(key, f"expected a mapping, found {type(value).__name__}")
        return value


def read_cards(file: Path, *, default_benchmark: str = "own") -> list[Card]:
    """All cards of one YAML file.

    Raises:
        UserError: the file is missing, is not YAML, or a card in it breaks the schema.
    """
    raw = read_yaml(file, "no such card: give the path of a YAML file")
    if not isinstance(raw, dict):
        raise UserError(f"{file}: expected a mapping with `name`, `type` and `data` (see docs/adding-a-task.md)")
    if "tasks" not in raw:
        return [_card(raw, file, raw.get("benchmark", default_benchmark), raw.get("source", ""))]
    _Where(file, "(file)").known(raw, _FILE_KEYS)
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
    where = _Where(file, given_name if isinstance(given_name, str) else reprlib.repr(given_name))
    where.known(raw, _TASK_KEYS)
    name = where.text(raw, "name")
    if not name.strip() or len(name) > 200:
        raise where.error("name", "expected 1 to 200 characters")
    if not name.isprintable():
        raise where.error("name", "it has line breaks or other characters that cannot be printed")
    type_ = where.one_of("type", where.text(raw, "type"), TYPES)
    kind = TYPES[type_]
    data = _data(raw, where)
    template, is_default = _template(raw, where, kind)
    options = where.mapping("options", raw.get("options", {}))
    where.known(options, kind.options, "options.")
    _check_options(options, where)
    card = Card(
        name=name,
        benchmark=where.text(raw, "benchmark", benchmark),
        type=type_,
        metric=where.one_of("metric", where.text(raw, "metric", kind.metrics[0]), kind.metrics),
        split=where.text(raw, "split", "test"),
        subset=where.text(raw, "subset", "default"),
        data_id=data.id,
        data_revision=data.revision,
        data_mirror=data.mirror,
        folder=data.folder,
        template=template,
        template_is_default=is_default,
        instructions=_instructions(raw, where, tuple(template.roles)),
        parts=_texts(raw, where, "parts"),
        part_of=where.text(raw, "part_of") if "part_of" in raw else None,
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


@dataclass(frozen=True)
class _Data:
    """Where a task's data is."""

    id: str | None = None
    revision: str | None = None
    mirror: str | None = None
    folder: Path | None = None


def _data(raw: Mapping[str, Any], where: _Where) -> _Data:
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
        folder = Path(where.text(data, "folder")).expanduser()
        return _Data(folder=folder if folder.is_absolute() else where.file.parent / folder)
    revision = where.text(data, "revision") if "revision" in data else None
    mirror = where.text(data, "mirror") if "mirror" in data else None
    return _Data(where.text(data, "id"), revision, mirror)


def _template(raw: Mapping[str, Any], where: _Where, kind: TaskType) -> tuple[Template, bool]:
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


def _instructions(raw: Mapping[str, Any], where: _Where, roles: tuple[str, ...]) -> dict[str, dict[str, str]]:
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
        result[role] = dict(entries)
    return result


def _check_options(options: Mapping[str, Any], where: _Where) -> None:
    columns = options.get("columns", {})
    if not isinstance(columns, dict) or not all(isinstance(v, str) for v in columns.values()):
        raise where.error("options.columns", "expected a mapping of our column names to the file's")
    for key in ("samples_per_label", "n_experiments"):
        if key in options and (type(options[key]) is not int or options[key] < 1):
            raise where.error(f"options.{key}", "expected a whole number of at least 1")


def _texts(raw: Mapping[str, Any], where: _Where, key: str) -> tuple[str, ...]:
    value = raw.get(key, [])
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise where.error(key, "expected a list of texts")
    return tuple(value)


@cache
def shipped_cards() -> dict[str, Card]:
    """The cards of the four benchmarks that ship, by name, in the files' order."""
    root = shipped("tasks")
    files = [root / "mteb.yaml", root / "billboard.yaml", root / "prompt_retrieval.yaml", root / "demo" / "demo.yaml"]
    return {card.name: card for file in files for card in read_cards(file)}


def benchmarks(cards: Mapping[str, Card]) -> list[str]:
    """The benchmarks' names, in the order of their cards."""
    return list(dict.fromkeys(card.benchmark for card in cards.values()))


def select(tasks: Iterable[str], wanted_benchmarks: Iterable[str] = ()) -> list[Card]:
    """The cards that `--task` and `--benchmark` name, each once; a task with parts comes after its parts.

    Raises:
        UserError: an unknown task or benchmark, with suggestions; a broken own card; an own card that takes the
            name of a shipped task.
    """
    cards = shipped_cards()
    chosen: dict[str, Card] = {}

    def add(card: Card) -> None:
        for part in card.parts:
            add(cards[part])
        chosen.setdefault(card.name, card)

    for benchmark in wanted_benchmarks:
        known = benchmarks(cards)
        if benchmark not in known:
            hint = did_you_mean(benchmark, known) or f": known are {', '.join(known)}"
            raise UserError(f"unknown benchmark '{benchmark}'{hint}")
        for card in cards.values():
            if card.benchmark == benchmark:
                add(card)
    for task in tasks:
        for card in [cards[task]] if task in cards else own_cards(task):
            if card.name in chosen and chosen[card.name].file != card.file:
                raise UserError(f"task '{card.name}' is in {chosen[card.name].file} and in {card.file}: rename one")
            add(card)
    return list(chosen.values())


def own_cards(task: str) -> list[Card]:
    """The user's own cards in the file that `--task` names.

    Raises:
        UserError: it is no card's path, or a card in it cannot be an own task.
    """
    cards = shipped_cards()
    if not task.endswith((".yaml", ".yml")):
        hint = did_you_mean(task, cards) or ": `evaluate tasks` lists them; an own task is the path of a YAML card"
        raise UserError(f"unknown task '{task}'{hint}")
    found = read_cards(Path(task))
    for card in found:
        where = _Where(Path(task), card.name)
        if card.name in cards:
            raise where.error("name", "taken by a shipped task, choose another")
        if card.type not in OWN_TYPES:
            raise where.error("type", f"own tasks can be {', '.join(OWN_TYPES)}")
        if card.parts:
            raise where.error("parts", "own tasks have none")
    return found
