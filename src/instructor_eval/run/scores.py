"""A score file's content: what is known before a task runs, its identity, and what its outcome adds."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from instructor_eval import metrics
from instructor_eval.core.environment import versions
from instructor_eval.readers.nearest import NearestReader
from instructor_eval.results.checksums import identity, identity_of
from instructor_eval.results.score import Score
from instructor_eval.results.search_figures import of_parts
from instructor_eval.run.plan import Planned, Request
from instructor_eval.tasks import types
from instructor_eval.tasks.protocol import PROTOCOL_VERSION, relevant
from instructor_eval.tasks.task import Card, Outcome

_OWN_DATA = 2
"""Raised when own data is read in another way: what was filed before may be of data that is refused now."""
COUNTS = ("texts", "unique", "hits", "tokens")


def begin(request: Request, card: Card, plan: Planned) -> Score:
    """A score with everything that is known before the data is read."""
    return Score(
        identity="",
        status="failed",
        task=card.name,
        benchmark=card.benchmark,
        type=card.type,
        model=plan.model,
        instructions={
            "set": plan.set_name,
            "roles": {
                role: {"text": r.text, "rule": r.rule} for role, r in plan.instructions.get(card.name, {}).items()
            },
        },
        metric=_metric(card, request),
        metric_origin=metrics.origin(_metric(card, request)),
        data={
            "id": card.data_id or (card.folder.name if card.folder else None),
            "revision": card.data_revision,
            "split": card.split,
            "subset": card.subset,
            "options": json.loads(json.dumps(dict(card.options), default=str)),
            **({"reading": _OWN_DATA} if card.folder else {}),
        },
        protocol=relevant(dict(request.settings.protocol), card.type, card.name),
        protocol_version=PROTOCOL_VERSION,
        seed=types.get(card.type).seed_of(request.settings.seed),
        limit=request.settings.limit,
        reader=_reader(request, card, plan),
        search={} if plan.search.is_exact else {"backend": str(plan.search)},
        notes=list(card.notes),
        command=request.command,
        created=now(),
    )


def _reader(request: Request, card: Card, plan: Planned) -> dict[str, Any]:
    """Return the reader of a prompt-retrieval task, and how demonstrations are chosen."""
    if not types.get(card.type).is_prompted:
        return {}
    reader = request.settings.reader or NearestReader()
    return {**reader.describe(), "selection": plan.selection.name}


def _metric(card: Card, request: Request) -> str:
    if card.parts:
        return "mean_of_parts"
    return types.get(card.type).metric_of(card, request.settings.protocol)


def planned_score(request: Request, card: Card, plan: Planned, parts: Sequence[Score] = ()) -> Score:
    """The score of a task as far as it is known before its data is read; under its identity it will be filed.

    Args:
        request: The run.
        card: The task.
        plan: The model's variant and instructions.
        parts: The same of its parts, where it is the mean of parts.

    Raises:
        UserError: the data cannot be had.
    """
    score = begin(request, card, plan)
    if card.parts:
        score.data["key"] = identity({p.task: p.identity for p in parts})
    else:
        settings = dataclasses.replace(request.settings, **plan.settings)
        score.data["key"] = types.get(card.type).data_key(card, settings)
    score.identity = identity_of(score)
    return score


def failed_score(request: Request, card: Card, plan: Planned, error: str) -> Score:
    """A task that could not be run at all, filed."""
    score = begin(request, card, plan)
    score.error = error
    score.identity = identity_of(score)
    score.environment = {"versions": versions()}
    request.store.write(score)
    return score


def file_unstarted(request: Request, planned: Sequence[Planned]) -> list[Score]:
    """File the tasks of models that could not start as failed; what was filed so of one that starts now is removed."""
    found = []
    for plan in planned:
        failed = dataclasses.replace(plan, error=plan.error or "as it was", checkpoint=None, instructions={})
        failed = dataclasses.replace(failed, set_name=request.instruction_sets[0].name)
        for card in plan.cards if plan.asked else ():
            if plan.error:
                found.append(failed_score(request, card, plan, plan.error))
                continue
            score = begin(request, card, failed)
            score.identity = identity_of(score)
            request.store.remove_failed(score)
    return found


def finish(score: Score, outcome: Outcome) -> None:
    """Put an outcome into a score, its number computed again from its items.

    Raises:
        RuntimeError: the items give another number: an error of this program, never to be filed.
    """
    recomputed = metrics.compute(outcome.metric, outcome.items)
    if recomputed != outcome.score:
        raise RuntimeError(f"{score.task}: score {outcome.score!r} is not {outcome.metric}(items) = {recomputed!r}")
    score.status = "ok"
    score.metric, score.score, score.metrics = outcome.metric, outcome.score, {**score.metrics, **outcome.metrics}
    score.n_items = len(outcome.items["id"])
    score.search = {**score.search, **outcome.search}


def aggregate(card: Card, plan: Planned, done: Mapping[str, Score], request: Request) -> tuple[Score, bool]:
    """A task that is the mean of its parts (CQADupstackRetrieval), and whether it was there already."""
    score = begin(request, card, plan)
    parts = [done[name] for name in card.parts]
    score.data["key"] = identity({p.task: p.identity for p in parts})
    score.data["hash"] = identity({p.task: p.data.get("hash") for p in parts})
    score.identity = identity_of(score)
    missing = [p.task for p in parts if p.status != "ok"]
    if missing:
        score.error = f"{len(missing)} of its {len(parts)} parts failed: {', '.join(missing[:3])}"
        request.store.write(score)
        return score, False
    found = request.store.find(score)
    if found is not None:
        return found, True
    items: dict[str, list[Any]] = {"id": [p.task for p in parts], "value": [p.score for p in parts]}
    score.timings = {k: round(sum(p.timings.get(k, 0.0) for p in parts), 3) for k in ("total", "encode", "load")}
    score.counts = {k: sum(p.counts.get(k, 0) for p in parts) for k in COUNTS}
    score.environment = {"versions": versions()}
    whole = metrics.compute("mean_of_parts", items)
    finish(score, Outcome(metric="mean_of_parts", score=whole, items=items, search=of_parts([p.search for p in parts])))
    request.store.write(score, items)
    return score, False


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
