"""The process in which tasks run, one at a time: data, cache, scorers and results as always, computing left to workers.

Tasks cannot share a process at the same time, since mteb keeps state of its own; so there are several of these. They
run on the machine of the run, import no Ray, and end with it.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from instructor_eval.core.errors import UserError, one_line
from instructor_eval.core.progress import Progress

if TYPE_CHECKING:
    from instructor_eval.cache.vectors import Cache
    from instructor_eval.run.plan import Planned, Request


@dataclass
class Setup:
    """What such a process is given."""

    request: Request
    """Without its caches, which are opened there."""
    planned: list[Planned]
    models: list[int | None]
    """The number of each plan's model."""
    workers: int
    device: str
    cache: Path | None
    """Folder of the cache of vectors; None keeps them in memory."""
    cache_size: int | None
    answers: Path | None
    """Folder of the cache of answers; None keeps them in memory."""


def main() -> None:
    """Run the tasks that come, until the run closes the connection, whose descriptor is the first argument."""
    connection = Connection(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run is interrupted, and ends us
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    Progress.enabled = False
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())  # its own kind is left behind, with a warning, where this process is killed
    with suppress(EOFError, OSError):
        _serve(connection, connection.recv())


def _end_with(parent: int) -> None:
    """End when the run is gone, however it went: what is committed stays."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _serve(connection: Connection, setup: Setup) -> None:
    from instructor_eval.cache.vectors import MemoryCache, VectorCache
    from instructor_eval.models.engine import Engine
    from instructor_eval.readers.answers import AnswerCache
    from instructor_eval.results.probe import Prober
    from instructor_eval.run.ray.remote_engine import Line, RemoteEngine, RemoteProber
    from instructor_eval.run.task import run_task

    line = Line(connection, setup.workers)
    cache: Cache = MemoryCache()
    if setup.cache is not None:
        cache = VectorCache(setup.cache, limit=setup.cache_size, warn=lambda text: line.tell("warn", text))
    settings = setup.request.settings
    if settings.reader is not None:
        answers = AnswerCache(setup.answers, warn=lambda text: line.tell("warn", text))
        settings = dataclasses.replace(settings, answers=answers)
    request = dataclasses.replace(setup.request, cache=cache, settings=settings)
    engine: Engine | None = None
    held: int | None = None
    prober = Prober(None, request.store.root, line.note)
    while True:
        kind, place, name = connection.recv()
        if kind == "stop":
            return
        if kind != "task":  # an answer to a call that failed
            continue
        plan = setup.planned[place]
        card = next(c for c in plan.cards if c.name == name)
        key = setup.models[place]
        if key is not None and plan.loaded is not None and (engine is None or held != key):
            remote = RemoteEngine(plan.loaded, key, line, device=setup.device, cache=cache)
            engine, held = remote, key
            prober = RemoteProber(remote, request.store.root, line.note, debug=request.debug)
        try:
            score, kept = run_task(request, card, plan, engine if key is not None else None, prober)
            line.tell("score", score, kept)
        except UserError as e:  # results cannot be written
            line.tell("ended", str(e), "")
        except Exception as e:  # noqa: BLE001 # with --debug only, and told there
            line.tell("ended", one_line(f"unexpected {type(e).__name__}: {e}")[:500], traceback.format_exc())
