"""Plan of a run: models x variants x instruction sets, all instructions worked out; and rows without a model."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from instructor_eval.cache.vectors import Cache
from instructor_eval.core.errors import UnknownNameError, UserError, fitted, one_line
from instructor_eval.core.progress import doing
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.description import ModelDescription
from instructor_eval.models.device import default_variant, pick_device
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.models.images.find import is_image_model, read_image_model
from instructor_eval.models.images.model import ImageModel
from instructor_eval.models.library import LibraryEncoder
from instructor_eval.models.served.contract import ServedModel, Serving
from instructor_eval.models.served.engine import check_form, describe
from instructor_eval.models.served.kinds import kind_of, load
from instructor_eval.models.variant import (
    BASELINE,
    FP32,
    Variant,
    check_device,
    check_installed,
    form,
    grid,
    variant_label,
)
from instructor_eval.results.reading import record
from instructor_eval.results.score import UNSTARTED
from instructor_eval.results.score import Model as ScoredModel
from instructor_eval.results.store import Store
from instructor_eval.run.executor import LOCAL, Executor
from instructor_eval.search.spec import EXACT_SEARCH, SearchSpec, open_store
from instructor_eval.tasks import types
from instructor_eval.tasks.instructions import InstructionSet, ModelRule, effective_name, resolve_all
from instructor_eval.tasks.task import SIMILAR, Card, Resolved, RunSettings, Selection

_LONGEST_NAME = 200
Model: TypeAlias = str | ServedModel | LibraryEncoder


@dataclass
class Request:
    """Everything that one invocation asks for."""

    models: Sequence[Model]
    """Each as `--model` names it, or an object (`models/objects.py`)."""
    cards: Sequence[Card]
    instruction_sets: Sequence[InstructionSet]
    settings: RunSettings
    store: Store
    device: str = "auto"
    variants: Sequence[str] = ()
    """Texts of variants or forms; `auto`, or none: what suits the device."""
    embeddings: Sequence[str] = ()
    dims: Sequence[int] = ()
    batch_tokens: int | None = None
    compiled: bool = False
    cache: Cache | None = None
    cost: str = "auto"
    """How costs are measured: auto (within a tenth of the run's time), full (measured, with cold starts), off."""
    stored: str = "float32"
    """The type of the cache's vectors."""
    family: str | None = None
    trust_remote_code: bool = False
    serving: Serving = field(default_factory=Serving)
    """Settings for asking served models."""
    selections: Sequence[Selection] = (SIMILAR,)
    """Prompt retrieval: each is a row; only `similar` uses the models."""
    searches: Sequence[SearchSpec] = (EXACT_SEARCH,)
    """Retrieval: each is a row."""
    known_models: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    debug: bool = False
    executor: Executor = LOCAL
    """Where encoding happens."""
    elsewhere: str | None = None
    """The kind of device that encodes, cpu or cuda, where that is another machine's."""


@dataclass
class Planned:
    """One variant of a model under one instruction set, with every task's instructions; or a baseline without."""

    checkpoint: ModelDescription | None
    set_name: str
    instructions: dict[str, dict[str, Resolved]]
    cards: list[Card]
    selection: Selection = SIMILAR
    loaded: ModelDescription | None = None
    """The model it loads: the same object for all variants of one form."""
    variant: Variant = FP32
    search: SearchSpec = EXACT_SEARCH
    asked: str = ""
    """The model as `--model` names it."""
    error: str = ""
    """The reason that the model cannot start: then nothing is known of it, and all its tasks have failed."""

    @property
    def settings(self) -> dict[str, Any]:
        """Those of the run's settings that are this row's own."""
        return {"selection": self.selection, "search": None if self.search.is_exact else self.search}

    @property
    def label(self) -> str:
        """Return its label among its model's rows: the variant, and behind a stroke the search if not exact."""
        return variant_label(str(self.variant), "" if self.search.is_exact else str(self.search))

    @property
    def model(self) -> ScoredModel:
        """Return the score's model, or what stands in its place."""
        if self.error:
            return unstarted(self.asked)
        return record(ScoredModel, self.checkpoint.describe()) if self.checkpoint else without_model(self.selection)


def variants_of(request: Request, *, served: str = "") -> list[Variant]:
    """The variants asked for, those of one form side by side; their libraries and devices are there.

    Args:
        request: The run.
        served: A model that is no checkpoint, if they are of one: it has one form only.

    Raises:
        UserError: a variant that cannot be read, or cannot run here, or does not go with a float16 cache.
    """
    device, auto = "cpu", BASELINE
    if not served:
        device = request.elsewhere or pick_device(request.device)
        auto = default_variant(device) if request.elsewhere is None else ("bf16" if device == "cuda" else "fp32")
    found = grid(request.variants, request.embeddings, request.dims, auto=auto)
    forms = list(dict.fromkeys(v.form for v in found))
    if served:
        check_form(forms, served)
    check_installed(forms)
    check_device(forms, device, here=request.elsewhere is None)
    eager = next((f for f in forms if request.compiled and not form(f).compiles), None)
    if eager:
        raise UserError(f"--compile does not go with variant {eager}: leave one of them out")
    if request.compiled and served:
        raise UserError(f"--compile is for models that run here, and {served} is served: leave it out")
    if request.stored == "float32":
        return found
    if "float32" in request.embeddings:
        raise UserError(f"--embedding float32 does not go with --cache-dtype {request.stored}: leave one of them out")
    clash = next((v for v in found if v.dtype_of_vectors not in ("float32", request.stored) or v.dim), None)
    if clash:
        raise UserError(f"variant {clash} is made of float32 vectors: leave --cache-dtype {request.stored} out")
    return list(dict.fromkeys(Variant(v.form, request.stored) for v in found))


def plan_run(request: Request, say: Callable[[str], None]) -> list[Planned]:
    """Find every model and work out every instruction, before anything is computed; says what it decided.

    Of several models one that cannot be had does not end the others: its row has an `error`. A text that names none, or
    one that the hub does not know, is a wrong flag, and ends all.

    Raises:
        UserError: the only model, or an instruction, cannot be had, or a model's name is none.
    """
    planned: list[Planned] = []
    baselines = [selection for selection in request.selections if not selection.embeds]
    prompted = [c for c in request.cards if types.get(c.type).is_prompted]
    cards = list(request.cards) if SIMILAR in request.selections else [c for c in request.cards if c not in prompted]
    if not cards:
        if request.models:
            say(f"no model is used: --selection {' '.join(s.name for s in baselines)} chooses without one")
        return [_without_model(selection, prompted) for selection in baselines]
    models = list(dict.fromkeys(request.models))
    _check_names(models)
    variants_by_model = {model: _variants_of(request, model) for model in models}
    for model, variants in variants_by_model.items():
        text = name_of(model)
        try:
            with doing(f"reading {name_of(model)}"):
                checkpoint = dataclasses.replace(_found(request, model), stored=request.stored)
        except UserError as e:
            if len(models) == 1 or isinstance(e, UnknownNameError):
                raise
            failed = Planned(None, request.instruction_sets[0].name, {}, cards, asked=text, error=str(e))
            say(f"model {failed.model.name} FAILED, the others go on: {e}")
            planned.append(failed)
            continue
        _check_dims(checkpoint, variants)
        _check_chunks(checkpoint, request.searches)
        _check_forms(checkpoint, variants, compiled=request.compiled)
        revision, forms = checkpoint.revision[:40], ", ".join(map(str, variants))
        shown = "" if variants == [FP32] else f", as {forms}"
        family = f"family {checkpoint.family}, {checkpoint.family_rule}"
        say(f"model {checkpoint.name} ({revision}){shown}: {family}; {checkpoint.about}")
        for note in checkpoint.notes:
            say(f"  note: {note}")
        sets = _instructions(checkpoint, request, cards, say)
        loaded = {v.form: dataclasses.replace(checkpoint, variant=v.form) for v in variants}
        for variant in variants:
            as_variant = dataclasses.replace(checkpoint, variant=str(variant))
            for set_name, instructions in sets.items():
                whole = Planned(as_variant, set_name, instructions, cards, loaded=loaded[variant.form], variant=variant)
                planned += _by_search(dataclasses.replace(whole, asked=text), request.searches)
    return planned + [_without_model(selection, prompted) for selection in baselines if prompted]


def _by_search(whole: Planned, searches: Sequence[SearchSpec]) -> list[Planned]:
    """A row for each search with the retrieval tasks; tasks of other types stand once, beside the exact search's."""
    retrieval = [card for card in whole.cards if types.get(card.type).is_searched]
    cut = [card for card in whole.cards if types.get(card.type).is_cut]
    exact = any(search.is_exact for search in searches)
    others = [search for search in searches if not search.is_exact]
    varied = [card for card in cut if all(search.chunk for search in others)] if others else []
    plain = [card for card in whole.cards if exact or card not in (*retrieval, *varied)]
    found = [dataclasses.replace(whole, cards=plain)] if plain else []
    for search in others:
        cards = retrieval if search.is_store else cut
        found += [dataclasses.replace(whole, cards=cards, search=search)] if cards else []
    return found


def check_searches(searches: Sequence[SearchSpec], cards: Sequence[Card]) -> None:
    """Return whether stores are asked for that are not installed or misspelt, or no task searches at all.

    Raises:
        UserError: so it is.
    """
    stores = [search for search in searches if search.is_store]
    if any(search.chunk for search in searches) and not any(types.get(card.type).is_cut for card in cards):
        raise UserError("--chunk is for retrieval and reranking tasks, and no --task or --benchmark names one")
    if stores and not any(types.get(card.type).is_searched for card in cards):
        raise UserError(f"--search {stores[0]} is for retrieval tasks, and no --task or --benchmark names one")
    for search in stores:
        open_store(search)


def _check_names(models: Sequence[Model]) -> None:
    """Refuse a text that can name no model, wherever it stands among others.

    Raises:
        UserError: it is a path that leads nowhere, or neither a hub id nor a served model.
    """
    for model in models:
        if isinstance(model, str) and not kind_of(model) and not is_image_model(model):
            ModelSpec.parse(model)


def name_of(model: Model) -> str:
    """Return what a model is called before it is described."""
    return (
        model
        if isinstance(model, str)
        else model.name
        if isinstance(model, ServedModel)
        else model.engine.checkpoint.name
    )


def _variants_of(request: Request, model: Model) -> list[Variant]:
    """Return the variants of one model; a loaded encoder has its own.

    Raises:
        UserError: as `variants_of`, or others are asked for than a loaded encoder has.
    """
    if isinstance(model, LibraryEncoder):
        if request.variants or request.embeddings or request.dims:
            raise UserError(
                f"{name_of(model)} is loaded as {model.precision.variant}: leave --variant out, or give its name"
            )
        return [model.precision.variant]
    served = isinstance(model, ServedModel) or kind_of(model)
    return variants_of(request, served=name_of(model) if served else "")


def _found(request: Request, text: Model) -> ModelDescription:
    """Return the description of a model: a folder of files, a served model, or an object."""
    if isinstance(text, ServedModel):
        return describe(text)
    if isinstance(text, LibraryEncoder):
        return dataclasses.replace(text.engine.checkpoint, variant=BASELINE)
    if kind_of(text):
        return load(text, request.serving)
    if is_image_model(text):
        return read_image_model(text, family=request.family, offline=request.settings.offline)
    return locate(
        ModelSpec.parse(text),
        offline=request.settings.offline,
        known=request.known_models,
        family=request.family,
        with_code=request.trust_remote_code,
    )


def _check_dims(checkpoint: ModelDescription, variants: Sequence[Variant]) -> None:
    for variant in variants:
        if (variant.dim or 0) > checkpoint.dim:
            raise UserError(
                f"variant {variant}: vectors of {checkpoint.name} have {checkpoint.dim} values, which cannot be cut to "
                f"{variant.dim}: give fewer"
            )


def _check_chunks(model: ModelDescription, searches: Sequence[SearchSpec]) -> None:
    """Refuse chunks that a model cannot read whole, or cannot count the tokens of."""
    for search in searches:
        if search.chunk is None:
            continue
        if not isinstance(model, Checkpoint):
            raise UserError(f"--chunk counts tokens, and the tokenizer of {model.name} is not here: leave it out")
        if model.max_length and search.chunk.size > model.max_length:
            raise UserError(
                f"--chunk {search.chunk.size}: {model.name} reads {model.max_length} tokens at most: give no more"
            )


def _check_forms(model: ModelDescription, variants: Sequence[Variant], *, compiled: bool) -> None:
    """Refuse forms that the library of a model does not compute in, before anything is computed."""
    for variant in variants:
        if isinstance(model, Checkpoint | ImageModel):
            dataclasses.replace(model, variant=str(variant)).check_form(compiled=compiled)


def _instructions(
    checkpoint: ModelDescription, request: Request, cards: list[Card], say: Callable[[str], None]
) -> dict[str, dict[str, dict[str, Resolved]]]:
    """Instruction set -> task -> role -> instruction; sets that come to the same for this model once."""
    rule = ModelRule.of(checkpoint)
    found: dict[str, dict[str, dict[str, Resolved]]] = {}
    asked: dict[str, list[str]] = {}
    for given in request.instruction_sets:
        chosen = _usable(given, checkpoint, request, say)
        instructions = {c.name: resolve_all(c, chosen, rule) for c in cards if not c.parts}
        name = effective_name(chosen, rule)
        found.setdefault(name, instructions)
        asked.setdefault(name, []).append(given.name)
    for name, names in asked.items():
        if len(names) > 1:
            takes = "takes none" if checkpoint.family == "plain" else f"takes its {name}"
            say(
                f"  instructions {', '.join(names)} are the same here: family {checkpoint.family} {takes}; one row, "
                f"{name} (--family says otherwise)"
            )
    return found


def _without_model(selection: Selection, cards: list[Card]) -> Planned:
    nothing = Resolved("", "no model: nothing is embedded")
    return Planned(None, "none", {c.name: dict.fromkeys(c.roles, nothing) for c in cards}, cards, selection)


def without_model(selection: Selection) -> ScoredModel:
    """Return the score's model where none took part."""
    return ScoredModel(
        name=f"{selection.name} demonstrations",
        family="plain",
        family_rule="no model: demonstrations are chosen without embeddings",
        fingerprint=f"selection-{selection.name}",
        variant="fp32",
    )


def unstarted(text: str) -> ScoredModel:
    """Return the score's model of a model that could not be loaded: what `--model` says, and no more."""
    print_ = f"{UNSTARTED}{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"
    return ScoredModel(
        name=fitted(one_line(text), _LONGEST_NAME),
        family="plain",
        family_rule="not known: the model could not be had",
        fingerprint=print_,
        base_fingerprint=print_,
        variant="fp32",
    )


def _usable(
    chosen: InstructionSet, checkpoint: ModelDescription, request: Request, say: Callable[[str], None]
) -> InstructionSet:
    """The set, or none where a plain model is one of several rows and cannot use a file of instructions.

    Alone it stays, and is an error further on: the user asked for nothing else.
    """
    several = len(request.models) > 1 or len(request.instruction_sets) > 1
    if checkpoint.family != "plain" or chosen.kind != "file" or not several:
        return chosen
    say(f"  takes no instructions: {chosen.path} is not used (with --family prefix it would be)")
    return InstructionSet("none", "none")
