"""A score's way into its file: begun with what is known before a task runs, finished with its outcome, or failed."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from instructor_eval import metrics
from instructor_eval.analysis.statistics.filed import UNUSABLE, measure, measure_whole, spread_of
from instructor_eval.core.environment import versions
from instructor_eval.core.values import Items
from instructor_eval.readers.nearest import NearestReader
from instructor_eval.results.checksums import identity, identity_of
from instructor_eval.results.reading import names_of, record
from instructor_eval.results.score import (
    Counts,
    Data,
    Environment,
    Instruction,
    Instructions,
    Reader,
    Score,
    Search,
    Statistics,
    Timings,
)
from instructor_eval.results.search_figures import of_parts
from instructor_eval.results.store import Store
from instructor_eval.run.plan import Planned, Request
from instructor_eval.tasks import types
from instructor_eval.tasks.protocol import PROTOCOL_VERSION, relevant
from instructor_eval.tasks.task import Card, Outcome

_OWN_DATA = 2
"""Raised when own data is read in another way: what was filed before may be of data that is refused now."""
_MEAN = "mean_of_parts"


def begin(request: Request, card: Card, plan: Planned, key: str | None = None) -> Score:
    """Return a score, failed so far, with its identity and all that is known before the data is read.

    Args:
        request: The run.
        card: The task.
        plan: The model's variant and instructions.
        key: What names the data's content; None where that is not known.
    """
    metric = _MEAN if card.parts else types.get(card.type).metric_of(card, request.settings.protocol)
    given = plan.instructions.get(card.name, {})
    score = Score(
        identity="",
        status="failed",
        task=card.name,
        benchmark=card.benchmark,
        type=card.type,
        model=plan.model,
        instructions=Instructions(plan.set_name, {role: Instruction(r.text, r.rule) for role, r in given.items()}),
        metric=metric,
        metric_origin=metrics.origin(metric),
        data=Data(
            id=card.data_id or (card.folder.name if card.folder else None),
            revision=card.data_revision,
            split=card.split,
            subset=card.subset,
            options=json.loads(json.dumps(dict(card.options), default=str)),
            reading=_OWN_DATA if card.folder else None,
            key=key,
        ),
        protocol=relevant(dict(request.settings.protocol), card.type, card.name),
        protocol_version=PROTOCOL_VERSION,
        seed=types.get(card.type).seed_of(request.settings.seed),
        limit=request.settings.limit,
        reader=_reader(request, card, plan),
        search=None if plan.search.is_exact else Search(str(plan.search)),
        notes=tuple(card.notes),
        command=tuple(request.command),
        created=now(),
    )
    return replace(score, identity=identity_of(score))


def _reader(request: Request, card: Card, plan: Planned) -> Reader | None:
    """Return the reader of a prompt-retrieval task, and how demonstrations are chosen."""
    if not types.get(card.type).is_prompted:
        return None
    reader = request.settings.reader or NearestReader()
    return record(Reader, {**reader.describe(), "selection": plan.selection.name})


def planned_score(request: Request, card: Card, plan: Planned, parts: Sequence[Score] = ()) -> Score:
    """Return the score of a task as far as it is known before its data is read; under its identity it will be filed.

    Args:
        request: The run.
        card: The task.
        plan: The model's variant and instructions.
        parts: The same of its parts, where it is the mean of parts.

    Raises:
        UserError: the data cannot be had.
    """
    if card.parts:
        return begin(request, card, plan, identity({p.task: p.identity for p in parts}))
    settings = dataclasses.replace(request.settings, **plan.settings)
    return begin(request, card, plan, types.get(card.type).data_key(card, settings))


def filed(request: Request, score: Score) -> Score | None:
    """Return the finished result with a score's identity, if it was filed with what the run asks for."""
    return request.store.find(score, rankings=request.settings.rankings and types.get(score.type).is_ranking)


def failed_score(request: Request, card: Card, plan: Planned, error: str) -> Score:
    """File a task that could not be run at all."""
    score = begin(request, card, plan)
    return request.store.write(replace(score, error=error, environment=Environment(versions())))


def file_unstarted(request: Request, planned: Sequence[Planned]) -> list[Score]:
    """File the tasks of models that could not start as failed; what was filed so of one that starts now is removed."""
    found = []
    for plan in planned:
        failed = replace(plan, error=plan.error or "as it was", checkpoint=None, instructions={})
        failed = replace(failed, set_name=request.instruction_sets[0].name)
        for card in plan.cards if plan.asked else ():
            if plan.error:
                found.append(failed_score(request, card, plan, plan.error))
            else:
                request.store.remove_failed(begin(request, card, failed))
    return found


def finish(score: Score, outcome: Outcome, data_hash: str) -> Score:
    """Return a score with its outcome, the number computed again from the items.

    Raises:
        RuntimeError: the items give another number: an error of this program, never to be filed.
    """
    recomputed = metrics.compute(outcome.metric, outcome.items)
    if recomputed != outcome.score:
        raise RuntimeError(f"{score.task}: score {outcome.score!r} is not {outcome.metric}(items) = {recomputed!r}")
    search = score.search
    score = replace(
        score,
        status="ok",
        metric=outcome.metric,
        score=outcome.score,
        metrics={**score.metrics, **outcome.metrics},
        n_items=len(outcome.items["id"]),
        data=replace(score.data, hash=data_hash),
        search=record(Search, {"backend": search.backend, **outcome.search}) if search else None,
    )
    return replace(score, statistics=_statistics(score, outcome.items))


def _statistics(score: Score, items: Items) -> Statistics | None:
    """Return what is filed of the items; None where they have none, of an unknown metric for example."""
    if metrics.is_of_parts(score.metric):
        return None  # it comes from the parts
    try:
        return measure(score, items)
    except UNUSABLE:
        return None


def _of_parts(score: Score, parts: Sequence[Score], items: Items, store: Store) -> Statistics | None:
    """Return the statistics of a mean of parts; those that version 1 filed are measured first."""
    found = []
    for part in parts:
        statistics = part.statistics
        if statistics is None:
            try:
                statistics = measure(part, store.items(part))
            except UNUSABLE:
                return None
        found.append(spread_of(part, statistics, replicates=True))
    return measure_whole(score, found, items)


def aggregate(card: Card, plan: Planned, done: Mapping[str, Score], request: Request) -> tuple[Score, bool]:
    """File a task that is the mean of its parts (CQADupstackRetrieval); return also whether it was there already."""
    parts = [done[name] for name in card.parts]
    score = planned_score(request, card, plan, parts)
    data_hash = identity({p.task: p.data.hash for p in parts})
    missing = [p.task for p in parts if p.status != "ok"]
    if missing:
        error = f"{len(missing)} of its {len(parts)} parts failed: {', '.join(missing[:3])}"
        return request.store.write(replace(score, error=error, data=replace(score.data, hash=data_hash))), False
    found = request.store.find(score)
    if found is not None:
        return found, True
    items: dict[str, list[Any]] = {"id": [p.task for p in parts], "value": [p.score for p in parts]}
    score = replace(
        score,
        timings=Timings(**{name: round(sum(getattr(p.timings, name) for p in parts), 3) for name in names_of(Timings)}),
        counts=Counts(**{name: sum(getattr(p.counts, name) for p in parts) for name in names_of(Counts)}),
        environment=Environment(versions()),
    )
    score = finish(score, Outcome(metric=_MEAN, score=metrics.compute(_MEAN, items), items=items), data_hash)
    score = replace(score, statistics=_of_parts(score, parts, items, request.store))
    whole = of_parts([p.search for p in parts])
    if score.search and whole:
        score = replace(score, search=replace(whole, backend=score.search.backend))
    return request.store.write(score, items), False


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
