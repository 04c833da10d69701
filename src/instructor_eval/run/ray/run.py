"""A run on Ray: tasks beside each other in processes of this machine, their texts spread over the cluster's workers.

    this process       hands tasks to task processes and their texts to workers, in the plan's order; prints; aggregates
    task processes     data, cache, scorers, results: the code of every run, with an engine whose vectors come from here
    workers (Ray)      one model on one GPU or CPU share: texts in, vectors out

So only this machine reads data and writes cache and results; the other nodes need the model and nothing else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructor_eval.cache.vectors import VectorCache
from instructor_eval.core.errors import UserError
from instructor_eval.core.output import warn
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.find import EMBEDDED
from instructor_eval.results.score import Score
from instructor_eval.run.plan import Planned, Request
from instructor_eval.run.ray.cluster import Cluster, connected
from instructor_eval.run.ray.messages import Ask, Failure, Model, Reply
from instructor_eval.run.ray.pool import Pool, Share
from instructor_eval.run.ray.task_process import Setup
from instructor_eval.run.ray.task_processes import TaskProcess
from instructor_eval.run.ray.view import View
from instructor_eval.run.scores import aggregate, failed_score
from instructor_eval.run.task import Summary, say_instructions, say_score

if TYPE_CHECKING:
    from instructor_eval.run.task import Run

TASKS_AT_ONCE = 2
"""Task processes; on large clusters one for four workers, up to twice as many."""
_TRIES = 2
_TICK = 1.0

Task = tuple[int, str]
"""The plan's number and the card's name."""


@contextlib.contextmanager
def on_ray(request: Request) -> Iterator[tuple[Request, Run]]:
    """Connect; the results are the request as it is there, and what runs its plan.

    Raises:
        UserError: there is no Ray, no such cluster or device, or the request asks for what only one process can do.
    """
    if request.cost == "full":
        raise UserError("--cost full measures in this process: leave --executor out, or give --cost auto (no costs)")
    with connected(request.executor, request.device, debug=request.debug) as cluster:

        def run(there: Request, planned: list[Planned], summary: Summary, say: Callable[[str], None]) -> None:
            _Run(cluster, there, planned, say).run(summary)

        yield dataclasses.replace(request, elsewhere=cluster.device), run


class _Run:
    """One run's tasks, until all have a score."""

    def __init__(self, cluster: Cluster, request: Request, planned: list[Planned], say: Callable[[str], None]) -> None:
        self._cluster, self._request, self._planned = cluster, request, planned
        keys, models = _models(request, planned, cluster)
        single: list[Task] = [(n, c.name) for n, plan in enumerate(planned) for c in plan.cards if not c.parts]
        self._todo = deque(single)
        self._tries: dict[Task, int] = {}
        self._scores: dict[Task, tuple[Score, bool]] = {}
        self._told: set[str] = set()
        self._introduced: set[int] = set()
        self._view = View(say, sum(len(plan.cards) for plan in planned))
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._pool = Pool(cluster, models, self._events.put, self._answered, self._note)
        self._processes: dict[int, TaskProcess] = {}
        self._started = 0
        self._dropped: dict[int, int] = {}
        self._asked: dict[int, int] = {}
        self._setup = _setup(request, planned, keys, cluster.device)
        self._summary = Summary()

    def run(self, summary: Summary) -> None:
        """Run all; the scores are in the plan's order at the end.

        Raises:
            UserError: no worker is left, or results cannot be written.
        """
        self._summary = summary
        before, seconds = len(summary.scores), time.monotonic()
        try:
            self._pool.start()
            self._fill()
            while self._processes or self._todo:
                with contextlib.suppress(queue.Empty):
                    self._events.get(timeout=_TICK)()
                if time.monotonic() - seconds > _TICK:
                    seconds = time.monotonic()
                    self._pool.watch()
                    self._view.tick()
                self._view.workers = self._pool.alive
        finally:
            self._view.close()
            for process in self._processes.values():
                process.stop()
            order = [(n, c.name) for n, plan in enumerate(self._planned) for c in plan.cards]
            summary.scores[before:] = [self._scores[task][0] for task in order if task in self._scores]

    # tasks

    def _fill(self) -> None:
        """Have as many task processes as there is use for, each with a task."""
        wanted = min(max(TASKS_AT_ONCE, min(2 * TASKS_AT_ONCE, len(self._pool.slots) // 4)), len(self._todo))
        idle = [p for p in self._processes.values() if p.task is None]
        for process in idle:
            self._next(process)
        while self._startable() is not None and len(self._processes) < wanted:
            self._started += 1
            setup = dataclasses.replace(self._setup, workers=max(1, self._pool.alive))
            process = TaskProcess(self._started, setup, self._events.put, self._heard, self._gone)
            self._processes[process.number] = process
            self._next(process)

    def _next(self, process: TaskProcess) -> None:
        """Give it the next task; it waits where there is none for now, and ends where there will be none."""
        task = self._startable()
        if task is not None:
            self._todo.remove(task)
            process.task = task
            self._tries[task] = self._tries.get(task, 0) + 1
            self._introduce(task)
            process.send(("task", *task))
        elif not self._todo:
            del self._processes[process.number]
            process.stop()

    def _startable(self) -> Task | None:
        """The first task that does not get in the way of one at work."""
        running = {need for p in self._processes.values() if p.task is not None for need in self._needs(p.task)}
        return next((task for task in self._todo if not running & self._needs(task)), None)

    def _needs(self, task: Task) -> set[object]:
        """What a task wants for itself: texts under their instructions, which would be computed twice, and a reader."""
        place, name = task
        card, plan, reader = self._card(task), self._planned[place], self._request.settings.reader
        found: set[object] = set()
        key = self._setup.models[place]
        if key is not None:
            texts = sorted((role, given.text) for role, given in plan.instructions[name].items())
            found.add((key, name, tuple(texts)))
        if reader is not None and not reader.is_cheap and card.type == "PromptRetrieval":
            found.add(reader.name)
        return found

    def _card(self, task: Task) -> Any:
        return next(c for c in self._planned[task[0]].cards if c.name == task[1])

    def _introduce(self, task: Task) -> None:
        plan = self._planned[task[0]]
        if plan.checkpoint is not None:
            say_instructions(self._card(task), plan.instructions[task[1]], plan.checkpoint, self._view.say)
        elif task[0] not in self._introduced:
            self._view.say(f"{plan.model['name']}: no model, the same for all of them")
        self._introduced.add(task[0])

    def _file(self, task: Task, score: Score, *, kept: bool) -> None:
        """Take note of a score, and of the whole that it was the last part of."""
        place, _ = task
        plan = self._planned[place]
        self._scores[task] = score, kept
        self._view.tasks_done += 1
        say_score(score, plan, self._summary, self._view.say, kept=kept)
        self._summary.scores.append(score)
        for whole in plan.cards:
            parts = [(place, name) for name in whole.parts]
            if task in parts and all(part in self._scores for part in parts):
                done = {name: self._scores[place, name][0] for name in whole.parts}
                found, found_kept = aggregate(whole, plan, done, self._request)
                self._file((place, whole.name), found, kept=found_kept)

    # task processes

    def _heard(self, process: TaskProcess, message: tuple[Any, ...]) -> None:
        if process.number not in self._processes:
            return
        kind, *what = message
        if kind == "ask":
            ask: Ask = what[0]
            self._asked[process.number] = ask.number
            self._pool.submit(Share(process.number, ask))
        elif kind == "drop":
            self._drop(process.number)
        elif kind in ("expect", "found", "advance"):
            getattr(self._view, kind)(*what)
        elif kind == "note":
            self._note(what[0])
        elif kind == "warn":
            self._warn(what[0])
        elif kind == "score":
            task, process.task = process.task, None
            assert task is not None
            self._file(task, what[0], kept=what[1])
            self._next(process)
            self._fill()
        else:  # "ended"
            text, trace = what
            if trace and self._request.debug:
                sys.stderr.write(trace)
            raise UserError(text)

    def _gone(self, process: TaskProcess) -> None:
        """Its task is run again, once: what it had kept is in the cache."""
        if self._processes.pop(process.number, None) is None:
            return
        process.stop()
        self._drop(process.number)
        task = process.task
        if task is None:
            self._fill()
            return
        lost = f"the process that ran {task[1]} ended before it was done"
        if self._tries[task] < _TRIES:
            self._note(f"{lost}: it is run again")
            self._todo.appendleft(task)
        else:
            error = f"{lost}, twice; if memory was short, free some: the same command goes on from there"
            card, plan = self._card(task), self._planned[task[0]]
            self._file(task, failed_score(self._request, card, plan, error), kept=False)
        self._fill()

    def _drop(self, owner: int) -> None:
        self._pool.drop(owner)
        self._dropped[owner] = self._asked.get(owner, 0)

    def _answered(self, share: Share, found: Reply | Failure) -> None:
        process = self._processes.get(share.owner)
        if process is None or share.ask.number <= self._dropped.get(share.owner, 0):
            return
        if isinstance(found, Reply):
            found = dataclasses.replace(found, workers=max(1, self._pool.alive))
        process.send(("answer", share.ask.number, found))

    # lines

    def _note(self, line: str) -> None:
        self._view.note(line.strip())

    def _warn(self, line: str) -> None:
        """As the command line warns; of the same fault every process tells."""
        if line not in self._told:
            self._told.add(line)
            self._view.close()
            warn(f"evaluate: {line}")


def _models(request: Request, planned: list[Planned], cluster: Cluster) -> tuple[list[int | None], dict[int, Model]]:
    """The number of each plan's model, and the models by number: one for all variants of a form.

    Raises:
        UserError: one that workers cannot hold.
    """
    keys: list[int | None] = []
    models: dict[int, Model] = {}
    by_object: dict[int, int] = {}
    for plan in planned:
        loaded = plan.loaded
        if loaded is None:
            keys.append(None)
            continue
        if not isinstance(loaded, Checkpoint):  # it is served somewhere: there is nothing to spread
            raise UserError(f"{plan.model['name']} is no checkpoint that workers could load: leave --executor ray out")
        key = by_object.setdefault(id(loaded), len(by_object))
        keys.append(key)
        if key not in models:
            models[key] = Model(
                key=key,
                name=_spec(loaded),
                checkpoint=_bare(loaded),
                fingerprint=loaded.fingerprint,
                home=cluster.home,
                family=request.family,
                device=cluster.device,
                batch_tokens=request.batch_tokens,
                compiled=request.compiled,
                trust_remote_code=request.trust_remote_code,
                offline=request.settings.offline,
            )
    return keys, models


def _spec(checkpoint: Checkpoint) -> str:
    """What names exactly this model on another node."""
    if checkpoint.revision.startswith("pypi:"):
        return EMBEDDED
    if checkpoint.revision == "local":
        return str(checkpoint.folder.resolve())
    return f"{checkpoint.name}@{checkpoint.revision}"


def _bare(checkpoint: Checkpoint) -> Checkpoint:
    """A copy that knows its fingerprints, which take a while, and holds no tokenizer."""
    folder, transformer = checkpoint.folder.resolve(), checkpoint.transformer.resolve()
    bare = dataclasses.replace(checkpoint, folder=folder, transformer=transformer)
    bare.__dict__.update(fingerprint=checkpoint.fingerprint, cached_fingerprint=checkpoint.cached_fingerprint)
    return bare


def _setup(request: Request, planned: list[Planned], keys: list[int | None], device: str) -> Setup:
    """What a task process is given; what is open here is opened there anew."""
    answers = request.settings.answers
    cache = request.cache if isinstance(request.cache, VectorCache) else None
    return Setup(
        request=dataclasses.replace(request, cache=None, settings=dataclasses.replace(request.settings, answers=None)),
        planned=planned,
        models=keys,
        workers=1,
        device=device,
        cache=_resolved(cache.path.parent) if cache else None,
        cache_size=cache.limit if cache else None,
        answers=_resolved(answers.folder) if answers is not None else None,
    )


def _resolved(folder: Path | None) -> Path | None:
    return folder.resolve() if folder is not None else None
