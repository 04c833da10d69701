"""Measure the numeric forms of a model here: speed side by side, sizes, cold start, memory.

Speed is measured in one process, two forms at a time: the baseline and one other take turns, each round encodes the
whole sample once with each, and what counts is the median over rounds of the ratio within a round. A machine that is
slower for a while slows both sides of a ratio. Then that form is let go of, before the next is loaded; the baseline
stays. The sample is fixed (`sample_texts`): its first `COUNT` texts, or fewer where one pass of the baseline would take
longer than about two seconds: a first run should not wait long. Nothing is read from or written to a
cache of vectors.

Cold start and memory are measured in a process of its own for each form (`cold_start`).

Costs are filed in the results folder by an identity of everything they depend on that is known beforehand; what is
there is not measured again. No torch at the top: finding filed costs is light.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.machine import compilers, machine
from instructor_eval.core.pictures import Item
from instructor_eval.models import variant
from instructor_eval.models.device import pick_device
from instructor_eval.models.engine import Engine
from instructor_eval.models.images.engine import ImageEngine
from instructor_eval.models.images.model import ImageModel
from instructor_eval.models.variant import BASELINE
from instructor_eval.results.checksums import identity
from instructor_eval.results.costs import Cold, Cost, CostStore
from instructor_eval.run.cold_start import cold_start
from instructor_eval.run.samples import Loadable, instruction_for, most_of, sample_of, sample_version
from instructor_eval.run.turns import PASS_SECONDS, fitting, take_turns

if TYPE_CHECKING:
    from instructor_eval.cache.vectors import Cache
    from instructor_eval.run.plan import Request

MEASUREMENT_VERSION = 2
"""Raised when the way of measuring changes: part of a cost's identity."""
ROUNDS = 3

Say = Callable[[str], None]


@dataclass(frozen=True)
class How:
    """Settings of a measurement: how forms are run, and how thoroughly they are measured."""

    device: str = "auto"
    batch_tokens: int | None = None
    trust_remote_code: bool = False
    compiled: bool = False
    rounds: int = ROUNDS
    texts: int | None = None
    """Exactly so many; None: as many of `COUNT` as a pass of about `pass_seconds` takes."""
    pass_seconds: float = PASS_SECONDS
    """The most that one pass of the baseline takes, about; if it is shorter than usual, costs are filed apart."""
    cold: bool = True
    """True where cold start and memory are measured, each form in a process of its own."""


@dataclass(frozen=True)
class _Timed:
    """One form, as its rounds left it: alone, or in turns with the baseline."""

    items: int
    tokens: int
    seconds: tuple[float, ...]
    baseline_seconds: tuple[float, ...]
    resident: int
    file: int
    baseline_file: int
    proof: str
    query_seconds: tuple[float, ...]


@dataclass(frozen=True)
class _Ready:
    """A form in memory, warmed up."""

    engine: Engine | ImageEngine
    tokens: int
    """of the texts it is timed with"""

    @property
    def checkpoint(self) -> Loadable:
        return self.engine.checkpoint


class _FormError(UserError):
    """A form that cannot be measured."""

    def __init__(self, form: str, line: str) -> None:
        super().__init__(line)
        self.form = form


def measure_run(
    checkpoints: Sequence[Loadable],
    root: Path,
    how: How | None = None,
    *,
    again: bool = False,
    say: Say = lambda _line: None,
    warn: Say = lambda _line: None,
) -> dict[str, Cost]:
    """The cost of every form of one model on this machine, measured where the results folder does not have it.

    What is measured is filed as soon as it is known. At most two networks are in this process's memory at a time.

    Args:
        checkpoints: One model in the variants asked for; of each, the form counts.
        root: The results folder.
        how: How to run and measure.
        again: Measure also what is there; an old cold start stays until the new one is known.
        say: Called with what is being done.
        warn: Called with a form that could not be measured, or not wholly; the others go on.

    Returns:
        Form -> cost, the baseline first. A form that `warn` was called with is missing, or has no `cold`, or an
        older one.

    Raises:
        UserError: a form does not run here, the baseline cannot be measured, or the folder cannot be written.
    """
    how = how or How()
    how = dataclasses.replace(how, device=pick_device(how.device))
    forms = forms_of(checkpoints)
    variant.check_installed(list(forms))
    variant.check_device(list(forms), how.device)
    store = CostStore(root)
    here = machine(how.device)
    names = {form: _identity(forms[form], forms[BASELINE], how, here) for form in forms}
    costs: dict[str, Cost] = {}
    older: dict[str, Cold | None] = {}
    for form, checkpoint in forms.items():
        found = store.find(checkpoint.name, form, names[form])
        if found is not None and found.rounds >= how.rounds and not again:
            costs[form] = found
            say(f"{form}: measured {found.measured[:16].replace('T', ' ')} UTC, reused")
        else:
            older[form] = found.cold if found else None
    _give_back(how.device)  # what the caller has let go of
    if older:
        for form, timed in _time_forms(forms, list(older), how, say, warn):
            cost = _cost(names[form], forms[form], forms[BASELINE], how, here, timed)
            costs[form] = dataclasses.replace(cost, cold=older[form])
            store.write(costs[form])
        _give_back(how.device)
    for form in forms:
        if how.cold and form in costs and (form in older or costs[form].cold is None):
            _add_cold(costs, forms[form], how, store, say, warn)
    return {form: costs[form] for form in forms if form in costs}


def filed_costs(checkpoints: Sequence[Loadable], root: Path, how: How) -> dict[str, Cost] | None:
    """Return the cost of every form of one model that was measured in turns here; None if one was not."""
    forms, here = forms_of(checkpoints), machine(how.device)
    found = {
        form: CostStore(root).find(checkpoint.name, form, _identity(checkpoint, forms[BASELINE], how, here))
        for form, checkpoint in forms.items()
    }
    costs = {form: cost for form, cost in found.items() if cost is not None and cost.rounds >= how.rounds}
    return costs if len(costs) == len(found) else None


def forms_of(checkpoints: Sequence[Loadable]) -> dict[str, Loadable]:
    """One model in each of its forms, its vectors as they are: form -> checkpoint, the baseline first."""
    plain = {c.form: c for c in checkpoints if (c.variant, c.stored) == (c.form, "float32")}
    return {
        form: plain.get(form) or dataclasses.replace(checkpoints[0], variant=form, stored="float32")
        for form in dict.fromkeys([BASELINE, *(c.form for c in checkpoints)])
    }


def _identity(checkpoint: Loadable, baseline: Loadable, how: How, here: Mapping[str, Any]) -> str:
    """Rounds are not in it: more of them are the same measurement.

    Which kernel `int8` runs on depends on a compiler being there.
    """
    return identity(
        {
            "measurement": MEASUREMENT_VERSION,
            "sample": sample_version(checkpoint),
            "fingerprint": checkpoint.fingerprint,
            "baseline": baseline.fingerprint,
            "instruction": instruction_for(checkpoint),
            "device": how.device,
            "batch_tokens": how.batch_tokens,
            "compiled": how.compiled,
            "texts": how.texts,
            "machine": dict(here),
            **({"brief": True} if how.pass_seconds < PASS_SECONDS else {}),
            **({"compilers": compilers()} if checkpoint.form == "int8" else {}),
        }
    )


def _cost(
    name: str,
    checkpoint: Loadable,
    baseline: Loadable,
    how: How,
    here: Mapping[str, Any],
    timed: _Timed,
) -> Cost:
    return Cost(
        identity=name,
        model=checkpoint.name,
        revision=checkpoint.revision,
        form=checkpoint.form,
        fingerprint=checkpoint.fingerprint,
        baseline=baseline.form,
        baseline_fingerprint=baseline.fingerprint,
        device=how.device,
        machine=here,
        texts=0 if checkpoint.reads_pictures else timed.items,
        tokens=timed.tokens,
        seconds=timed.seconds,
        baseline_seconds=timed.baseline_seconds,
        resident_bytes=timed.resident,
        file_bytes=timed.file,
        baseline_file_bytes=timed.baseline_file,
        proof=timed.proof,
        measured=datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
        pictures=timed.items if checkpoint.reads_pictures else 0,
        query_seconds=timed.query_seconds,
    )


def _time_forms(
    forms: Mapping[str, Loadable], wanted: Sequence[str], how: How, say: Say, warn: Say
) -> Iterator[tuple[str, _Timed]]:
    """Time the forms `wanted`, one after another, each in turns with the baseline.

    The baseline's own times, if they are wanted, are those of the first pair; without any pair it is timed alone.
    """
    engine = _engine(forms[BASELINE], how, say)
    with _named(forms[BASELINE]):
        texts = sample_of(forms[BASELINE])(_count(engine, how))
    baseline = _warmed_up(engine, texts, say)
    pending = [BASELINE] if BASELINE in wanted else []
    for form in wanted:
        if form == BASELINE:
            continue
        timed: dict[str, _Timed] = {}
        try:
            timed = _in_turns([baseline, _warmed_up(_engine(forms[form], how, say), texts, say)], texts, how, say)
        except _FormError as e:
            if e.form == BASELINE:
                raise
            warn(str(e))
        _give_back(how.device)  # no name here holds the form: it goes before the next one comes
        if timed:
            yield from ((done, timed[done]) for done in (*pending, form))
            pending = []
    if pending:
        yield from _in_turns([baseline], texts, how, say).items()


def _engine(checkpoint: Loadable, how: How, say: Say) -> Engine | ImageEngine:
    """Without a cache: every text is computed in every round. The first text loads the network."""
    say(f"{checkpoint.form}: loading")
    with _named(checkpoint):
        return engine_of(checkpoint, how)


def engine_of(checkpoint: Loadable, how: How | Request, cache: Cache | None = None) -> Engine | ImageEngine:
    """Return the engine that computes a model here, set as a measurement or a run says.

    Raises:
        UserError: the form is not possible for the model.
    """
    if isinstance(checkpoint, ImageModel):
        checkpoint.check_form(compiled=how.compiled)
        return ImageEngine(checkpoint, device=how.device, cache=cache)
    return Engine(
        checkpoint,
        device=how.device,
        batch_tokens=how.batch_tokens,
        trust_remote_code=how.trust_remote_code,
        cache=cache,
        compiled=how.compiled,
    )


def _warmed_up(engine: Engine | ImageEngine, texts: Sequence[Item], say: Say) -> _Ready:
    """After one pass, which loads the network and chooses kernels."""
    checkpoint = engine.checkpoint
    what = "pictures" if checkpoint.reads_pictures else "texts"
    say(f"{checkpoint.form}: one pass to warm up ({len(texts):,} {what})")
    with _named(checkpoint):
        before = engine.totals.tokens
        engine.encode(texts, instruction_for(checkpoint))
    return _Ready(engine, engine.totals.tokens - before)


def _in_turns(ready: Sequence[_Ready], texts: Sequence[Item], how: How, say: Say) -> dict[str, _Timed]:
    """The baseline, which comes first, and another form beside it, or none.

    Raises:
        _FormError: one of them fails.
    """
    forms = {one.checkpoint.form: one.checkpoint for one in ready}
    base = ready[0]
    seconds = take_turns(
        {one.checkpoint.form: one.engine for one in ready},
        texts,
        instruction_for(base.checkpoint),
        how.rounds,
        turn=lambda form: _named(forms[form]),
        announce=lambda number, order: say(f"round {number} of {how.rounds}: {', '.join(order)}"),
    )
    with _named(base.checkpoint):
        base_file = base.engine.network.sizes().file
    timed: dict[str, _Timed] = {}
    for one in ready:
        form = one.checkpoint.form
        with _named(one.checkpoint):
            sizes, proof = one.engine.network.sizes(), one.engine.network.proof()
        timed[form] = _Timed(
            items=len(texts),
            tokens=one.tokens,
            seconds=tuple(seconds[form]),
            baseline_seconds=tuple(seconds[base.checkpoint.form]),
            resident=sizes.resident,
            file=sizes.file,
            baseline_file=base_file,
            proof=proof,
            query_seconds=one.engine.query_seconds if isinstance(one.engine, ImageEngine) else (),
        )
    return timed


@contextlib.contextmanager
def _named(checkpoint: Loadable) -> Iterator[None]:
    """Whatever a form's libraries raise, as one line that names the form."""
    form = checkpoint.form
    try:
        yield
    except UserError as e:
        raise _FormError(form, f"variant {form} cannot be measured: {e}") from e
    except Exception as e:  # onnxruntime, openvino and torch raise kinds of their own
        raise _FormError(
            form,
            f"variant {form} of {checkpoint.name} cannot be measured: {type(e).__name__}: {one_line(str(e))[:400]}: "
            "leave it out, or report this",
        ) from e


def _count(engine: Engine | ImageEngine, how: How) -> int:
    """Return how many texts or pictures are measured with."""
    model = engine.checkpoint
    most, items = most_of(how.device, model), sample_of(model)
    return how.texts or fitting(engine, instruction_for(model), most, most_seconds=how.pass_seconds, sample=items)


def _give_back(device: str) -> None:
    """Leave the memory of what was loaded here to the processes that come next."""
    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()


def _add_cold(costs: dict[str, Cost], checkpoint: Loadable, how: How, store: CostStore, say: Say, warn: Say) -> None:
    form = checkpoint.form
    say(f"{form}: cold start and memory, in a process of its own")
    try:
        cold = cold_start(
            checkpoint,
            device=how.device,
            instruction=instruction_for(checkpoint),
            texts=costs[form].texts or costs[form].pictures,
            batch_tokens=how.batch_tokens,
            trust_remote_code=how.trust_remote_code,
            compiled=how.compiled,
        )
    except UserError as e:
        warn(str(e))
        return
    costs[form] = dataclasses.replace(costs[form], cold=cold)
    store.write(costs[form])
