"""Models x variants x instruction sets x tasks: plan, run, file. The only module that knows all the rooms."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from instructor_eval.cache.vectors import MemoryCache
from instructor_eval.core.errors import UserError
from instructor_eval.core.progress import doing
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.description import ModelDescription
from instructor_eval.models.device import pick_device
from instructor_eval.models.engine import BaseEngine
from instructor_eval.models.images.model import ImageModel
from instructor_eval.models.served.engine import Served, ServedEngine
from instructor_eval.results.checksums import identity
from instructor_eval.results.probe import Prober
from instructor_eval.results.score import Score
from instructor_eval.run import costs
from instructor_eval.run.plan import Planned, Request, name_of, plan_run
from instructor_eval.run.run_costs import Ran, add_costs
from instructor_eval.run.scores import aggregate, failed_score, file_unstarted, now
from instructor_eval.run.task import Run, Summary, run_task, say_instructions, say_score


def execute(request: Request, say: Callable[[str], None]) -> Summary:
    """Run everything that has no result yet; finished results are reused, a failing task does not end the others.

    Raises:
        UserError: found before anything is computed (a model, card or instruction that cannot be had), or the results
            folder can no longer be written, or the executor has nothing left to compute with.
    """
    request.store.check_writable()
    if request.executor.kind == "ray":
        from instructor_eval.run.ray.run import on_ray  # an extra's library

        with on_ray(request, _run_here) as (there, run_there):
            return _execute(there, say, run_there)
    if request.device != "auto":
        pick_device(request.device)
    return _execute(request, say, _run_here)


def _execute(request: Request, say: Callable[[str], None], run: Run) -> Summary:
    began = time.perf_counter()
    planned = plan_run(request, say)
    started = now()
    name = f"{started[:19].replace(':', '')}Z-{identity({'command': request.command, 'pid': os.getpid()})[:6]}"
    summary = Summary(reader=request.settings.reader.fingerprint if request.settings.reader else None)
    _write_manifest(request, name, started, summary, ended=None)
    summary.scores += file_unstarted(request, planned)
    summary.failed += len(summary.scores)
    planned = [plan for plan in planned if not plan.error]
    if planned:
        run(request, planned, summary, say)
    if request.executor.kind == "local":
        for model in dict.fromkeys(_model(p) for p in planned if p.checkpoint):
            plans = [p for p in planned if _model(p) == model]
            with doing("measuring speed"):
                add_costs(request, plans, summary.scores, summary.computed, time.perf_counter() - began, say)
    _write_manifest(request, name, started, summary, ended=now())
    return summary


def _run_here(request: Request, planned: list[Planned], summary: Summary, say: Callable[[str], None]) -> None:
    """In this process, one task after another; the last model is let go of, as what is measured next needs its memory.

    One form is in memory at a time.
    """
    engine: BaseEngine | None = None
    prober = Prober(None, request.store.root, say)
    broken: ModelDescription | None = None
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
                say_score(score, plan, summary, say, reused=False)
            continue
        _run_model(request, plan, engine if plan.checkpoint else None, prober, summary, say)
        ran = Ran.of(engine, queries=request.cost != "off")
        if ran is not None and model is not None:
            summary.computed[model.cached_fingerprint] = ran


def engine_of(model: ModelDescription, request: Request) -> BaseEngine:
    """Return the engine that computes a model's vectors.

    Raises:
        UserError: a served model is another one than when the cache was filled, or a form is not possible.
    """
    if isinstance(model, Served):
        return ServedEngine(model, request.cache if model.source.cached else MemoryCache())
    assert isinstance(model, Checkpoint | ImageModel)
    return costs.engine_of(model, request, request.cache)


def _model(plan: Planned) -> tuple[str, str] | None:
    return (plan.checkpoint.name, plan.checkpoint.revision) if plan.checkpoint else None


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
        say(f"{plan.model.name}: no model, the same for all of them")
    for card in plan.cards:
        if card.parts:
            score, reused = aggregate(card, plan, done, request)
        else:
            if plan.checkpoint is not None:
                say_instructions(card, plan.instructions[card.name], plan.checkpoint, say)
            with doing(card.name):
                score, reused = run_task(request, card, plan, engine, prober)
        done[card.name] = score
        summary.scores.append(score)
        say_score(score, plan, summary, say, reused=reused)


def _write_manifest(request: Request, name: str, started: str, summary: Summary, *, ended: str | None) -> None:
    request.store.write_run(
        name,
        {
            "schema_version": 1,
            "command": request.command,
            "started": started,
            "ended": ended,
            "models": [str(name_of(model)) for model in request.models],
            "tasks": [c.name for c in request.cards],
            "instruction_sets": [s.name for s in request.instruction_sets],
            "protocol": dict(request.settings.protocol),
            "limit": request.settings.limit,
            "scores": [{"task": s.task, "identity": s.identity, "status": s.status} for s in summary.scores],
        },
    )
