"""What a run will do: models x instruction sets, with every task's instructions, and the baselines without a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from instructor_eval.encoder.cache import Cache
from instructor_eval.encoder.checkpoint import Checkpoint
from instructor_eval.encoder.engine import default_variant
from instructor_eval.encoder.locate import ModelSpec, locate
from instructor_eval.instructions import InstructionSet, ModelRule, effective_name, resolve_all
from instructor_eval.store import Store
from instructor_eval.types import SIMILAR, Card, Resolved, RunSettings, Selection


@dataclass
class Request:
    """What one invocation asks for."""

    models: Sequence[str]
    cards: Sequence[Card]
    instruction_sets: Sequence[InstructionSet]
    settings: RunSettings
    store: Store
    device: str = "auto"
    variant: str = "auto"
    batch_tokens: int | None = None
    compiled: bool = False
    cache: Cache | None = None
    vector_dtype: str = "float32"
    family: str | None = None
    trust_remote_code: bool = False
    selections: Sequence[Selection] = (SIMILAR,)
    """Prompt retrieval: each is a row; only `similar` uses the models."""
    known_models: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    debug: bool = False


@dataclass
class Planned:
    """One model under one instruction set, with the instructions of every task worked out; or a baseline without."""

    checkpoint: Checkpoint | None
    set_name: str
    instructions: dict[str, dict[str, Resolved]]
    cards: list[Card]
    selection: Selection = SIMILAR

    @property
    def model(self) -> dict[str, Any]:
        """What a score file says of the model, or of what stands in its place."""
        return self.checkpoint.describe() if self.checkpoint else baseline(self.selection)


def _variant(request: Request) -> str:
    """The numeric form asked for, with what vectors are rounded to if they are."""
    form = default_variant(request.device) if request.variant == "auto" else request.variant
    return form if request.vector_dtype == "float32" else f"{form}+{request.vector_dtype}"


def plan_run(request: Request, say: Callable[[str], None]) -> list[Planned]:
    """Find every model and work out every instruction, before anything is computed; says what it decided.

    Raises:
        UserError: a model or an instruction cannot be had.
    """
    planned: list[Planned] = []
    baselines = [selection for selection in request.selections if not selection.embeds]
    prompted = [c for c in request.cards if c.type == "PromptRetrieval"]
    cards = list(request.cards) if SIMILAR in request.selections else [c for c in request.cards if c not in prompted]
    if not cards:
        if request.models:
            say(f"no model is used: --selection {' '.join(s.name for s in baselines)} chooses without one")
        return [_without_model(selection, prompted) for selection in baselines]
    variant = _variant(request)
    for text in dict.fromkeys(request.models):
        spec = ModelSpec.parse(text)
        checkpoint = locate(
            spec,
            offline=request.settings.offline,
            known=request.known_models,
            family=request.family,
            with_code=request.trust_remote_code,
        )
        checkpoint = dataclasses.replace(checkpoint, variant=variant)
        revision, form = checkpoint.revision[:40], "" if variant == "fp32" else f", as {variant}"
        say(f"model {checkpoint.name} ({revision}){form}: family {checkpoint.family}, {checkpoint.family_rule}")
        rule = ModelRule(
            name=checkpoint.name,
            family=checkpoint.family,
            prompts=checkpoint.prompts,
            prompts_rule=checkpoint.prompts_rule,
        )
        seen: set[str] = set()
        for given in request.instruction_sets:
            chosen = _usable(given, checkpoint, request, say)
            set_name = effective_name(chosen, rule)
            instructions = {c.name: resolve_all(c, chosen, rule) for c in cards if not c.parts}
            if set_name in seen:
                continue
            seen.add(set_name)
            planned.append(Planned(checkpoint, set_name, instructions, cards))
    return planned + [_without_model(selection, prompted) for selection in baselines if prompted]


def _without_model(selection: Selection, cards: list[Card]) -> Planned:
    nothing = Resolved("", "no model: nothing is embedded")
    return Planned(None, "none", {c.name: dict.fromkeys(c.roles, nothing) for c in cards}, cards, selection)


def baseline(selection: Selection) -> dict[str, Any]:
    """What a score file says in the model's place where none took part."""
    return {
        "name": f"{selection.name} demonstrations",
        "revision": "",
        "family": "plain",
        "family_rule": "no model: demonstrations are chosen without embeddings",
        "fingerprint": f"selection-{selection.name}",
        "variant": "fp32",
        "dim": 0,
        "max_length": 0,
    }


def _usable(
    chosen: InstructionSet, checkpoint: Checkpoint, request: Request, say: Callable[[str], None]
) -> InstructionSet:
    """The set, or none where a plain model is one of several rows and cannot use a file of instructions.

    Alone it stays, and is an error further on: the user asked for nothing else.
    """
    several = len(request.models) > 1 or len(request.instruction_sets) > 1
    if checkpoint.family != "plain" or chosen.kind != "file" or not several:
        return chosen
    say(f"  takes no instructions: {chosen.path} is not used (with --family prefix it would be)")
    return InstructionSet("none", "none")
