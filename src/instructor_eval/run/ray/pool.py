"""The workers of a run, and which share of the work each one gets. Used by one thread; Ray's own threads only post.

A worker's share that is lost with it goes to another one, once. A share is lost by whoever had it in hand: one that
waited behind it was not begun. A worker holds one model; it changes it only for a share that nobody else will take.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from instructor_eval.core.errors import UserError, one_line
from instructor_eval.run.ray.cluster import Cluster, Place
from instructor_eval.run.ray.messages import About, Ask, Failure, Model, Reply, Status

LOSSES = 2
"""How often a share may be lost with its worker before its task fails."""
START_SECONDS = 180.0
STATUS_SECONDS = 5.0
SILENT_SECONDS = 60.0
"""Without an answer to `status`: the worker's process hangs."""
STILL_SECONDS = 900.0
"""Without a text done: what it computes with hangs. Loading a model may take longer."""
LOADING_SECONDS = 3600.0
_STARTS = 3
PATIENCE_SECONDS = 2.0
"""That a share waits for a worker that has its model, before another one loads it."""

Answer = Callable[["Share", Reply | Failure], None]


@dataclass
class Share:
    """Work for one worker, and whose it is."""

    owner: int
    ask: Ask
    lost: list[str] = field(default_factory=list)
    """nodes on which it was lost"""
    since: float = 0.0
    """of waiting"""


@dataclass
class Slot:
    """A place for a worker, and the worker that is there now."""

    number: int
    place: Place
    handle: Any = None
    state: str = "starting"
    """starting, ready, gone"""
    about: About | None = None
    model: int | None = None
    shares: deque[Share] = field(default_factory=deque)
    """the first is in hand, the second waits"""
    since: float = 0.0
    """of `state`"""
    asked: float | None = None
    """when `status` was asked and not answered yet"""
    checked: float = 0.0
    starts: int = 0
    done: int = 0
    """texts"""

    @property
    def name(self) -> str:
        """For people."""
        return self.about.node if self.about else self.place.address


class Pool:
    """All workers of a run.

    Args:
        cluster: Where they run.
        models: By key.
        post: Called by Ray's threads with a function, which is to be called in the thread that uses the pool.
        answer: Called in that thread with a share that is done, or that cannot be.
        say: Told of workers that were lost.
    """

    def __init__(
        self,
        cluster: Cluster,
        models: Mapping[int, Model],
        post: Callable[[Callable[[], None]], None],
        answer: Answer,
        say: Callable[[str], None],
    ) -> None:
        self._cluster, self._models, self._post, self._answer, self._say = cluster, models, post, answer, say
        self._references: dict[int, Any] = {}
        self._waiting: dict[int, deque[Share]] = {}
        self.slots: list[Slot] = []
        self._nodes: set[str] = set()
        self._looked = 0.0
        self.lost = 0
        self.why = "the cluster offers no GPU and no processor"
        """How the last worker was lost."""

    # workers

    def start(self) -> None:
        """Ask for a worker on every GPU, or on every share of processors, of all nodes."""
        self._looked = time.monotonic()
        for place in self._cluster.places(but=self._nodes):
            self._nodes.add(place.node)
            slot = Slot(len(self.slots), place)
            self.slots.append(slot)
            self._start(slot)

    def _start(self, slot: Slot) -> None:
        slot.state, slot.since, slot.model, slot.asked, slot.about = "starting", time.monotonic(), None, None, None
        slot.starts += 1
        slot.handle = self._cluster.worker(slot.place)
        self._when(slot, slot.handle.ready.remote(), self._ready)

    def _ready(self, slot: Slot, about: About | Exception) -> None:
        if isinstance(about, Exception):
            self._lose(slot, about)
            return
        different = self._cluster.differing(about)
        if different:
            slot.starts = _STARTS  # another try would be the same
            self._lose(slot, UserError(different))
            return
        slot.state, slot.since, slot.about, slot.checked = "ready", time.monotonic(), about, time.monotonic()
        self._dispatch()

    @property
    def alive(self) -> int:
        """Workers that take work."""
        return sum(slot.state == "ready" for slot in self.slots)

    def _when(self, slot: Slot, reference: Any, then: Callable[[Slot, Any], None]) -> None:
        """Call `then` with what becomes of a call to this worker, unless it was given up by then."""
        handle = slot.handle

        def done(future: Any) -> None:
            error = future.exception()
            found = error if error is not None else future.result()

            def tell() -> None:
                if slot.handle is handle:
                    then(slot, found)

            self._post(tell)

        reference.future().add_done_callback(done)

    def _lose(self, slot: Slot, why: Exception | str) -> None:
        """Give a worker up; what it had in hand is done again elsewhere, and another one takes its place."""
        began = slot.state == "ready"
        slot.state, handle, slot.handle = "gone", slot.handle, None
        with suppress(Exception):  # it may be gone already, or its node
            self._cluster.kill(handle)
        self.why = f"worker on {slot.name}: {_reason(why)}"
        shares, slot.shares = list(slot.shares), deque()
        if began:
            self.lost += 1
            again = ": what it had in hand is computed again elsewhere" if shares else ""
            self._say(f"lost the {self.why}{again}")
        for place, share in enumerate(reversed(shares)):
            if place == len(shares) - 1:
                share.lost.append(slot.name)
            if len(share.lost) < LOSSES:
                self._waiting.setdefault(share.owner, deque()).appendleft(share)
            else:
                self._answer(share, _lost_twice(share, why))
        if began or slot.starts < _STARTS:
            slot.starts = 0 if began else slot.starts
            if self._cluster.has(slot.place.node):
                self._start(slot)
        self._dispatch()

    # work

    def submit(self, share: Share) -> None:
        """Take work; `answer` is called when it is done."""
        share.since = time.monotonic()
        self._waiting.setdefault(share.owner, deque()).append(share)
        self._dispatch()

    def drop(self, owner: int) -> None:
        """Forget what waits for this owner; what is in hand ends, and nobody hears of it."""
        self._waiting.pop(owner, None)
        for slot in self.slots:
            slot.shares = deque(s for n, s in enumerate(slot.shares) if n == 0 or s.owner != owner)

    def _dispatch(self) -> None:
        """Give what waits to whoever is free, then a second share to those that work: they need not wait for it."""
        for depth in (0, 1):
            for share in self._in_turn():
                slot = self._free(share, depth)
                if slot is not None:
                    shares = self._waiting.pop(share.owner)
                    shares.remove(share)
                    self._waiting[share.owner] = shares  # the others' turn first
                    self._send(slot, share)

    def _in_turn(self) -> list[Share]:
        """What waits: the first of each owner, then the second of each."""
        rows = [list(shares) for shares in self._waiting.values()]
        longest = max(map(len, rows), default=0)
        return [row[i] for i in range(longest) for row in rows if i < len(row)]

    def _free(self, share: Share, depth: int) -> Slot | None:
        ready = [s for s in self.slots if s.state == "ready"]
        free = [s for s in ready if len(s.shares) == depth]
        model = share.ask.model
        same = [s for s in free if s.model == model]
        if same or depth:
            return same[0] if same else None
        empty = [s for s in free if s.model is None]
        if empty:
            return empty[0]
        if any(s.model == model for s in ready) and time.monotonic() - share.since < PATIENCE_SECONDS:
            return None
        wanted = {s.ask.model for shares in self._waiting.values() for s in shares}
        return min(free, key=lambda s: s.model in wanted, default=None)

    def _send(self, slot: Slot, share: Share) -> None:
        ask = share.ask
        if ask.model not in self._references:
            self._references[ask.model] = self._cluster.put(self._models[ask.model])
        if not slot.shares:
            slot.checked = time.monotonic()
        slot.model = ask.model
        slot.shares.append(share)
        model = self._references[ask.model]
        handle = slot.handle
        reference = handle.probe.remote(model) if ask.probe else handle.encode.remote(model, ask.instruction, ask.texts)
        self._when(slot, reference, lambda slot, found: self._done(slot, share, found))

    def _done(self, slot: Slot, share: Share, found: Reply | Failure | Exception) -> None:
        if isinstance(found, Exception):
            self._lose(slot, found)
            return
        if share in slot.shares:
            slot.shares.remove(share)
        slot.checked, slot.asked = time.monotonic(), None
        if isinstance(found, Reply):
            slot.done += len(share.ask.texts)
        self._answer(share, found)
        self._dispatch()

    # watching

    def watch(self) -> None:
        """Look after workers that hang, that do not come up, and nodes that came; to be called about every second.

        Raises:
            UserError: no worker is left, or none came up.
        """
        now = time.monotonic()
        for slot in self.slots:
            if slot.state == "starting" and now - slot.since > START_SECONDS:
                self._lose(slot, f"did not start in {START_SECONDS:.0f} s; its GPU or processors may be taken")
            elif slot.state == "ready" and slot.shares:
                self._watch(slot, now)
        if now - self._looked > STATUS_SECONDS:
            self.start()
        self._dispatch()
        if all(slot.state == "gone" for slot in self.slots):
            raise UserError(
                f"no worker is left to compute ({self.why}): finished results and vectors are kept, the same command "
                "goes on from there"
            )

    def _watch(self, slot: Slot, now: float) -> None:
        if slot.asked is not None:
            if now - slot.asked > SILENT_SECONDS:
                self._lose(slot, f"it has not answered for {SILENT_SECONDS:.0f} s")
        elif now - slot.checked > STATUS_SECONDS:
            slot.asked = now
            reference = slot.handle.status.options(concurrency_group="status").remote()
            self._when(slot, reference, self._status)

    def _status(self, slot: Slot, found: Status | Exception) -> None:
        if isinstance(found, Exception):
            self._lose(slot, found)
            return
        slot.asked, slot.checked = None, time.monotonic()
        if slot.shares and found.still > (LOADING_SECONDS if found.loading else STILL_SECONDS):
            self._lose(slot, f"nothing has come out of it for {found.still:.0f} s")


def _reason(why: Exception | str) -> str:
    """The first sentence of what Ray says, which goes on for many lines."""
    if isinstance(why, str | UserError):
        return str(why)
    kind = type(why).__name__
    known = {
        "ActorDiedError": "its process or node died",
        "ActorUnavailableError": "it cannot be reached",
        "ActorUnschedulableError": "its node is gone",
        "OutOfMemoryError": "its node had no memory left",
        "NodeDiedError": "its node died",
        "OwnerDiedError": "its node died",
        "ObjectLostError": "its result was lost with its node",
    }
    text = known.get(kind) or next((t for name, t in known.items() if name in kind), "")
    return text or one_line(f"{kind}: {why}")[:200]


def _lost_twice(share: Share, why: Exception | str) -> Failure:
    what = f"{len(share.ask.texts)} texts" if share.ask.texts else "its probe"
    return Failure(
        f"{what} were lost twice with the worker that computed them (on {' and '.join(share.lost)}; at last: "
        f"{_reason(why)}): if memory was short, give fewer --batch-tokens; run the same command again"
    )
