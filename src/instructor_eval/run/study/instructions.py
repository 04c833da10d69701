"""The study of instructions: a run for each candidate, filed below the results folder, and what comes of them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from instructor_eval.analysis.study import files
from instructor_eval.analysis.study.files import InstructionStudy
from instructor_eval.analysis.study.instructions import PAPER, Candidate, TaskStudy, choose, units
from instructor_eval.core.errors import UserError
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.run.options import Asked, Options, read, request_of
from instructor_eval.run.study.candidates import candidates, read_candidates
from instructor_eval.tasks import types
from instructor_eval.tasks.instructions import InstructionSet
from instructor_eval.tasks.task import Card

KIND = "instructions"


@dataclass(frozen=True)
class Plan:
    """The options of a study beside those of its runs."""

    candidates: Path | None = None
    """The user's own."""
    others: int = 5
    """How many other tasks' instructions are tried."""
    roles: str = "all"
    seed: int = 0
    force: bool = False


def study(options: Options, plan: Plan, say: Callable[[str], None]) -> InstructionStudy:
    """Run a study of instructions, file it, and return it.

    Args:
        options: One model, its tasks, and how they are run; the results folder holds the study's scores below
            `studies/instructions`.
        plan: What is tried.
        say: Called with what is done, a line each.

    Raises:
        UserError: there is nothing to vary, too little to split, a task fails, or another study runs there.
    """
    options.check()
    if len(options.model) != 1:
        raise UserError("a study is of one model: give one --model")
    home = options.results
    asked = read(dataclasses.replace(options, results=home / files.FOLDER / KIND, cost="off", instructions=()))
    _check(asked.cards)
    own = read_candidates(plan.candidates, asked.cards) if plan.candidates else {}
    asked, name, variant, planned = _planned(asked)
    tried = {
        card.name: candidates(
            card, planned[card.name], [*own.get(card.name, ()), *own.get("default", ())],
            model=name, others=plan.others, roles=plan.roles, seed=plan.seed,
        )
        for card in asked.cards
    }  # fmt: skip
    with files.alone(home):
        found = []
        for card in asked.cards:
            say(f"{card.name}: {len(tried[card.name])} candidates")
            found.append(_run(asked, card, tried[card.name], plan, say))
        made = InstructionStudy(name, variant, plan.seed, tuple(found), options.limit)
        say(f"filed in {files.write(home, KIND, name, made)}")
    return made


def _check(cards: list[Card]) -> None:
    whole = next((card for card in cards if card.parts), None)
    if whole is not None:
        raise UserError(f"{whole.name} is the mean of {len(whole.parts)} tasks: study one of them, as {whole.parts[0]}")
    prompted = next((card.name for card in cards if types.get(card.type).is_prompted), None)
    if prompted is not None:
        raise UserError(f"{prompted}: a study of instructions is for tasks that embed, not for prompt retrieval")


def _planned(asked: Asked) -> tuple[Asked, str, str, dict[str, dict[str, str]]]:
    """Return what is run, the model's name, its variant, and what instruction each task has without a study, by role.

    A model of prefixes that has no prompts is compared with itself without one.

    Raises:
        UserError: the model takes none, or there are several variants.
    """
    from instructor_eval.run.plan import plan_run

    with contextlib.ExitStack() as closing:
        try:
            found = plan_run(request_of(asked, closing, _nothing, dry=True), _nothing)
        except UserError:
            asked = dataclasses.replace(asked, sets=[InstructionSet("none", "none")])
            found = plan_run(request_of(asked, closing, _nothing, dry=True), _nothing)
            if any(
                row.checkpoint is not None and (row.checkpoint.family != "prefix" or row.checkpoint.prompts)
                for row in found
            ):
                raise
    if len(found) != 1 or found[0].checkpoint is None:
        raise UserError("a study is of one row: give one --variant and one --search")
    model = found[0].checkpoint
    if model.family == "plain":
        raise UserError(
            f"{model.name} takes no instructions (family plain), so there is nothing to vary: choose another model, or "
            "--family prefix to put them before its texts"
        )
    texts = {task: {role: given.text for role, given in roles.items()} for task, roles in found[0].instructions.items()}
    return asked, model.name, str(found[0].variant), texts


def _nothing(_line: str) -> None: ...


def _run(asked: Asked, card: Card, tried: list[Candidate], plan: Plan, say: Callable[[str], None]) -> TaskStudy:
    store = Store(asked.options.results)
    first = _scores(asked, card, tried[:1], say)
    units(card.name, first[0].metric, store.items(first[0]), force=plan.force)  # before the others are run
    scores = [*first, *_scores(asked, card, tried[1:], say)]
    items = [(one, store.items(score)) for one, score in zip(tried, scores, strict=True)]
    return choose(card.name, scores[0].metric, items, seed=plan.seed, force=plan.force)


def _scores(asked: Asked, card: Card, tried: list[Candidate], say: Callable[[str], None]) -> list[Score]:
    """Return the scores of candidates, in their order, from an ordinary run.

    Raises:
        UserError: one failed.
    """
    from instructor_eval.run.execute import execute

    if not tried:
        return []
    sets = [
        dataclasses.replace(asked.sets[0], name=PAPER) if one.name == PAPER else
        InstructionSet(one.name, "file", entries={card.name: one.texts}, path=Path(one.name))
        for one in tried
    ]  # fmt: skip
    with contextlib.ExitStack() as closing:
        one_task = dataclasses.replace(asked, cards=[card], sets=sets)
        scores = execute(request_of(one_task, closing, say), say).scores
    failed = next((score for score in scores if score.score is None), None)
    if failed is not None:
        raise UserError(f"{card.name} failed under '{failed.instructions.set}': {failed.error}")
    return scores
