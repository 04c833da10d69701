"""The costs of a model's forms in a run: by its own batches, or measured in turns where forms are compared.

`--cost auto` measures in turns (`costs.py`) only where a run compares forms of a model, and only if that takes no more
than a tenth of the run's time. Else speeds are those of the batches that the run computed anyway, which costs nothing;
between forms they are compared if both computed the same number of tokens. `--cost full` always measures, and starts a
process for the cold start of every form.

What is known is filed in the user's cache folder, by machine, so that a run whose vectors are all in the cache has it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from instructor_eval.cache.vectors import default_folder
from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.machine import machine
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.device import pick_device
from instructor_eval.models.engine import BaseEngine, Engine
from instructor_eval.models.images.engine import ImageEngine
from instructor_eval.models.images.model import ImageModel
from instructor_eval.models.variant import BASELINE
from instructor_eval.results.checksums import identity
from instructor_eval.results.costs import Cost, CostStore
from instructor_eval.results.score import Score
from instructor_eval.run.plan import Planned, Request

if TYPE_CHECKING:
    from instructor_eval.run.costs import How
    from instructor_eval.run.samples import Loadable

SHARE = 0.1
"""The most of a run's time that `--cost auto` takes."""
_LEAST_PASS = 0.25
"""Seconds: a shorter pass is no measurement."""
_VERSION = 1
"""Raised when the way of taking a run's own speed changes."""


@dataclass(frozen=True)
class Ran:
    """The inputs that a form has computed in a run: its pictures, or else its texts."""

    texts: int
    tokens: int
    seconds: float
    load: float
    resident: int
    file: int
    proof: str
    pictures: int = 0
    query_seconds: tuple[float, ...] = ()

    @classmethod
    def of(cls, engine: BaseEngine | None, *, queries: bool = False) -> Ran | None:
        """Return what an engine has computed so far; None if it is not of this machine, or computed nothing.

        Args:
            engine: The engine.
            queries: Time single queries of a model of texts and pictures.
        """
        if not isinstance(engine, Engine | ImageEngine):
            return None
        totals = engine.totals
        computed = (totals.computed, totals.tokens, totals.computing)
        if totals.pictures:
            computed = (0, 0, totals.picturing)
        if not (totals.pictures or totals.computed) or computed[2] <= 0:
            return None
        sizes, proof = engine.network.sizes(), engine.network.proof()
        found = cls(*computed, totals.load, sizes.resident, sizes.file, proof, totals.pictures)
        if queries and isinstance(engine, ImageEngine):
            return dataclasses.replace(found, query_seconds=engine.query_seconds)
        return found

    @property
    def count(self) -> tuple[int, int, int]:
        """The pictures, texts and tokens that it has computed: of two runs, that with more counts."""
        return self.pictures, self.texts, self.tokens

    @property
    def rate(self) -> float:
        """Pictures or tokens a second."""
        return (self.pictures or self.tokens) / self.seconds


def add_costs(
    request: Request,
    plans: Sequence[Planned],
    scores: list[Score],
    ran: Mapping[str, Ran],
    seconds: float,
    say: Callable[[str], None],
) -> None:
    """Write what one model's forms cost here to those of its scores that do not say yet.

    All scores are filed by then: an error here costs none of them, and does not end the run.

    Args:
        request: The run.
        plans: The model's.
        scores: The run's; those that are completed are replaced.
        ran: What each form has computed in this run, by the fingerprint of its vectors.
        seconds: How long the run has taken.
        say: Called with what is being done.
    """
    checkpoints = [p.checkpoint for p in plans if isinstance(p.checkpoint, Checkpoint | ImageModel)]
    prints = {c.fingerprint: c.form for c in checkpoints}
    full = request.cost == "full"
    wanted = [
        (place, s)
        for place, s in enumerate(scores)
        if s.status == "ok"
        and s.model.fingerprint in prints
        and (s.cost is None or (full and s.cost.cold_start_seconds is None))
    ]
    if request.cost == "off" or not wanted:
        return
    try:
        costs = _costs(request, checkpoints, {prints[s.model.fingerprint] for _, s in wanted}, ran, seconds, say)
        for place, score in wanted:
            cost = costs.get(prints[score.model.fingerprint])
            if cost is not None:
                scores[place] = request.store.write(dataclasses.replace(score, cost=cost.for_score()))
    except UserError as e:
        say(f"  no cost measured: {e}")
    except Exception as e:  # a library's, perhaps
        if request.debug:
            raise
        say("  " + one_line(f"no cost measured: unexpected {type(e).__name__}: {e} (--debug shows where)")[:500])


def _costs(
    request: Request,
    checkpoints: Sequence[Loadable],
    wanted: set[str],
    ran: Mapping[str, Ran],
    seconds: float,
    say: Callable[[str], None],
) -> Mapping[str, Cost]:
    """Return form -> cost, of the forms that are wanted and known."""
    from instructor_eval.run import costs

    how = costs.How(
        device=pick_device(request.device),
        batch_tokens=request.batch_tokens,
        trust_remote_code=request.trust_remote_code,
        compiled=request.compiled,
        cold=request.cost == "full",
    )
    chosen, root = [c for c in checkpoints if c.form in wanted], default_folder()
    by_form = {c.form: ran[c.cached_fingerprint] for c in checkpoints if c.cached_fingerprint in ran}
    compared = len({c.form for c in checkpoints}) > 1
    if request.cost != "full":
        if compared and (found := costs.filed_costs(chosen, root, how)):
            return found
        how = dataclasses.replace(how, pass_seconds=_pass_seconds(by_form, SHARE * seconds) if compared else 0.0)
        if compared and (found := costs.filed_costs(chosen, root, how)):
            return found
        if not how.pass_seconds:
            return own_costs(checkpoints, by_form, how, root)
    say(
        f"  measuring what {', '.join(dict.fromkeys([BASELINE, *sorted(wanted)]))} cost here (--cost off leaves it out)"
    )
    return costs.measure_run(chosen, root, how, warn=say)


def _pass_seconds(ran: Mapping[str, Ran], most: float) -> float:
    """Return how long a pass of the baseline may take for forms to be measured in turns within `most` seconds.

    0: a pass would be too short, or a form has not run, so that nothing is known of its speed.
    """
    from instructor_eval.run.turns import PASS_SECONDS

    base = ran.get(BASELINE)
    if base is None:
        return 0.0
    slower = [base.rate / one.rate for form, one in ran.items() if form != BASELINE]
    passes = 2.5 + sum(4 * times + 3 for times in slower)  # finding the number of texts, warming up, three rounds
    found = (most - sum(one.load for one in ran.values())) / passes
    return min(found, PASS_SECONDS) if found >= _LEAST_PASS else 0.0


def own_costs(checkpoints: Sequence[Loadable], ran: Mapping[str, Ran], how: How, root: Path) -> Mapping[str, Cost]:
    """Return what forms cost by a run's own batches, or as filed by an earlier run that computed more.

    Args:
        checkpoints: One model in its forms.
        ran: What each form has computed in this run; forms that computed nothing are not in it.
        how: The device, and how it is used.
        root: The folder in which costs are filed.
    """
    store, here, base = CostStore(root), machine(how.device), ran.get(BASELINE)
    baseline = next((c for c in checkpoints if c.form == BASELINE), None)
    made = {"run": _VERSION, "device": how.device, "batch_tokens": how.batch_tokens, "compiled": how.compiled,
            "machine": here}  # fmt: skip
    found: dict[str, Cost] = {}
    for checkpoint in checkpoints:
        form, own = checkpoint.form, ran.get(checkpoint.form)
        name = identity({**made, "vectors": checkpoint.cached_fingerprint})
        filed = store.find(checkpoint.name, form, name)
        if own is None or (filed is not None and (filed.pictures, filed.texts) > own.count[:2]):
            if filed is not None:
                found[form] = filed
            continue
        comparable = base is not None and baseline is not None and base.count == own.count
        against, beside = (base, baseline) if comparable and base and baseline else (own, checkpoint)
        found[form] = Cost(
            identity=name,
            model=checkpoint.name,
            revision=checkpoint.revision,
            form=form,
            fingerprint=checkpoint.cached_fingerprint,
            baseline=beside.form,
            baseline_fingerprint=beside.cached_fingerprint,
            device=how.device,
            machine=here,
            texts=own.texts,
            tokens=own.tokens,
            seconds=(own.seconds,),
            baseline_seconds=(against.seconds,),
            resident_bytes=own.resident,
            file_bytes=own.file,
            baseline_file_bytes=against.file,
            proof=own.proof,
            measured=datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
            pictures=own.pictures,
            query_seconds=own.query_seconds,
        )
        with contextlib.suppress(UserError):  # a folder that cannot be written: the next run has its own batches
            store.write(found[form])
    return found
