"""A run on Ray: every task with every model is a Ray task, and what it finds is filed here.

    this process   hands jobs to Ray, files items and scores as they come, prints, takes means of parts
    worker         a job: the code of every run, on one GPU or on processors of one node
    ray.data       an actor pool, for a job whose corpus is long or whose data only this node has

Ray places, queues and retries. Other nodes need the model, and the data of what they compute.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructor_eval.cache.vectors import VectorCache
from instructor_eval.core.environment import VERSION
from instructor_eval.core.errors import UserError
from instructor_eval.core.output import warn
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.results.probe import Prober
from instructor_eval.results.probe import write as write_probe
from instructor_eval.results.score import Score
from instructor_eval.run.plan import Planned, Request
from instructor_eval.run.ray.cluster import Cluster, connected
from instructor_eval.run.ray.engines import RETRIES, lost
from instructor_eval.run.ray.job import Done, Job, Setup, State
from instructor_eval.run.ray.view import View
from instructor_eval.run.ray.worker import remote_function
from instructor_eval.run.scores import aggregate, failed_score, filed, planned_score
from instructor_eval.run.task import Summary, run_task, say_instructions, say_score
from instructor_eval.tasks import types
from instructor_eval.tasks.task import Card

if TYPE_CHECKING:
    from instructor_eval.run.task import Run

LONG_TEXTS = {"cpu": 10_000, "cuda": 200_000}
"""Texts of one call that are worth an actor pool, which takes seconds to start and loads the model in each actor."""
SPREAD_AT_ONCE = 2
"""Jobs on this machine whose vectors come from actor pools."""
_TICK_SECONDS = 1.0
_LOOK_SECONDS = 5.0
_SILENT_SECONDS = 180.0
_VARIABLES = re.compile(r"(HF|INSTRUCTOR_EVAL)_(?!.*(TOKEN|KEY|SECRET)).*|TOKENIZERS_PARALLELISM|XDG_CACHE_HOME")


@contextlib.contextmanager
def on_ray(request: Request, run_here: Run) -> Iterator[tuple[Request, Run]]:
    """Connect; the results are the request as it is there, and what runs its plan.

    Args:
        request: The run.
        run_here: Runs what only this process can: prompts for a reader that is asked or loaded.

    Raises:
        UserError: there is no Ray, no such cluster or device, or the request asks for what only one process can do.
    """
    if request.cost == "full":
        raise UserError("--cost full measures in this process: leave --executor out, or give --cost auto (no costs)")
    with connected(request.executor, request.device, debug=request.debug) as cluster:

        def run(there: Request, planned: list[Planned], summary: Summary, say: Callable[[str], None]) -> None:
            _Run(cluster, there, planned, say).run(summary, run_here)

        yield dataclasses.replace(request, elsewhere=cluster.device), run


class _Run:
    """One run's tasks, until all have a score."""

    def __init__(self, cluster: Cluster, request: Request, planned: list[Planned], say: Callable[[str], None]) -> None:
        from ray.util.queue import Queue

        self._cluster, self._request, self._planned, self._say = cluster, request, planned, say
        self._setup = _setup(request, planned, cluster)
        self._scores: dict[tuple[int, str], Score] = {}
        self._jobs: dict[Any, Job] = {}
        """By Ray's reference to what is not done yet."""
        self._to_spread: list[Job] = []
        self._refused: dict[str, str] = {}
        """Nodes that cannot be used, and why."""
        self._attempts: dict[int, State] = {}
        self._warned: set[str] = set()
        self._view = View(say, sum(len(plan.cards) for plan in planned))
        self._summary = Summary()
        self._queue = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": self._home()})

    def run(self, summary: Summary, run_here: Run) -> None:
        """Run all; the scores are in the plan's order at the end.

        Raises:
            UserError: no worker is left, or results cannot be written.
        """
        import ray

        self._summary = summary
        before, began = len(summary.scores), time.monotonic()
        looked = began - _LOOK_SECONDS
        try:
            for job in self._todo():
                self._submit(job)
            while self._jobs or self._to_spread:
                if time.monotonic() - looked >= _LOOK_SECONDS:
                    looked = time.monotonic()
                    self._look(looked - began)
                ready, _ = ray.wait(list(self._jobs), num_returns=1, timeout=_TICK_SECONDS)
                self._listen()
                for reference in ready:
                    self._done(self._jobs.pop(reference), reference)
                self._spread_next()
                self._view.tick()
            self._view.close()
            self._run_here(run_here)
        finally:
            self._view.close()
            for reference in self._jobs:
                with contextlib.suppress(Exception):  # whatever Ray says of it: the run ends
                    ray.cancel(reference, force=True)
            order = [(n, c.name) for n, plan in enumerate(self._planned) for c in plan.cards]
            summary.scores[before:] = [self._scores[task] for task in order if task in self._scores]

    # what is to be done

    def _todo(self) -> Iterator[Job]:
        """Every job, task by task; what has a result, or no data, is filed at once."""
        number = 0
        for plan in self._planned:
            if plan.checkpoint is None:
                self._say(f"{plan.model.name}: no model, the same for all of them")
        for name in dict.fromkeys(card.name for plan in self._planned for card in plan.cards):
            rows: dict[str, dict[int, str]] = defaultdict(dict)
            for place, plan in enumerate(self._planned):
                card = next((card for card in plan.cards if card.name == name), None)
                if card is None or card.parts or self._is_here(card):
                    continue
                identity = self._identity(place, plan, card)
                if identity:
                    texts = sorted((role, given.text) for role, given in plan.instructions[name].items())
                    rows[f"{plan.loaded.fingerprint} {texts}" if plan.loaded else str(place)][place] = identity
            for found in rows.values():
                number += 1
                yield Job(number, name, found, embeds=self._planned[next(iter(found))].loaded is not None)

    def _is_here(self, card: Card) -> bool:
        reader = self._request.settings.reader
        return types.get(card.type).is_prompted and reader is not None and not reader.is_cheap

    def _identity(self, place: int, plan: Planned, card: Card) -> str:
        """Return the score's identity; or nothing, where the task ends without a vector."""
        score: Score | None = None
        with contextlib.suppress(Exception):  # `run_task` meets it too, and files it
            score = planned_score(self._request, card, plan)
        if score is not None and filed(self._request, score) is None:
            return score.identity
        nobody = Prober(None, self._request.store.root, self._view.note)
        found, reused = run_task(self._request, card, plan, None, nobody)
        self._file(place, found, reused=reused)
        return ""

    def _run_here(self, run_here: Run) -> None:
        """Run what only this process can, now that Ray has nothing to do."""
        left = {n: [card for card in plan.cards if self._is_here(card)] for n, plan in enumerate(self._planned)}
        here = [dataclasses.replace(self._planned[n], cards=cards) for n, cards in left.items() if cards]
        before = len(self._summary.scores)
        if here:
            run_here(self._request, here, self._summary, self._say)
        places = [(n, card.name) for n, cards in left.items() for card in cards]
        for task, score in zip(places, self._summary.scores[before:], strict=True):
            self._scores[task] = score

    # Ray

    def _home(self) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(self._cluster.home, soft=False)

    def _submit(self, job: Job) -> None:
        import ray

        options: dict[str, Any] = {"num_cpus": 1}
        if job.spread:
            options = {"num_cpus": 0, "scheduling_strategy": self._home()}
        elif job.embeds:
            options = dict(self._setup.resources)
        if self._refused and not job.spread:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(self._refused)})"}
        compute = ray.remote(remote_function()).options(**options, max_retries=RETRIES, name=job.card)
        reference = compute.remote(VERSION, self._packed, pickle.dumps(job), self._queue)
        self._jobs[reference] = job

    @cached_property
    def _packed(self) -> Any:
        """Ray's reference to the setup, which goes to each node once."""
        import ray

        try:
            return ray.put(pickle.dumps(self._setup))
        except (pickle.PicklingError, TypeError, AttributeError) as e:
            raise UserError(f"--executor ray cannot hand this run to another process ({e}): leave it out") from e

    def _spread_next(self) -> None:
        running = sum(job.spread for job in self._jobs.values())
        while self._to_spread and running < SPREAD_AT_ONCE:
            self._submit(self._to_spread.pop(0))
            running += 1

    def _look(self, seconds: float) -> None:
        """Look whether anything is left to compute with, and whether anything computes.

        Raises:
            UserError: no node that can be used is left.
        """
        self._view.workers = self._cluster.workers(but=self._refused)
        if not self._view.workers:
            why = next(iter(self._refused.values()), "its nodes are gone")
            raise UserError(
                f"no worker is left to compute ({why}): finished results and vectors are stored, the same command goes "
                "on from there"
            )
        if not self._attempts and seconds > _SILENT_SECONDS:
            self._tell_once(f"nothing has started for {seconds:.0f} s: the cluster's GPUs or processors may be taken")

    def _listen(self) -> None:
        """Hear how far the jobs are."""
        size = self._queue.qsize()
        for state in self._queue.get_nowait_batch(size) if size else ():
            self._view.hear(state)
            before = self._attempts.get(state.job)
            self._attempts[state.job] = state
            job = next((job for job in self._jobs.values() if job.number == state.job and not job.spread), None)
            if job and before and before.attempt != state.attempt:
                self._view.note(f"lost the worker on {before.address} with {job.card}: it is run again")
            if state.note:
                self._view.note(state.note.strip())
            if state.warning:
                self._tell_once(state.warning)

    def _done(self, job: Job, reference: Any) -> None:
        import ray

        try:
            done = ray.get(reference)
        except ray.exceptions.RayError as e:
            if self._request.debug and isinstance(e, ray.exceptions.RayTaskError):
                sys.stderr.write(f"{e}\n")
                raise UserError(lost(e)) from e
            self._fail(job, lost(e))
        else:
            if isinstance(done, Done):
                self._end(job, done)
                return
            node, address, version = done
            if node not in self._refused:
                other = f"node {address} has instructor-eval {version}, here is {VERSION}"
                self._refused[node] = f"{other}: install the same one on every node"
                self._view.note(self._refused[node])
            self._look(0.0)
            self._submit(job)

    def _end(self, job: Job, done: Done) -> None:
        if done.spread:
            self._to_spread.append(dataclasses.replace(job, spread=True))
            return
        if done.error:
            self._fail(job, done.error)
        if done.probe is not None:
            try:
                write_probe(self._request.store.root, done.probe)
            except UserError as e:
                self._tell_once(f"no probe filed, the drift gate will miss it: {e}")
        for place, score, items in done.scores:
            self._file(place, self._request.store.write(score, items), reused=False)

    def _fail(self, job: Job, error: str) -> None:
        for place in job.rows:
            plan = self._planned[place]
            card = next(card for card in plan.cards if card.name == job.card)
            self._file(place, failed_score(self._request, card, plan, error), reused=False)

    def _file(self, place: int, score: Score, *, reused: bool) -> None:
        """Print a score, and file the mean that it was the last part of."""
        plan = self._planned[place]
        card = next(card for card in plan.cards if card.name == score.task)
        if plan.checkpoint is not None and not card.parts:
            say_instructions(card, plan.instructions[card.name], plan.checkpoint, self._view.say)
        self._scores[place, score.task] = score
        self._view.tasks_done += 1
        say_score(score, plan, self._summary, self._view.say, reused=reused)
        self._summary.scores.append(score)
        for whole in plan.cards:
            if score.task in whole.parts and all((place, name) in self._scores for name in whole.parts):
                parts = {name: self._scores[place, name] for name in whole.parts}
                found, found_reused = aggregate(whole, plan, parts, self._request)
                self._file(place, found, reused=found_reused)

    def _tell_once(self, line: str) -> None:
        """As the command line warns; of the same error every worker tells."""
        if line not in self._warned:
            self._warned.add(line)
            self._view.close()
            warn(f"evaluate: {line}")


def _setup(request: Request, planned: list[Planned], cluster: Cluster) -> Setup:
    """Return what workers need.

    Raises:
        UserError: a model that workers cannot hold.
    """
    bare: dict[int, Checkpoint] = {}
    for plan in planned:
        loaded = plan.loaded
        if loaded is None:
            continue
        if not isinstance(loaded, Checkpoint):  # it is served somewhere: there is nothing to spread
            raise UserError(f"{plan.model.name} is no checkpoint that workers could load: leave --executor ray out")
        bare.setdefault(id(loaded), _bare(loaded))
    workers = cluster.workers()
    cache = request.cache if isinstance(request.cache, VectorCache) else None
    return Setup(
        request=dataclasses.replace(request, cache=None, settings=dataclasses.replace(request.settings, answers=None)),
        planned=[dataclasses.replace(p, loaded=bare[id(p.loaded)]) if p.loaded else p for p in planned],
        home=cluster.home,
        folder=Path.cwd(),
        environment={name: value for name, value in os.environ.items() if _VARIABLES.fullmatch(name)},
        device=cluster.device,
        threads=cluster.threads,
        workers=workers,
        long_texts=LONG_TEXTS[cluster.device] if workers > 1 else None,
        cache=cache.path.parent.resolve() if cache else None,
        cache_size=cache.limit if cache else None,
    )


def _bare(checkpoint: Checkpoint) -> Checkpoint:
    """Return a copy that knows its fingerprints, which take a while, and holds no tokenizer."""
    folder, transformer = checkpoint.folder.resolve(), checkpoint.transformer.resolve()
    bare = dataclasses.replace(checkpoint, folder=folder, transformer=transformer)
    bare.__dict__.update(fingerprint=checkpoint.fingerprint, cached_fingerprint=checkpoint.cached_fingerprint)
    return bare
