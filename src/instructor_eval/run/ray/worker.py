"""A job in a worker: the code of every run, with scores and items sent home instead of filed."""

from __future__ import annotations

import dataclasses
import gc
import pickle
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from instructor_eval.cache.vectors import Cache, MemoryCache, VectorCache
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.engine import BaseEngine
from instructor_eval.results.probe import Probe, Prober
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store
from instructor_eval.run.ray.engines import (
    Counts,
    LongCorpusError,
    SpreadEngine,
    WorkerEngine,
    address,
    at_home,
    open_engine,
    prepare,
)
from instructor_eval.run.ray.job import Done, Job, Setup, State
from instructor_eval.run.task import run_task


class Outbox(Store):
    """A results folder that is not there: what is written is collected."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.sent: Items | None = None

    def find(self, score: Score, *, rankings: bool = False) -> None:
        """Return nothing: whoever sent the job has looked."""

    def write(self, score: Score, items: Items | None = None) -> Score:
        """Keep the items; the score is what `run_task` returns."""
        self.sent = items
        return score


class _HomeProber(Prober):
    """Leaves the probe to be filed where the run is."""

    def __init__(self, engine: WorkerEngine | None, say: Callable[[str], None], *, debug: bool) -> None:
        super().__init__(engine, Path(), say, debug=debug)
        self.probe: Probe | None = None

    def _take(self, engine: BaseEngine) -> Probe:
        assert isinstance(engine, WorkerEngine)
        return engine.probe

    def _file(self, probe: Probe) -> None:
        self.probe = probe


_held: list[WorkerEngine] = []
"""The model of this process, which Ray may give another job: one at most."""


def remote_function() -> Callable[[str, bytes, bytes, Any], Done | tuple[str, str, str]]:
    """Return what Ray runs for a job: its result, or id, address and version of a node that has another version.

    Another version of ours may know none of our classes. So Ray sends the code (it does of a function in a function),
    both arguments are bytes, and nothing of ours is imported before the version was compared.
    """

    def compute(version: str, setup: bytes, job: bytes, queue: Any) -> Done | tuple[str, str, str]:
        import importlib.metadata

        import ray

        there = importlib.metadata.version("instructor-eval")
        if there != version:
            return ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address(), there
        from instructor_eval.run.ray.worker import run_job

        return run_job(setup, job, queue)

    return compute


def run_job(setup: bytes, job: bytes, queue: Any) -> Done:
    """Run a job.

    Args:
        setup: A `Setup`, pickled by the run, as Ray itself does with every argument.
        job: A `Job`, pickled by the run.
        queue: Ray's, for a `State`.
    """
    return _Job(pickle.loads(setup), pickle.loads(job), queue).run()  # noqa: S301 - the run's own bytes


class _Job:
    def __init__(self, setup: Setup, job: Job, queue: Any) -> None:
        self._setup, self._job, self._queue = setup, job, queue
        self._attempt = uuid.uuid4().hex
        self._counts = Counts(self._tell)

    def _tell(self, counts: Mapping[str, int], note: str = "", warning: str = "") -> None:
        state = State(self._job.number, self._attempt, address(), counts, note, warning)
        self._queue.actor.put_nowait.remote(state)  # nobody waits for it

    def run(self) -> Done:
        self._counts.tell()
        prepare(self._setup)
        job, setup, outbox = self._job, self._setup, Outbox()
        cache = self._cache()
        request = dataclasses.replace(setup.request, store=outbox, cache=cache)
        done: list[tuple[int, Score, Items | None]] = []
        try:
            engine = self._engine(cache) if job.embeds else None
            prober = _HomeProber(engine, self._counts.note, debug=request.debug)
            for place, identity in job.rows.items():
                plan = setup.planned[place]
                card = next(card for card in plan.cards if card.name == job.card)
                outbox.sent = None
                score, _ = run_task(request, card, plan, engine, prober)
                no_data = score.identity != identity or (score.error and not score.counts.texts)
                if no_data and not at_home(setup):
                    return Done(address(), [], spread=True)
                done.append((place, score, outbox.sent))
            return Done(address(), done, prober.probe)
        except LongCorpusError:
            return Done(address(), [], spread=True)
        except UserError as e:  # no model here
            return Done(address(), [], error=str(e))
        finally:
            cache.close()
            self._counts.tell()

    def _cache(self) -> Cache:
        """Open the run's cache where it is; on another node vectors stay in memory, for this job."""
        setup = self._setup
        if setup.cache is None or not at_home(setup):
            return MemoryCache()
        return VectorCache(setup.cache, limit=setup.cache_size, warn=lambda text: self._tell({}, warning=text))

    def _engine(self, cache: Cache) -> WorkerEngine:
        checkpoint = self._setup.planned[next(iter(self._job.rows))].loaded
        assert isinstance(checkpoint, Checkpoint)
        if self._job.spread:
            engine: WorkerEngine = SpreadEngine(checkpoint, self._setup)
        else:
            if not _held or _held[0].model.fingerprint != checkpoint.fingerprint:
                _held.clear()
                gc.collect()  # the next model may need all the memory
                _held.append(open_engine(checkpoint, self._setup))
            engine = _held[0]
            engine.most = self._setup.long_texts
        engine.cache, engine.counts = cache, self._counts
        return engine
