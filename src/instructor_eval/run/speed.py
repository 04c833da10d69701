"""The speed gate: two models loaded in this process take turns, and the ratio within a round is what counts.

A number measured elsewhere or at another time is never compared: a machine that is slow for a while slows both sides of
a ratio. What is judged is the interval of the median over the rounds (that of the sign test: of five rounds the least
and the greatest, of fifteen the fourth and the twelfth), so that one bad round fails no build:

| verdict      | when, with slower = candidate's seconds / baseline's and the limit 1.10      |
|--------------|-------------------------------------------------------------------------------|
| REGRESSED    | the whole interval is above 1.10                                              |
| IMPROVED     | the whole interval is below 1 / 1.10                                          |
| OK           | the whole interval is at 1.10 or below                                        |
| INCONCLUSIVE | the rounds straddle the limit, also after three times as many                 |

The texts (or pictures, of two models that read them) are those of `evaluate measure`, so many that one pass of the
baseline takes about two seconds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructor_eval.analysis.gate.limits import SpeedLimit
from instructor_eval.analysis.gate.quality import INCONCLUSIVE
from instructor_eval.analysis.gate.speed import Speed, decide
from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.machine import machine
from instructor_eval.core.pictures import Item
from instructor_eval.core.sample_texts import sample as sample_texts
from instructor_eval.models import variant as variants
from instructor_eval.models.device import pick_device
from instructor_eval.models.engine import BaseEngine, Totals
from instructor_eval.models.find import EMBEDDED, ModelSpec, locate
from instructor_eval.models.images.find import is_image_model, read_image_model
from instructor_eval.models.variant import Variant
from instructor_eval.run import costs
from instructor_eval.run.samples import instruction_for, most_of, sample_of
from instructor_eval.run.turns import Clock, Encodes, fitting, take_turns

if TYPE_CHECKING:
    from instructor_eval.results.score import Score
    from instructor_eval.run.samples import Loadable

ROUNDS = 5
MOST = 3
"""So many times the rounds asked for are run before the answer is INCONCLUSIVE."""
_SIDES = ("baseline", "candidate")
Say = Callable[[str], None]


@dataclass(frozen=True)
class How:
    """Settings of a speed comparison, and its limit."""

    device: str = "auto"
    trust_remote_code: bool = False
    rounds: int = ROUNDS
    """At first; up to `MOST` times as many where they straddle the limit."""
    texts: int | None = None
    """Exactly so many; None: what the baseline takes about two seconds for."""
    slower: float = SpeedLimit().slower
    """Candidate's time / baseline's that passes."""


def compare_speed(
    baseline: Loadable, candidate: Loadable, how: How | None = None, *, say: Say = lambda _line: None
) -> Speed:
    """Load both, let them take turns, and judge. Both are in memory at once; nothing is read from a cache or filed.

    Raises:
        UserError: one does not run here.
    """
    how = how or How()
    device = pick_device(how.device)
    checkpoints = dict(zip(_SIDES, (baseline, candidate), strict=True))
    forms = [c.form for c in checkpoints.values()]
    variants.check_installed(forms)
    variants.check_device(forms, device)
    engines: dict[str, Encodes] = {}
    settings = costs.How(device, trust_remote_code=how.trust_remote_code)
    items = sample_of(*checkpoints.values())
    for side, checkpoint in checkpoints.items():
        say(f"{side} {label(checkpoint)}: loading")
        with _named(checkpoint):
            engines[side] = _Bound(costs.engine_of(checkpoint, settings), instruction_for(checkpoint))
            engines[side].encode(items(1), "")  # the network is loaded
    found = race(
        engines,
        how,
        most=most_of(device, *checkpoints.values()),
        sample=items,
        turn=lambda side: _named(checkpoints[side]),
        say=say,
    )
    notes = [
        f"{label(c)}: how vectors are stored takes no part in this, the form {c.form} was timed"
        for c in {label(c): c for c in checkpoints.values()}.values()
        if c.variant != c.form
    ]
    if baseline.cached_fingerprint == candidate.cached_fingerprint:
        notes.append("both sides are the same model in the same form: what differs is noise")
    return dataclasses.replace(
        found,
        baseline=label(baseline),
        candidate=label(candidate),
        device=device,
        machine=machine(device),
        notes=tuple(notes),
    )


def race(
    engines: Mapping[str, Encodes],
    how: How,
    *,
    most: int,
    sample: Callable[[int], Sequence[Item]] = sample_texts,
    clock: Clock = time.perf_counter,
    turn: Callable[[str], contextlib.AbstractContextManager[None]] = lambda _name: contextlib.nullcontext(),
    say: Say = lambda _line: None,
) -> Speed:
    """Let `baseline` and `candidate` take turns until the rounds agree, or have been many.

    Args:
        engines: The two, by these names; each knows its own instruction.
        how: Rounds, texts and the limit.
        most: Items at most, where `how` does not say how many.
        sample: Returns the first so many texts or pictures.
        clock: Seconds.
        turn: Each turn runs within `turn(name)`.
        say: Called with every batch of rounds.
    """
    with turn("baseline"):
        count = how.texts or fitting(engines["baseline"], "", most, clock=clock, sample=sample)
    texts = sample(count)
    tokens = 0
    for side in _SIDES:
        say(f"{side}: one pass to warm up ({count:,} texts)")
        with turn(side):
            before = engines[side].totals.tokens
            engines[side].encode(texts, "")
            tokens = tokens or engines[side].totals.tokens - before
    seconds: dict[str, list[float]] = {side: [] for side in _SIDES}
    verdict = INCONCLUSIVE
    while verdict == INCONCLUSIVE and len(seconds["baseline"]) < MOST * how.rounds:
        done = len(seconds["baseline"])
        say(f"rounds {done + 1} to {done + how.rounds}, in turn")
        for side, more in take_turns(engines, texts, "", how.rounds, clock=clock, turn=turn).items():
            seconds[side] += more
        both = zip(seconds["baseline"], seconds["candidate"], strict=True)
        verdict = decide([a / b if b > 0 else math.inf for a, b in both], how.slower)
    return Speed(
        verdict=verdict,
        baseline="baseline",
        candidate="candidate",
        limit=how.slower,
        baseline_seconds=tuple(seconds["baseline"]),
        candidate_seconds=tuple(seconds["candidate"]),
        texts=count,
        tokens=tokens,
        device=how.device,
    )


def label(checkpoint: Loadable) -> str:
    """`org/name@int8`."""
    return f"{checkpoint.name}@{checkpoint.variant}"


class _Bound:
    """An engine under its own model's instruction: two models seldom share one."""

    def __init__(self, engine: BaseEngine, instruction: str) -> None:
        self._engine, self._instruction = engine, instruction
        self.totals: Totals = engine.totals

    def encode(self, texts: Sequence[Item], _instruction: str) -> Any:
        return self._engine.encode(texts, self._instruction)


# From what a user names to a model that can be loaded


def split(text: str) -> tuple[str, str]:
    """`MODEL[@REVISION][@VARIANT]` as the model and the variant, fp32 where none is named."""
    with contextlib.suppress(OSError, ValueError):  # what no file can be called
        if Path(text).is_dir():
            return text, variants.BASELINE
    head, at, rest = text.partition("@")
    while at:
        try:
            return head, str(Variant.parse(rest))
        except UserError:  # a revision, or a part of a folder's name
            more, at, rest = rest.partition("@")
            head = f"{head}@{more}"
    return text, variants.BASELINE


def by_name(
    text: str, *, offline: bool = False, family: str | None = None, trust_remote_code: bool = False
) -> Loadable:
    """The model of `MODEL[@REVISION][@VARIANT]`: a folder, a hub id, minilm, or a model of texts and pictures.

    Raises:
        UserError: it cannot be had, or has fewer dimensions than the variant.
    """
    from instructor_eval.results.published import published

    model, variant = split(text)
    found: Loadable
    if is_image_model(model):
        found = read_image_model(model, family=family, offline=offline)
    else:
        spec = ModelSpec.parse(model)
        found = locate(spec, offline=offline, known=list(published()), family=family, with_code=trust_remote_code)
    dim = Variant.parse(variant).dim
    if dim and dim > found.dim:
        raise UserError(f"variant {variant}: vectors of {found.name} have {found.dim} values: give fewer")
    return dataclasses.replace(found, variant=variant)


def by_score(score: Score, *, offline: bool = False, trust_remote_code: bool = False) -> Loadable:
    """The model that a stored score is of, if it can still be had and is the same.

    Raises:
        UserError: there was none, its files are gone, or they are others now.
    """
    model = score.model
    name, revision = model.name, model.revision
    if model.fingerprint.startswith("selection-") or not revision:
        raise UserError(f"'{name}' is no model that can be loaded: the speed gate compares models")
    text = EMBEDDED if revision.startswith("pypi:") else f"{name}@{revision}"
    if revision == "local" or is_image_model(name):
        text = name
    try:
        found = by_name(
            f"{text}@{model.variant}",
            offline=offline,
            family=model.family if model.family_rule == "--family" else None,
            trust_remote_code=trust_remote_code,
        )
    except UserError as e:
        raise UserError(f"the speed gate loads the model of '{name}', and cannot: {e}") from e
    if model.base_fingerprint not in ("", found.describe()["base_fingerprint"]):
        raise UserError(
            f"model '{name}' is no longer what was scored (its files have changed): name a model instead of results"
        )
    return found


@contextlib.contextmanager
def _named(checkpoint: Loadable) -> Iterator[None]:
    """Whatever a model's libraries raise, as one line that names the model."""
    try:
        yield
    except UserError:
        raise
    except Exception as e:  # onnxruntime, openvino and torch raise kinds of their own
        raise UserError(
            f"{label(checkpoint)} cannot be timed: {type(e).__name__}: {one_line(str(e))[:400]}: leave it out, or "
            "report this"
        ) from e
