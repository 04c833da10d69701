"""One task of a run: begun, run, finished, filed."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from instructor_eval.cache.vectors import MemoryCache
from instructor_eval.core.environment import hardware, installed, versions
from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.progress import doing
from instructor_eval.core.redaction import environment_secrets, without_secrets
from instructor_eval.models.description import ModelDescription
from instructor_eval.models.engine import BaseEngine, Totals
from instructor_eval.models.served import usage_words
from instructor_eval.models.variant import FP32
from instructor_eval.results.probe import Prober
from instructor_eval.results.reading import names_of, record
from instructor_eval.results.score import DATA_NOTE, Counts, Embedding, Environment, Score, Timings
from instructor_eval.results.search_figures import phrases as search_phrases
from instructor_eval.run.plan import Planned, Request
from instructor_eval.run.run_costs import Ran
from instructor_eval.run.scores import begin, filed, finish
from instructor_eval.tasks import types
from instructor_eval.tasks.encoder import BoundEncoder, NoModel
from instructor_eval.tasks.protocol import relevant
from instructor_eval.tasks.task import Card, Outcome, Resolved, RunSettings

T = TypeVar("T")


@dataclass
class Summary:
    """The end of a run."""

    scores: list[Score] = field(default_factory=list)
    ran: int = 0
    reused: int = 0
    failed: int = 0
    reader: str | None = None
    """Fingerprint of the reader that answered, where prompt retrieval was asked for."""
    computed: dict[str, Ran] = field(default_factory=dict)
    """The work that forms have done here, by the fingerprint of their vectors."""


def say_score(score: Score, plan: Planned, summary: Summary, say: Callable[[str], None], *, reused: bool) -> None:
    """Print how a task ended, and count it."""
    width = max(len(c.name) for c in plan.cards)
    form = "" if plan.label == str(FP32) else f", {plan.label}"
    head = f"  {score.task:<{width}} [{plan.set_name}{form}]"
    if score.status == "failed":
        summary.failed += 1
        say(f"{head} FAILED: {score.error}")
    else:
        summary.reused += reused
        summary.ran += not reused
        cost = "reused from an earlier run" if reused else _cost(score)
        cost += "".join(f", {phrase}" for phrase in search_phrases(score.search))
        say(f"{head} {score.metric} {100 * (score.score or 0.0):.2f}  ({score.n_items:,} items, {cost})")
        for warning in score.data_warnings:
            say(f"  warning: {score.task}: {warning}")


def _cost(score: Score) -> str:
    hits = score.counts.hits
    parts = [f"{score.timings.total:.1f} s"]
    if hits:
        parts.append(f"{hits:,} of {score.counts.unique:,} vectors from the cache")
    return ", ".join(parts + usage_words(score.served))


def say_instructions(
    card: Card, resolved: Mapping[str, Resolved], checkpoint: ModelDescription, say: Callable[[str], None]
) -> None:
    """Print the literal instruction of each role, where the model takes any."""
    if checkpoint.family == "plain":
        return
    for role, instruction in resolved.items():
        text = instruction.text if len(instruction.text) <= 100 else f"{instruction.text[:97]}..."
        say(f"  {card.name} {role}: {text!r} ({instruction.rule})")


def run_task(
    request: Request, card: Card, plan: Planned, engine: BaseEngine | None, prober: Prober
) -> tuple[Score, bool]:
    """Run one task and file its score; return it, and whether it was there already."""
    started, before = time.perf_counter(), _Used.of(engine)
    encoder: BoundEncoder | NoModel = NoModel(plan.model.name) if engine is None else bound(engine, request, card, plan)
    settings = dataclasses.replace(request.settings, **plan.settings)
    kind = types.get(card.type)
    outcome: Outcome | None = None
    with doing(f"reading data of {card.name}"):
        key, error = _attempt(lambda: _key(card, plan, settings), debug=request.debug)
    score = begin(request, card, plan, key)
    if error is None:
        found = filed(request, score)
        if found is not None:
            return _reused(found, score, strict=settings.strict)
        with encoder.progress:
            outcome, error = _attempt(lambda: kind.run(card, encoder, settings), debug=request.debug)
    used = _Used.of(engine)
    counts = used.counts(before)
    score = dataclasses.replace(
        score,
        error=error,
        timings=used.timings(before, total=time.perf_counter() - started),
        counts=counts,
        served={name: round(value - before.served.get(name, 0), 9) for name, value in used.served.items()},
        metrics={"vector_drift": engine.drift} if engine is not None and engine.drift else {},
        environment=_environment(engine, prober, counts),
    )
    if outcome is None:
        return request.store.write(score), False
    data_hash = hashlib.sha256(f"{encoder.texts_hash()} {outcome.gold_hash}".encode()).hexdigest()[:32]
    vectors = encoder.embedding()
    score = dataclasses.replace(
        finish(score, outcome, data_hash),
        notes=(
            *score.notes,
            *(f"{DATA_NOTE}{warning}" for warning in outcome.warnings),
            *(plan.checkpoint.notes if plan.checkpoint else ()),
        ),
        embedding=record(Embedding, vectors) if vectors else None,
    )
    return request.store.write(score, outcome.items), False


def _key(card: Card, plan: Planned, settings: RunSettings) -> str:
    refuse_pictures_of(card, plan)
    return types.get(card.type).data_key(card, settings)


def refuse_pictures_of(card: Card, plan: Planned) -> None:
    """Refuse a task of pictures for a model that reads texts alone, before any data is fetched.

    Raises:
        UserError: so it is.
    """
    if types.get(card.type).reads_pictures and plan.checkpoint is not None and not plan.checkpoint.reads_pictures:
        raise UserError(
            f"model {plan.model.name} reads texts alone, and {card.name} is a task of pictures: use a model of texts "
            "and pictures (--model hf-clip:FOLDER or open-clip:ARCHITECTURE/TAG)"
        )


def _attempt(step: Callable[[], T], *, debug: bool) -> tuple[T | None, str | None]:
    """Return what a step gives, or why it failed: one task's error, a library's perhaps, must not lose the others."""
    try:
        return step(), None
    except UserError as e:
        return None, str(e)
    except Exception as e:
        if debug:
            raise
        what = without_secrets(f"{type(e).__name__}: {e}", environment_secrets())
        return None, one_line(f"unexpected {what} (--debug shows where)")[:500]


@dataclass(frozen=True)
class _Used:
    """The work of an engine so far."""

    totals: Totals
    served: Mapping[str, float]

    @classmethod
    def of(cls, engine: BaseEngine | None) -> _Used:
        return cls(Totals(), {}) if engine is None else cls(dataclasses.replace(engine.totals), engine.used())

    def counts(self, before: _Used) -> Counts:
        taken = {name: getattr(self.totals, name) - getattr(before.totals, name) for name in names_of(Counts)}
        return Counts(**taken)

    def timings(self, before: _Used, *, total: float) -> Timings:
        encode, load = self.totals.seconds - before.totals.seconds, self.totals.load - before.totals.load
        return Timings(round(total, 3), round(encode, 3), round(load, 3))


def _reused(found: Score, score: Score, *, strict: bool) -> tuple[Score, bool]:
    """Return what is there already, or, if `--strict` refuses its data, a failed score that is not filed over it."""
    if not (strict and found.data_warnings):
        return found, True
    error = f"{found.data_warnings[0]}: --strict refuses what is a warning without it"
    return dataclasses.replace(score, error=error), False


def _environment(engine: BaseEngine | None, prober: Prober, counts: Counts) -> Environment:
    """Return the environment that a score was made in.

    Where there is a model, for the drift gate also whether this run computed every vector itself, and the probe of
    what computed them.
    """
    if engine is None:
        return record(Environment, {"versions": versions(), "hardware": hardware("cpu")})
    found = {
        "versions": versions() | installed(engine.libraries),
        **engine.environment(),
        "fresh": counts.hits == 0 or isinstance(engine.cache, MemoryCache),
        "probe": prober.name(),
    }
    return record(Environment, found)


def bound(
    engine: BaseEngine, request: Request, card: Card, plan: Planned, kind: type[BoundEncoder] = BoundEncoder
) -> BoundEncoder:
    """The engine as one task sees it."""
    return kind(
        engine,
        plan.instructions[card.name],
        relevant(dict(request.settings.protocol), card.type, card.name),
        task=card.name,
        variant=plan.variant,
        task_type=card.type,
        purpose=types.get(card.type).purpose,
    )


Run: TypeAlias = Callable[[Request, list[Planned], "Summary", Callable[[str], None]], None]
"""Runs a plan: fills the summary, in the plan's order."""
