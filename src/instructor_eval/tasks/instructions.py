"""The instruction of a text: the look-up order, and the rule of each model family.

INSTRUCTOR models: the user's file > the card's entry for this model > its entry for the family > the card's default >
an error that names task and role. Never a silent empty instruction. Models of other families use the prompts of their
own checkpoint (`models/family.py`); the rule is stored beside the literal text.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.yaml_file import read_yaml
from instructor_eval.models.description import ModelDescription
from instructor_eval.tasks.card_file import Instruction
from instructor_eval.tasks.task import Card, Resolved, Role

SETS = ("paper", "template", "none")
PAPER_MODELS = ("hkunlp/instructor-base", "hkunlp/instructor-large", "hkunlp/instructor-xl")
_RESERVED = (*SETS, "own", "published")
InstructionsFile = dict[str, Instruction | dict[Role | Literal["*"], Instruction]]
"""The layout of a file of instructions: a task, or `default`, with one text or a text for each role."""


@dataclass(frozen=True)
class InstructionSet:
    """One choice of `--instructions`."""

    name: str
    """Its name in tables: paper, template, none, or the file's stem."""
    kind: str
    """paper | template | none | file."""
    table_of: str | None = None
    """For `paper:MODEL`: the model whose entries in the cards are used."""
    entries: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For a file: task (or "default") -> role (or "*") -> text."""
    path: Path | None = None


@dataclass(frozen=True)
class ModelRule:
    """The facts about a model that the look-up needs."""

    name: str
    family: str
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Role (or "*") -> the prompt in the model's own configuration, for the family prefix."""
    prompts_rule: str = ""

    @classmethod
    def of(cls, model: ModelDescription) -> ModelRule:
        """Return the facts about a model that is found."""
        return cls(model.card_name, model.family, model.prompts, model.prompts_rule)


def parse_set(text: str, task_names: set[str]) -> InstructionSet:
    """Parse one value of `--instructions`: paper, paper:MODEL, template, none, or a YAML file.

    Raises:
        UserError: it is neither a known set nor a readable file of instructions.
    """
    kind, _, table_of = text.partition(":")
    if kind == "paper" and table_of:
        if table_of not in PAPER_MODELS:
            hint = did_you_mean(table_of, PAPER_MODELS) or f": the paper's are {', '.join(PAPER_MODELS)}"
            raise UserError(f"unknown model '{table_of}' in --instructions {text}{hint}")
        return InstructionSet(name=text, kind="paper", table_of=table_of)
    if text in SETS:
        return InstructionSet(name=text, kind=text)
    path = Path(text)
    if not os.path.isfile(text):  # noqa: PTH113 - false, not an error, for an instruction too long to be a path
        hint = did_you_mean(text, SETS) or ": give paper, template, none, paper:MODEL, or a YAML file that exists"
        raise UserError(f"unknown instruction set '{text}'{hint}")
    if path.stem in _RESERVED:
        raise UserError(f"{path}: results are filed under the file's name, and '{path.stem}' means a set: rename it")
    return InstructionSet(name=path.stem, kind="file", entries=_read_file(path, task_names), path=path)


def _read_file(path: Path, task_names: set[str]) -> dict[str, dict[str, str]]:
    """Read `{task: text}` or `{task: {role: text}}`; `default` serves every other task."""
    document = read_yaml(path, "no such file of instructions")
    if not isinstance(document.value, dict) or not document.value:
        expected = "expected `TASK: instruction` or `TASK: {role: instruction}` on the top level"
        raise document.error((), expected)
    for task in document.value:
        if task != "default" and task not in task_names:
            raise document.error((str(task),), f"unknown task '{task}'{did_you_mean(str(task), task_names)}")
    parsed = document.parse(InstructionsFile)
    return {
        task: {"*": value} if isinstance(value, str) else {str(role): text for role, text in value.items()}
        for task, value in parsed.items()
    }


def check_roles(chosen: InstructionSet, cards: Iterable[Card]) -> None:
    """Refuse a file's instruction for a role that its task does not have: nothing would look at it.

    Raises:
        UserError: there is one.
    """
    for card in cards:
        for role in chosen.entries.get(card.name, {}):
            if role != "*" and role not in card.roles:
                raise UserError(f"{chosen.path}: {card.name} has no role '{role}': it has {', '.join(card.roles)}")


def effective_name(chosen: InstructionSet, model: ModelRule) -> str:
    """Return the set's name for this model: `paper` means a prefix model's own prompts; a plain model has none."""
    if model.family == "plain":
        return "none"
    if model.family == "prefix" and chosen.kind == "paper":
        return "own"
    return chosen.name


def resolve(card: Card, role: str, chosen: InstructionSet, model: ModelRule) -> Resolved:
    """Return the instruction of `role` in this task for this model.

    Raises:
        UserError: nothing in the look-up order has an instruction, or a plain model is given a file.
    """
    if chosen.kind == "file":
        found = _from_file(card, role, chosen, model)
        if found is not None:
            return found
    if model.family == "plain":
        return Resolved("", "family plain: no instruction")
    if chosen.kind == "none":
        return Resolved("", "--instructions none")
    if chosen.kind == "template":
        return _from_template(card, role, "--instructions template")
    if model.family == "prefix":
        return _from_own_template(card, role, model) or _from_prompts(card, role, model)
    return _from_card(card, role, chosen.table_of or model.name)


def _from_file(card: Card, role: str, chosen: InstructionSet, model: ModelRule) -> Resolved | None:
    if model.family == "plain":
        raise UserError(
            f"{model.name} takes no instructions (family plain): add --family prefix to put the "
            f"instructions in {chosen.path} before its texts, or leave --instructions out"
        )
    for key in (card.name, "default"):
        for r in (role, "*"):
            if r in chosen.entries.get(key, {}):
                return Resolved(chosen.entries[key][r], f"file {chosen.name}: {key}")
    return None


def _from_own_template(card: Card, role: str, model: ModelRule) -> Resolved | None:
    """Return a card's instruction that has a place for the text, as prompts of classes have: "a photo of a {}."."""
    entries = card.instructions.get(role, {})
    for key in (model.name, "prefix", "default"):
        if "{}" in entries.get(key, ""):
            return Resolved(entries[key], f"card: {key}")
    return None


def _from_prompts(card: Card, role: str, model: ModelRule) -> Resolved:
    for r in (role, "*"):
        if r in model.prompts:
            return Resolved(model.prompts[r], f"family prefix: {model.prompts_rule}")
    raise UserError(
        f"{card.name}: {model.name} has no prompt for the role '{role}': give one with --instructions FILE, "
        "or choose --instructions none"
    )


def _from_card(card: Card, role: str, model_name: str) -> Resolved:
    entries = card.instructions.get(role, {})
    for key, rule in (
        (model_name, f"card: {model_name}"),
        ("instructor", "card: family instructor"),
        ("default", "card: default"),
    ):
        if key in entries:
            return Resolved(entries[key], rule)
    if not card.instructions and card.template.roles:
        return _from_template(card, role, "no instruction in the card: unified template")
    raise UserError(
        f"task {card.name}: no instruction for the role '{role}': add it to the card or give --instructions FILE"
    )


def _from_template(card: Card, role: str, why: str) -> Resolved:
    if role not in card.template.roles:
        raise UserError(f"task {card.name}: no template for the role '{role}': add `template` to its card")
    suffix = " (general wording of its type)" if card.template_is_default else ""
    return Resolved(card.template.instruction(role), why + suffix)


def resolve_all(card: Card, chosen: InstructionSet, model: ModelRule) -> dict[str, Resolved]:
    """Return the instruction of every role of the task."""
    return {role: resolve(card, role, chosen, model) for role in card.roles}
