"""A dry run: what a run would encode, task by task, in its order and through its own code, without a network.

Adapters read the data and ask an encoder for every text as they do in a run; the encoder counts (`encoder.counting`).
Nothing is written: no result, no vector, no note that a vector was of use.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from instructor_eval.analysis.compare.compare import draws
from instructor_eval.analysis.compare.detectable import Detectable, Lookup, mean_of
from instructor_eval.analysis.gate.limits import Thresholds
from instructor_eval.analysis.gate.reasons import Adjustment
from instructor_eval.analysis.statistics import difference
from instructor_eval.core.errors import UserError, one_line
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.device import pick_device
from instructor_eval.models.images.model import ImageModel
from instructor_eval.models.precision import CALIBRATED
from instructor_eval.models.served.engine import Served
from instructor_eval.run.costs import engine_of
from instructor_eval.run.counting import (
    CLASSES,
    CountingEncoder,
    CountingEngine,
    CountingImages,
    CountingServed,
    KnownKeys,
)
from instructor_eval.run.plan import Planned, Request, plan_run
from instructor_eval.run.rates import Rate, Seconds, estimate, measure_rates
from instructor_eval.run.scores import filed, planned_score
from instructor_eval.run.task import bound, refuse_pictures_of
from instructor_eval.tasks import types
from instructor_eval.tasks.encoder import NoModel
from instructor_eval.tasks.task import Card

Say = Callable[[str], None]
Counting = CountingEngine | CountingImages | CountingServed


@dataclass
class Row:
    """One task of one model, variant and instruction set."""

    model: str
    variant: str
    instructions: str
    task: str
    type: str
    status: str = "run"
    """run | done (its result is there) | whole (the mean of parts that are rows too) | failed"""
    texts: int = 0
    """Texts asked for."""
    unique: int = 0
    """Of those, repeats within a call not counted."""
    cached: int = 0
    """Of the unique ones, in the cache now."""
    shared: int = 0
    """Of the unique ones, computed earlier in the same run."""
    compute: int = 0
    """The rest."""
    tokens: int | None = 0
    """Tokens of the rest, truncated as the model reads them, without padding; None: not known, the model is served."""
    questions: int = 0
    """Prompt retrieval: what a reader is asked, at most: equal questions are asked once, known answers not at all."""
    error: str | None = None
    seconds: Seconds | None = None
    detectable: Detectable | None = None
    classes: tuple[int, ...] = (0,) * CLASSES
    """`tokens` by class of length."""
    part: bool = False
    """True where it is part of a task that has a row too."""
    unstarted: bool = False
    """True where its model could not be had."""

    @property
    def system(self) -> str:
        """As sides are called."""
        return f"{self.model}@{self.variant}:{self.instructions}" if self.variant else self.model


@dataclass
class DryRun:
    """All rows, in the order of the run."""

    rows: list[Row] = field(default_factory=list)
    unique: int = 0
    """Different (model and form, instruction, text): what is shared counts once."""
    cached: int = 0
    """Of those, in the cache now."""
    rates: dict[str, list[Rate]] = field(default_factory=dict)
    """Model and form -> what was measured of it, short texts first."""
    device: str = ""
    """The machine that it was measured on; empty without a calibration."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    """Margins and level of the gate that is planned for."""

    @property
    def failed(self) -> list[Row]:
        """Tasks that would fail."""
        return [row for row in self.rows if row.status == "failed"]

    @property
    def compute(self) -> int:
        """Texts to compute in all."""
        return sum(row.compute for row in self.rows)

    @property
    def tokens(self) -> int | None:
        """Tokens to compute in all; None where they are not known."""
        counts = [row.tokens for row in self.rows]
        return None if None in counts else sum(n for n in counts if n is not None)

    @property
    def seconds(self) -> Seconds | None:
        """Time to compute them all; None where it was not measured."""
        times = [row.seconds for row in self.rows if row.status == "run"]
        if any(t is None for t in times):
            return None
        return sum((t for t in times if t is not None), Seconds(0.0, 0.0))

    @property
    def detectable(self) -> Detectable | None:
        """The same of the mean over the tasks."""
        wholes = {row.task: row.detectable for row in self.rows if row.status != "failed" and not row.part}
        return mean_of(list(wholes.values())) if len(wholes) > 1 else None

    @property
    def adjustment(self) -> Adjustment:
        """Return what a gate of these tasks adjusts its p-values for."""
        tasks = {row.task for row in self.rows if row.status != "failed" and not row.part}
        return Adjustment(len(tasks), len(tasks) > 1, self.thresholds.alpha)

    def loss(self, row: Row) -> float | None:
        """The true loss of a task that such a gate finds four times in five; None where nothing tells it."""
        if row.detectable is None:
            return None
        level = difference.drawn_level(self.adjustment.of_task, draws(self.adjustment.tasks))
        return row.detectable.effect(level, self.thresholds.margin(row.task))

    @property
    def loss_of_mean(self) -> float | None:
        """The same of the mean."""
        found = self.detectable
        return None if found is None else found.effect(self.adjustment.of_mean, self.thresholds.macro)


def dry_run(request: Request, known: KnownKeys, lookup: Lookup | None, say: Say, *, calibrate: bool = True) -> DryRun:
    """Count what `runner.execute` would encode for the same request.

    Args:
        request: The run; its cache and its device's memory are not touched.
        known: What stands in for the run's cache.
        lookup: Tells what differences can be detected; None leaves that out.
        say: Called with what `execute` would say of the models, and that a calibration is running.
        calibrate: Load each model that has something to compute for some seconds, to estimate the time.

    Raises:
        UserError: a model, card or instruction cannot be had.
    """
    if request.device != "auto":
        pick_device(request.device)
    request = dataclasses.replace(request, settings=dataclasses.replace(request.settings, texts_only=True))
    counter = _Counter(request, known, lookup)
    planned = plan_run(request, say)
    for plan in planned:
        if plan.error:
            rows = [Row(plan.model.name, "", plan.set_name, c.name, c.type, "failed") for c in plan.cards]
            counter.found.rows += [dataclasses.replace(row, error=plan.error, unstarted=True) for row in rows]
    planned = [plan for plan in planned if not plan.error]
    for model in dict.fromkeys(id(plan.loaded) for plan in planned):  # variants of one form stand side by side
        plans = [plan for plan in planned if id(plan.loaded) == model]
        loaded = plans[0].loaded
        engine: Counting | None = None
        if isinstance(loaded, Served):
            engine = CountingServed(loaded, known)
        elif isinstance(loaded, Checkpoint):
            engine = CountingEngine(loaded, known)
        elif isinstance(loaded, ImageModel):
            engine = CountingImages(loaded, known)
        rows = [row for plan in plans for row in counter.rows(plan, engine)]
        counter.found.rows += rows
        if calibrate:
            _estimate(request, engine, rows, counter.found, say)
    found = counter.found
    found.cached = len(known.on_disk)
    found.unique = found.cached + found.compute
    return found


class _Counter:
    """Counts, and knows what it has counted before."""

    def __init__(self, request: Request, known: KnownKeys, lookup: Lookup | None) -> None:
        self.found = DryRun()
        self._request = request
        self._known = known
        self._lookup = lookup
        self._before: dict[tuple[str, ...], Row] = {}

    def rows(self, plan: Planned, engine: Counting | None) -> Iterator[Row]:
        """The rows of one variant and instruction set."""
        rows: dict[str, Row] = {}
        names = {card.name for card in plan.cards}
        for card in plan.cards:
            form = plan.label if plan.checkpoint else ""
            row = Row(plan.model.name, form, plan.set_name, card.name, card.type, part=card.part_of in names)
            rows[card.name] = row
            try:
                if card.parts:
                    self._whole(row, [rows[name] for name in card.parts])
                else:
                    self._task(row, plan, card, engine)
            except UserError as e:
                row.status, row.error = "failed", str(e)
            except Exception as e:  # one task's error, a library's perhaps: the others are counted
                if self._request.debug:
                    raise
                row.status = "failed"
                row.error = one_line(f"unexpected {type(e).__name__}: {e} (--debug shows where)")[:500]
            yield row

    def _whole(self, row: Row, parts: Sequence[Row]) -> None:
        failed = [part.task for part in parts if part.status == "failed"]
        if failed:
            raise UserError(f"{len(failed)} of its {len(parts)} parts would fail: {', '.join(failed[:3])}")
        row.status = "done" if all(part.status == "done" for part in parts) else "whole"
        row.detectable = mean_of([part.detectable for part in parts])

    def _task(self, row: Row, plan: Planned, card: Card, engine: Counting | None) -> None:
        score = planned_score(self._request, card, plan)
        if self._lookup is not None:
            row.detectable = self._lookup.of(score)
        if filed(self._request, score) is not None:
            row.status = "done"
            return
        key = (
            (engine.fingerprint, card.name, *(r.text for r in plan.instructions[card.name].values())) if engine else ()
        )
        before = self._before.get(key)
        calibrated = plan.variant.embedding in CALIBRATED
        if before is not None and not calibrated:  # another precision of one form: the same texts, all known by now
            row.texts, row.unique, row.questions = before.texts, before.unique, before.questions
            row.cached, row.shared = before.cached, before.unique - before.cached
            return
        self._count(row, plan, card, engine)
        if engine is not None and not calibrated and self._known.keeps_all:
            self._before[key] = row

    def _count(self, row: Row, plan: Planned, card: Card, engine: Counting | None) -> None:
        settings = dataclasses.replace(self._request.settings, **plan.settings)
        refuse_pictures_of(card, plan)
        if engine is None:
            outcome = types.get(card.type).run(card, NoModel(plan.model.name), settings)
            row.questions = len(outcome.items["id"])
            return
        before, classes = dataclasses.replace(engine.totals), engine.tokens.copy()
        on_disk = self._known.found_on_disk
        encoder = bound(engine, self._request, card, plan, CountingEncoder)
        with encoder.progress:
            outcome = types.get(card.type).run(card, encoder, settings)
        row.questions = len(outcome.items["id"])
        row.texts, row.unique = engine.totals.texts - before.texts, engine.totals.unique - before.unique
        row.cached = self._known.found_on_disk - on_disk
        row.shared = engine.totals.hits - before.hits - row.cached
        row.compute = row.unique - row.cached - row.shared
        known = row.compute == 0 or isinstance(engine, CountingEngine)
        row.tokens = engine.totals.tokens - before.tokens if known else None
        row.classes = tuple((engine.tokens - classes).tolist())


def _estimate(request: Request, counted: Counting | None, rows: Sequence[Row], found: DryRun, say: Say) -> None:
    """Time one form on what it is to compute, and write it to its rows; its network is let go of again."""
    running = [row for row in rows if row.status == "run"]
    if not isinstance(counted, CountingEngine) or not counted.totals.tokens:
        for row in running:
            row.seconds = None if row.tokens is None else Seconds(0.0, 0.0)
        return
    checkpoint = counted.checkpoint
    say(f"  timing {checkpoint.name} as {checkpoint.form} for some seconds (--no-calibration leaves that out)")
    engine = engine_of(checkpoint, request)
    rates = measure_rates(engine, counted.sample, counted.tokens.tolist())
    for row in running:
        row.seconds = estimate(row.classes, rates)
    found.device = engine.device
    found.rates[f"{checkpoint.name}@{checkpoint.form}"] = [r for r in rates if r]
