"""Models x variants x instruction sets x tasks: plan, run, file. The only module that knows all the rooms."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from instructor_eval.adapters.registry import adapter_for
from instructor_eval.checksums import identity, identity_of
from instructor_eval.encoder.cache import MemoryCache
from instructor_eval.encoder.checkpoint import Checkpoint
from instructor_eval.encoder.described import Described
from instructor_eval.encoder.engine import BaseEngine, Engine, Totals, pick_device
from instructor_eval.encoder.served import Served, ServedEngine
from instructor_eval.encoder.task import BoundEncoder, NoModel
from instructor_eval.environment import hardware, installed, versions
from instructor_eval.errors import UserError, one_line
from instructor_eval.filing import COUNTS, aggregate, blank, failed_score, file_unstarted, fill, now
from instructor_eval.gates.probe import Prober
from instructor_eval.plan import Planned, Request, plan_run
from instructor_eval.redaction import environment_secrets, without_secrets
from instructor_eval.search.figures import told as search_told
from instructor_eval.served import used
from instructor_eval.types import DATA_NOTE, Card, Outcome, Resolved, Score
from instructor_eval.variants import BASELINE, FP32

Run: TypeAlias = Callable[[Request, list[Planned], "Summary", Callable[[str], None]], None]
"""What runs a plan: it fills the summary, in the plan's order."""


@dataclass
class Summary:
    """How a run ended."""

    scores: list[Score] = field(default_factory=list)
    ran: int = 0
    kept: int = 0
    failed: int = 0


def execute(request: Request, say: Callable[[str], None]) -> Summary:
    """Run everything that has no result yet; finished results are kept, a failing task does not end the others.

    Raises:
        UserError: found before anything is computed (a model, card or instruction that cannot be had), or the results
            folder can no longer be written, or the executor has nothing left to compute with.
    """
    request.store.check_writable()
    for card in request.cards:
        if not card.parts:
            adapter_for(card)
    if request.executor.kind == "ray":
        from instructor_eval.executors.ray_run import on_ray  # an extra's library

        with on_ray(request) as (there, run_there):
            return _execute(there, say, run_there)
    if request.device != "auto":
        pick_device(request.device)
    return _execute(request, say, _run_here)


def _execute(request: Request, say: Callable[[str], None], run: Run) -> Summary:
    planned = plan_run(request, say)
    started = now()
    name = f"{started[:19].replace(':', '')}Z-{identity({'command': request.command, 'pid': os.getpid()})[:6]}"
    summary = Summary()
    _write_manifest(request, name, started, summary, ended=None)
    summary.scores += file_unstarted(request, planned)
    summary.failed += len(summary.scores)
    planned = [plan for plan in planned if not plan.error]
    if planned:
        run(request, planned, summary, say)
    if request.executor.kind == "local":
        for model in dict.fromkeys(_model(p) for p in planned if p.checkpoint):
            _add_costs(request, [p for p in planned if _model(p) == model], summary, say)
    _write_manifest(request, name, started, summary, ended=now())
    return summary


def _run_here(request: Request, planned: list[Planned], summary: Summary, say: Callable[[str], None]) -> None:
    """In this process, one task after another; the last model is let go of, as what is measured next needs its memory.

    One form is in memory at a time.
    """
    engine: BaseEngine | None = None
    prober = Prober(None, request.store.root, say)
    broken: Described | None = None
    why = ""
    for plan in planned:
        model = plan.loaded
        if model is not None and model is not broken and (engine is None or engine.model is not model):
            try:
                engine = engine_of(model, request)
                prober = Prober(engine, request.store.root, say, debug=request.debug)
            except UserError as e:
                if len(set(request.models)) == 1:
                    raise
                broken, why = model, str(e)
        if model is not None and model is broken:
            for card in plan.cards:
                score = failed_score(request, card, plan, why)
                summary.scores.append(score)
                say_score(score, plan, summary, say, kept=False)
            continue
        _run_model(request, plan, engine if plan.checkpoint else None, prober, summary, say)


def engine_of(model: Described, request: Request) -> BaseEngine:
    """What computes a model's vectors.

    Raises:
        UserError: a served model is another one than when the cache was filled.
    """
    if isinstance(model, Served):
        return ServedEngine(model, request.cache)
    assert isinstance(model, Checkpoint)
    return Engine(
        model,
        device=request.device,
        batch_tokens=request.batch_tokens,
        trust_remote_code=request.trust_remote_code,
        cache=request.cache,
        compiled=request.compiled,
    )


def _model(plan: Planned) -> tuple[str, str] | None:
    return (plan.checkpoint.name, plan.checkpoint.revision) if plan.checkpoint else None


def _add_costs(request: Request, plans: list[Planned], summary: Summary, say: Callable[[str], None]) -> None:
    """Measure what one model's forms cost here, and write it to those of its scores that do not say yet.

    All scores are filed by then: a fault here costs none of them, and does not end the run.
    """
    checkpoints = [p.checkpoint for p in plans if isinstance(p.checkpoint, Checkpoint)]
    prints = {c.fingerprint: c.form for c in checkpoints}
    cold = request.cost == "full" or set(prints.values()) != {BASELINE}
    wanted = [
        s
        for s in summary.scores
        if s.status == "ok"
        and s.model["fingerprint"] in prints
        and (not s.cost or (cold and "cold_start_seconds" not in s.cost))
    ]
    if request.cost == "off" or not wanted:
        return
    forms = {prints[s.model["fingerprint"]] for s in wanted}
    say(f"  measuring what {', '.join(dict.fromkeys([BASELINE, *sorted(forms)]))} cost here (--cost off leaves it out)")
    try:
        from instructor_eval.costs.measure import How, measure_run  # only where there is something to measure

        how = How(
            device=request.device,
            batch_tokens=request.batch_tokens,
            trust_remote_code=request.trust_remote_code,
            compiled=request.compiled,
            cold=cold,
        )
        costs = measure_run([c for c in checkpoints if c.form in forms], request.store.root, how, warn=say)
        for score in wanted:
            cost = costs.get(prints[score.model["fingerprint"]])
            if cost is not None:
                score.cost = cost.for_score()
                request.store.write(score)
    except UserError as e:
        say(f"  no cost measured: {e}")
    except Exception as e:  # a library's, perhaps
        if request.debug:
            raise
        say("  " + one_line(f"no cost measured: unexpected {type(e).__name__}: {e} (--debug shows where)")[:500])


def _run_model(
    request: Request,
    plan: Planned,
    engine: BaseEngine | None,
    prober: Prober,
    summary: Summary,
    say: Callable[[str], None],
) -> None:
    done: dict[str, Score] = {}
    if plan.checkpoint is None:
        say(f"{plan.model['name']}: no model, the same for all of them")
    for card in plan.cards:
        if card.parts:
            score, kept = aggregate(card, plan, done, request)
        else:
            if plan.checkpoint is not None:
                say_instructions(card, plan.instructions[card.name], plan.checkpoint, say)
            score, kept = run_task(request, card, plan, engine, prober)
        done[card.name] = score
        summary.scores.append(score)
        say_score(score, plan, summary, say, kept=kept)


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
        cost = "kept from an earlier run" if kept else _cost(score)
        cost += "".join(f", {told}" for told in search_told(score.search))
        say(f"{head} {score.metric} {100 * (score.score or 0.0):.2f}  ({score.n_items:,} items, {cost})")
        for warning in score.data_warnings:
            say(f"  warning: {score.task}: {warning}")


def _cost(score: Score) -> str:
    seconds, hits = score.timings.get("total", 0.0), score.counts.get("hits", 0)
    parts = [f"{seconds:.1f} s"]
    if hits:
        parts.append(f"{hits:,} of {score.counts['unique']:,} vectors from the cache")
    return ", ".join(parts + used(score.served))


def say_instructions(
    card: Card, resolved: Mapping[str, Resolved], checkpoint: Described, say: Callable[[str], None]
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
    score = blank(request, card, plan)
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
        except Exception as e:  # one task's fault, a library's perhaps, must not lose the others
            if request.debug:
                raise
            what = without_secrets(f"{type(e).__name__}: {e}", environment_secrets())
            score.error = one_line(f"unexpected {what} (--debug shows where)")[:500]
        return None

    adapter = adapter_for(card)
    score.data["key"] = attempt(lambda: adapter.data_key(card, settings))
    score.identity = identity_of(score)
    if score.error is None:
        found = request.store.find(score)
        if found is not None:
            return _kept(found, score, strict=settings.strict)
        with encoder.progress:
            outcome = attempt(lambda: adapter.run(card, encoder, settings))
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
    fill(score, outcome)
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
    """What a score was made with.

    Where there is a model, for the drift gate also whether this run computed every vector itself, and the probe of
    what computed them.
    """
    if engine is None:
        return {"versions": versions(), "hardware": hardware("cpu")}
    found = {
        "versions": versions() | installed(engine.libraries),
        **engine.environment(),
        "fresh": score.counts["hits"] == 0 or isinstance(request.cache, MemoryCache),
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
        request.settings.protocol,
        task=card.name,
        is_clustering=card.type == "Clustering",
        variant=plan.variant,
        task_type=card.type,
    )


def _write_manifest(request: Request, name: str, started: str, summary: Summary, *, ended: str | None) -> None:
    request.store.write_run(
        name,
        {
            "schema_version": 1,
            "command": request.command,
            "started": started,
            "ended": ended,
            "models": list(request.models),
            "tasks": [c.name for c in request.cards],
            "instruction_sets": [s.name for s in request.instruction_sets],
            "protocol": dict(request.settings.protocol),
            "limit": request.settings.limit,
            "scores": [{"task": s.task, "identity": s.identity, "status": s.status} for s in summary.scores],
        },
    )
