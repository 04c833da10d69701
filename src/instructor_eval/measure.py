"""What the numeric forms of a model cost here: speed side by side, sizes, cold start, memory.

Speed is measured in one process: the baseline and the other forms take turns, each round encodes the whole sample once
with each, and what counts is the median over rounds of the ratio within a round. A machine that is slower for a while
slows both sides of a ratio. The sample is fixed (`sample_texts`): its first `COUNT` texts, or fewer where one pass of
the baseline would take longer than `PASS_SECONDS`. Nothing is read from or written to a cache of vectors.

Cold start and memory are measured in a process of its own for each form (`cold_start`).

Costs are kept in the results folder by an identity of everything they depend on that is known beforehand; what is there
is not measured again. No torch at the top: finding kept costs is light.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime
import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from instructor_eval import variants
from instructor_eval.cold_start import cold_start
from instructor_eval.costs import Cost, CostStore
from instructor_eval.encoder.checkpoint import Checkpoint
from instructor_eval.encoder.engine import Engine, Totals, pick_device
from instructor_eval.errors import UserError
from instructor_eval.machine import machine
from instructor_eval.sample_texts import INSTRUCTION, SAMPLE_VERSION, sample
from instructor_eval.store import identity
from instructor_eval.variants import BASELINE

MEASUREMENT_VERSION = 1
"""Raised when the way of measuring changes: part of a cost's identity."""
COUNT = {"cpu": 256, "cuda": 4096}
"""Texts of the sample: a GPU wants several full batches."""
PASS_SECONDS = 4.0
"""What one pass of the baseline takes at most, about."""
ROUNDS = 3
_LEAST_TEXTS = 8

Say = Callable[[str], None]
Clock = Callable[[], float]


class Encodes(Protocol):
    """What is timed: an `Engine`, or a stand-in."""

    totals: Totals

    def encode(self, texts: Sequence[str], instruction: str) -> Any:
        """Embed the texts; done when it returns."""
        ...


@dataclass(frozen=True)
class How:
    """How forms are run, and how thoroughly they are measured."""

    device: str = "auto"
    batch_tokens: int | None = None
    trust_remote_code: bool = False
    compiled: bool = False
    rounds: int = ROUNDS
    texts: int | None = None
    """Exactly so many; None: as many of `COUNT` as a pass of about `PASS_SECONDS` takes."""
    cold: bool = True
    """Whether cold start and memory are measured, each form in a process of its own."""


@dataclass(frozen=True)
class _Timed:
    """One form, as the rounds left it."""

    texts: int
    tokens: int
    seconds: tuple[float, ...]
    resident: int
    file: int
    proof: str


def measure_run(
    checkpoints: Sequence[Checkpoint],
    root: Path,
    how: How | None = None,
    *,
    engines: Sequence[Engine] = (),
    again: bool = False,
    say: Say = lambda _line: None,
    warn: Say = lambda _line: None,
) -> dict[str, Cost]:
    """The cost of every form of one model on this machine, measured where the results folder does not have it.

    What is measured is filed as soon as it is known.

    Args:
        checkpoints: One model in the variants asked for; of each, the form counts.
        root: The results folder.
        how: How to run and measure.
        engines: Loaded engines, used in place of loading their forms again; their cache and totals are left alone.
        again: Measure also what is there.
        say: Told what is being done.
        warn: Told of a form that could not be measured, or not wholly; the others go on.

    Returns:
        Form -> cost, the baseline first. A form that `warn` was told of is missing, or has no `cold`.

    Raises:
        UserError: a form does not run here, the baseline cannot be measured, or the folder cannot be written.
    """
    how = how or How()
    how = dataclasses.replace(how, device=pick_device(how.device))
    forms = forms_of(checkpoints)
    variants.check_installed(list(forms))
    variants.check_device(list(forms), how.device)
    store = CostStore(root)
    here = machine(how.device)
    names = {form: _identity(forms[form], forms[BASELINE], how, here) for form in forms}
    costs: dict[str, Cost] = {}
    for form, checkpoint in forms.items():
        found = None if again else store.find(checkpoint.name, form, names[form])
        if found is not None and found.rounds >= how.rounds:
            costs[form] = found
            say(f"{form}: measured {found.measured[:16].replace('T', ' ')} UTC, kept")
    missing = [form for form in forms if form not in costs]
    if missing:
        timed = _time_forms({form: forms[form] for form in (BASELINE, *missing)}, how, engines, say, warn)
        for form in missing:
            if form in timed:
                costs[form] = _cost(names[form], forms[form], forms[BASELINE], how, here, timed)
                store.write(costs[form])
        _give_back(how.device)
    for form in forms:
        if how.cold and form in costs and costs[form].cold is None:
            _add_cold(costs, forms[form], how, store, say, warn)
    return {form: costs[form] for form in forms if form in costs}


def forms_of(checkpoints: Sequence[Checkpoint]) -> dict[str, Checkpoint]:
    """One model in each of its forms, its vectors kept as they are: form -> checkpoint, the baseline first."""
    plain = {c.form: c for c in checkpoints if (c.variant, c.stored) == (c.form, "float32")}
    return {
        form: plain.get(form) or dataclasses.replace(checkpoints[0], variant=form, stored="float32")
        for form in dict.fromkeys([BASELINE, *(c.form for c in checkpoints)])
    }


def _identity(checkpoint: Checkpoint, baseline: Checkpoint, how: How, here: Mapping[str, Any]) -> str:
    """Rounds are not in it: more of them are the same measurement."""
    return identity(
        {
            "measurement": MEASUREMENT_VERSION,
            "sample": SAMPLE_VERSION,
            "fingerprint": checkpoint.fingerprint,
            "baseline": baseline.fingerprint,
            "instruction": instruction_for(checkpoint),
            "device": how.device,
            "batch_tokens": how.batch_tokens,
            "compiled": how.compiled,
            "texts": how.texts,
            "machine": dict(here),
        }
    )


def instruction_for(checkpoint: Checkpoint) -> str:
    """What the sample is embedded under: nothing where the model takes no instructions."""
    return "" if checkpoint.family == "plain" else INSTRUCTION


def _cost(
    name: str,
    checkpoint: Checkpoint,
    baseline: Checkpoint,
    how: How,
    here: Mapping[str, Any],
    timed: Mapping[str, _Timed],
) -> Cost:
    own, base = timed[checkpoint.form], timed[baseline.form]
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
        texts=own.texts,
        tokens=own.tokens,
        seconds=own.seconds,
        baseline_seconds=base.seconds,
        resident_bytes=own.resident,
        file_bytes=own.file,
        baseline_file_bytes=base.file,
        proof=own.proof,
        measured=datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
    )


def _time_forms(
    forms: Mapping[str, Checkpoint], how: How, engines: Sequence[Engine], say: Say, warn: Say
) -> dict[str, _Timed]:
    """Load the forms, all into this process, and let them take turns. What was loaded here is let go of at the end."""
    instruction = instruction_for(forms[BASELINE])
    ready: dict[str, Engine] = {}
    texts: list[str] = []
    tokens: dict[str, int] = {}
    for form, checkpoint in forms.items():
        try:
            with _named(form, checkpoint):
                say(f"{form}: loading")
                engine = _bare(checkpoint, how, engines)
                if form == BASELINE:
                    texts = sample(_count(engine, instruction, how))
                say(f"{form}: one pass to warm up ({len(texts):,} texts)")
                before = engine.totals.tokens
                engine.encode(texts, instruction)
                tokens[form] = engine.totals.tokens - before
                ready[form] = engine
        except UserError as e:
            if form == BASELINE:
                raise
            warn(str(e))

    def announce(number: int, order: Sequence[str]) -> None:
        say(f"round {number} of {how.rounds}: {', '.join(order)}")

    seconds = take_turns(ready, texts, instruction, how.rounds, announce=announce)
    timed: dict[str, _Timed] = {}
    for form, engine in ready.items():
        try:
            with _named(form, forms[form]):
                sizes, proof = engine.network.sizes(), engine.network.proof()
                timed[form] = _Timed(len(texts), tokens[form], tuple(seconds[form]), sizes.resident, sizes.file, proof)
        except UserError as e:
            if form == BASELINE:
                raise
            warn(str(e))
    return timed


@contextlib.contextmanager
def _named(form: str, checkpoint: Checkpoint) -> Iterator[None]:
    """Whatever a form's libraries raise, as one line that names the form."""
    try:
        yield
    except UserError as e:
        raise UserError(f"variant {form} cannot be measured: {e}") from e
    except Exception as e:  # onnxruntime, openvino and torch raise kinds of their own
        raise UserError(
            f"variant {form} of {checkpoint.name} cannot be measured: {type(e).__name__}: {str(e)[:400]}: "
            "leave it out, or report this"
        ) from e


def _bare(checkpoint: Checkpoint, how: How, engines: Sequence[Engine]) -> Engine:
    """An engine without a cache: one of those given with its loaded network, or a new one."""
    for given in engines:
        theirs = given.checkpoint
        same = (theirs.folder, theirs.family) == (checkpoint.folder, checkpoint.family)
        if same and theirs.form == checkpoint.form and given.device == how.device:
            _ = given.network  # loaded now, if it was not: the copy then shares it
            bare = copy.copy(given)
            bare.cache, bare.totals, bare.batch_tokens = None, Totals(), how.batch_tokens
            return bare
    return Engine(
        checkpoint,
        device=how.device,
        batch_tokens=how.batch_tokens,
        trust_remote_code=how.trust_remote_code,
        compiled=how.compiled,
    )


def _count(engine: Encodes, instruction: str, how: How) -> int:
    """How many texts are measured with."""
    return how.texts or fitting(engine, instruction, COUNT.get(how.device.partition(":")[0], COUNT["cpu"]))


def fitting(engine: Encodes, instruction: str, most: int, *, clock: Clock = time.perf_counter) -> int:
    """How many texts of the sample one pass of about `PASS_SECONDS` takes, `most` at most.

    A few texts are timed, then four times as many, until the time is long enough to tell. The better of two passes
    counts: the first one over new lengths also chooses kernels for them.
    """

    def seconds(count: int) -> float:
        started = clock()
        engine.encode(sample(count), instruction)
        return clock() - started

    probe = min(_LEAST_TEXTS, most)
    engine.encode(sample(probe), instruction)  # the first call loads
    while True:
        taken = seconds(probe)
        if taken < PASS_SECONDS:
            taken = min(taken, seconds(probe))
        if probe == most or taken >= PASS_SECONDS / 8:
            fits = int(probe * PASS_SECONDS / taken) if taken > 0 else most
            return max(min(_LEAST_TEXTS, most), min(most, fits))
        probe = min(4 * probe, most)


def take_turns(
    engines: Mapping[str, Encodes],
    texts: Sequence[str],
    instruction: str,
    rounds: int,
    *,
    clock: Clock = time.perf_counter,
    announce: Callable[[int, Sequence[str]], None] = lambda _number, _order: None,
) -> dict[str, list[float]]:
    """Seconds that each engine takes for all of `texts`, round by round.

    Every round runs each engine once and begins with another one, so that none always follows the same.
    """
    names = list(engines)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        order = names[first:] + names[:first]
        announce(number + 1, order)
        for name in order:
            started = clock()
            engines[name].encode(texts, instruction)
            seconds[name].append(clock() - started)
    return seconds


def _give_back(device: str) -> None:
    """Leave the memory of what was loaded here to the processes that come next."""
    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()


def _add_cold(costs: dict[str, Cost], checkpoint: Checkpoint, how: How, store: CostStore, say: Say, warn: Say) -> None:
    form = checkpoint.form
    say(f"{form}: cold start and memory, in a process of its own")
    try:
        cold = cold_start(
            checkpoint,
            device=how.device,
            instruction=instruction_for(checkpoint),
            texts=costs[form].texts,
            batch_tokens=how.batch_tokens,
            trust_remote_code=how.trust_remote_code,
            compiled=how.compiled,
        )
    except UserError as e:
        warn(str(e))
        return
    costs[form] = dataclasses.replace(costs[form], cold=cold)
    store.write(costs[form])
