"""One task of a run: begun, run, finished, filed."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from instructor_eval.cache.vectors import MemoryCache
from instructor_eval.core.environment import hardware, installed, versions
from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.redaction import environment_secrets, without_secrets
from instructor_eval.models.description import ModelDescription
from instructor_eval.models.engine import BaseEngine, Totals
from instructor_eval.models.served import usage_words
from instructor_eval.models.variant import FP32
from instructor_eval.results.checksums import identity_of
from instructor_eval.results.probe import Prober
from instructor_eval.results.score import DATA_NOTE, Score
from instructor_eval.results.search_figures import phrases as search_phrases
from instructor_eval.run.plan import Planned, Request
from instructor_eval.run.scores import COUNTS, begin, finish
from instructor_eval.tasks import types
from instructor_eval.tasks.encoder import BoundEncoder, NoModel
from instructor_eval.tasks.protocol import relevant
from instructor_eval.tasks.task import Card, Outcome, Resolved


@dataclass
class Summary:
    """The end of a run."""

    scores: list[Score] = field(default_factory=list)
    ran: int = 0
    kept: int = 0
    failed: int = 0
    reader: str | None = None
    """Fingerprint of the reader that answered, where prompt retrieval was asked for."""


def say_score(score: Score, plan: Planned, summary: Summary, say: Callable[[str], None], *, kept: bool) -> None:
    """Print how a task ended, and count it."""
    width = max(len(c.name) for c in plan.cards)
    form = "" if plan.label == str(FP32) else f", {plan.label}"
    head = f"  {score.task:<{width}} [{plan.set_name}{form}]"
    if score.status == "failed":
        summary.failed += 1
        say(f"{head} FAILED: {score.error}")
    else:
        summary.kept += kept
        summary.ran += not kept
        cost = "reused from an earlier run" if kept else _cost(score)
        cost += "".join(f", {phrase}" for phrase in search_phrases(score.search))
        say(f"{head} {score.metric} {100 * (score.score or 0.0):.2f}  ({score.n_items:,} items, {cost})")
        for warning in score.data_warnings:
            say(f"  warning: {score.task}: {warning}")


def _cost(score: Score) -> str:
    seconds, hits = score.timings.get("total", 0.0), score.counts.get("hits", 0)
    parts = [f"{seconds:.1f} s"]
    if hits:
        parts.append(f"{hits:,} of {score.counts['unique']:,} vectors from the cache")
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
    """The score of one task, and whether it was there already."""
    score = begin(request, card, plan)
    started = time.perf_counter()
    outcome: Outcome | None = None
    encoder: BoundEncoder | NoModel
    if engine is None:
        encoder, totals = NoModel(plan.model["name"]), Totals()
    else:
        encoder, totals = bound(engine, request, card, plan), engine.totals
    before, asked = dataclasses.replace(totals), _asked(engine)
    settings = dataclasses.replace(request.settings, **plan.settings)

    def attempt(step: Callable[[], Any]) -> Any:
        try:
            return step()
        except UserError as e:
            score.error = str(e)
        except Exception as e:  # one task's error, a library's perhaps, must not lose the others
            if request.debug:
                raise
            what = without_secrets(f"{type(e).__name__}: {e}", environment_secrets())
            score.error = one_line(f"unexpected {what} (--debug shows where)")[:500]
        return None

    kind = types.get(card.type)
    score.data["key"] = attempt(lambda: kind.data_key(card, settings))
    score.identity = identity_of(score)
    if score.error is None:
        found = request.store.find(score)
        if found is not None:
            return _kept(found, score, strict=settings.strict)
        with encoder.progress:
            outcome = attempt(lambda: kind.run(card, encoder, settings))
    score.timings = {
        "total": round(time.perf_counter() - started, 3),
        "encode": round(totals.seconds - before.seconds, 3),
        "load": round(totals.load - before.load, 3),
    }
    score.counts = {name: getattr(totals, name) - getattr(before, name) for name in COUNTS}
    score.served = {name: round(value - asked.get(name, 0), 9) for name, value in _asked(engine).items()}
    if engine is not None and engine.drift:
        score.metrics = {"vector_drift": engine.drift}
    score.environment = _environment(request, score, engine, prober)
    if outcome is None:
        request.store.write(score)
        return score, False
    finish(score, outcome)
    score.notes += [f"{DATA_NOTE}{warning}" for warning in outcome.warnings]
    score.notes += plan.checkpoint.notes if plan.checkpoint else ()
    score.embedding = encoder.embedding()
    score.data["hash"] = hashlib.sha256(f"{encoder.texts_hash()} {outcome.gold_hash}".encode()).hexdigest()[:32]
    request.store.write(score, outcome.items)
    return score, False


def _kept(found: Score, score: Score, *, strict: bool) -> tuple[Score, bool]:
    """Return what is there already, or, if `--strict` refuses its data, a failed score that is not filed over it."""
    if not (strict and found.data_warnings):
        return found, True
    score.error = f"{found.data_warnings[0]}: --strict refuses what is a warning without it"
    return score, False


def _asked(engine: BaseEngine | None) -> dict[str, float]:
    return engine.used() if engine else {}


def _environment(request: Request, score: Score, engine: BaseEngine | None, prober: Prober) -> dict[str, Any]:
    """Return the environment that a score was made in.

    Where there is a model, for the drift gate also whether this run computed every vector itself, and the probe of
    what computed them.
    """
    if engine is None:
        return {"versions": versions(), "hardware": hardware("cpu")}
    found = {
        "versions": versions() | installed(engine.libraries),
        **engine.environment(),
        "fresh": score.counts["hits"] == 0 or isinstance(engine.cache, MemoryCache),
    }
    probe = prober.name()
    return found | ({"probe": probe} if probe else {})


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
