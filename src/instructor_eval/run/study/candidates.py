"""Candidates of a study of instructions: which texts are tried for each role of a task, and where each is from."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from instructor_eval.analysis.study.instructions import CONTROL, PAPER, Candidate
from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.values import Template
from instructor_eval.core.yaml_file import read_yaml
from instructor_eval.tasks.card_file import Instruction
from instructor_eval.tasks.cards import known_cards
from instructor_eval.tasks.instructions import PAPER_MODELS, InstructionSet, ModelRule, resolve
from instructor_eval.tasks.task import Card, Role

PATTERNS = (
    "Encode the {what}{goal}: ",
    "Embed this {what}{goal}: ",
    "Represent this {what}{goal}: ",
    "Represent the following {what}{goal}: ",
    "Represent the meaning of the {what}{goal}: ",
    "Give a representation of the {what}{goal}: ",
    "Create an embedding of the {what}{goal}: ",
    "Turn the {what} into a vector{goal}: ",
    "Describe the {what} by a vector{goal}: ",
    "Summarise the {what} as an embedding{goal}: ",
    "Capture what the {what} says{goal}: ",
    "Read the {what} and represent it{goal}: ",
    "Find a vector of the {what}{goal}: ",
    "Your task is to represent the {what}{goal}: ",
    "Instruction: represent the {what}{goal}. Input: ",
    "Please represent the {what}{goal}: ",
    "The {what}{goal}: ",
    "This is a {what}{goal}: ",
    "Represent the {what}{goal}; Input: ",
    "represent the {what}{goal} ",
)
"""Paraphrases of the unified instruction: {what} is domain and text type, {goal} the objective after "for"."""
CandidatesFile = dict[str, list[Instruction | dict[Role | Literal["*"], Instruction]]]
"""The layout of a file of candidates: a task, or `default`, with texts, or a text for each role."""
_PLAIN = {"domain": "general", "text type": "text", "objective": "any purpose"}
"""The replacements of the template's parts."""


def read_candidates(path: Path, cards: Sequence[Card]) -> dict[str, list[dict[str, str]]]:
    """Read a user's candidates: task (or `default`) -> role (or `*`) -> text.

    Raises:
        UserError: the file cannot be read, has another layout, names a task that is not studied or a role that a task
            does not have, or has no candidate.
    """
    roles = {card.name: card.roles for card in cards}
    tasks = list(roles)
    document = read_yaml(path, "no such file of candidates")
    if not isinstance(document.value, dict) or not any(document.value.values()):
        raise document.error((), "it has no candidates: write `TASK: [instruction, ...]`, or `default: [...]`")
    for task in document.value:
        if task != "default" and task not in tasks:
            hint = did_you_mean(str(task), tasks) or f": this study is of {', '.join(tasks)}"
            raise document.error((str(task),), f"'{task}' is no task of this study{hint}")
    parsed = document.parse(CandidatesFile)
    found = {task: [_by_role(one) for one in several] for task, several in parsed.items()}
    for task, several in found.items():
        known = roles.get(task) or sorted({role for one in roles.values() for role in one})  # of `default`, all
        strange = next((role for one in several for role in one if role not in ("*", *known)), None)
        if strange:
            raise document.error((task,), f"{task} has no role '{strange}': it has {', '.join(known)}")
    return found


def _by_role(given: object) -> dict[str, str]:
    return {str(role): str(text) for role, text in given.items()} if isinstance(given, dict) else {"*": str(given)}


def candidates(
    card: Card,
    paper: Mapping[str, str],
    own: Sequence[Mapping[str, str]],
    *,
    model: str,
    others: int,
    roles: str = "all",
    seed: int = 0,
) -> list[Candidate]:
    """Return what is tried on a task, the model's own instruction first; no two are the same texts.

    Args:
        card: The task.
        paper: Role -> the instruction that the model has without a study.
        own: The user's candidates.
        model: The model's name, whose entries in other tasks' cards are the control.
        others: How many other tasks' instructions are tried.
        roles: `both` changes all roles together, the name of a role that one alone; `all` each alone, and together.
        seed: Decides which other tasks.

    Raises:
        UserError: the task has no such role.
    """
    if roles not in ("all", "both", *card.roles):
        raise UserError(f"--roles {roles}: {card.name} has {', '.join(card.roles)}: give one of them, both, or all")
    found = {tuple(sorted(paper.items())): Candidate(PAPER, PAPER, dict(paper))}
    controls = 0
    for name, source, texts in _sources(card, own, model=model, seed=seed):
        if source == CONTROL and controls == others:
            break
        before = len(found)
        whole = {role: texts.get(role, texts.get("*", paper[role])) for role in card.roles}
        for role in (None, *card.roles) if len(card.roles) > 1 else (None,):
            if roles not in ("all", "both" if role is None else role):
                continue
            tried = whole if role is None else {**paper, role: whole[role]}
            label = name if role is None else f"{name} ({role} only)"
            found.setdefault(tuple(sorted(tried.items())), Candidate(label, source, tried))
        controls += source == CONTROL and len(found) > before  # a text that is tried anyway is no control
    return list(found.values())


def _sources(
    card: Card, own: Sequence[Mapping[str, str]], *, model: str, seed: int
) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """Yield (name, source, texts by role); other tasks', all of them, come last."""
    for n, texts in enumerate(own, 1):
        yield f"yours {n}", "yours", texts
    for size in PAPER_MODELS:
        if texts := _papers(card, size):
            yield f"paper:{size.rpartition('/')[2]}", "paper's of a size", texts
    for name, template in _templates(card.template):
        yield name, "template", {role: template.instruction(role) for role in card.roles}
    yield "none", "none", {"*": ""}
    for n, pattern in enumerate(PATTERNS, 1):
        yield f"pattern {n}", "pattern", {role: _filled(pattern, card.template, role) for role in card.roles}
    cards = sorted(known_cards().values(), key=lambda c: hashlib.sha256(f"{seed} {c.name}".encode()).hexdigest())
    seen: set[str] = set()
    for other in cards:
        texts = {} if other.parts or card.name in (other.name, other.part_of) else _papers(other, model)
        if texts and not seen & set(texts.values()):
            seen.add(next(iter(texts.values())))
            yield (
                f"of {other.name}",
                CONTROL,
                texts if set(card.roles) <= set(texts) else {"*": next(iter(texts.values()))},
            )


def _papers(card: Card, model: str) -> dict[str, str]:
    """Return the paper's instructions of a task for a model; none where there is no such."""
    paper = InstructionSet("paper", "paper", table_of=model)
    try:
        return {role: resolve(card, role, paper, ModelRule(model, "instructor")).text for role in card.roles}
    except UserError:
        return {}


def _templates(template: Template) -> Iterator[tuple[str, Template]]:
    """Yield the unified template, and it with each part left out or replaced by a plain word."""
    yield "template", template
    for what, word in (("left out", ""), ("plain", None)):
        for part, plain in _PLAIN.items():
            new = plain if word is None else word
            if part == "domain":
                changed = dataclasses.replace(template, domain=new)
            else:
                at = ("text type", "objective").index(part)
                parts = {r: (new, words[1]) if at == 0 else (words[0], new) for r, words in template.roles.items()}
                changed = dataclasses.replace(template, roles=parts)
            if changed.domain or all(text_type for text_type, _ in changed.roles.values()):  # else "Represent the : "
                yield f"template, {part} {what}", changed


def _filled(pattern: str, template: Template, role: str) -> str:
    text_type, objective = template.roles[role]
    what = " ".join(part for part in (template.domain, text_type) if part)
    return pattern.format(what=what, goal=f" for {objective}" if objective else "")
