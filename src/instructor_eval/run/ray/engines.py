"""Engines of a worker: one that computes there, and one that has `ray.data` compute a long corpus anywhere."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from instructor_eval.core.environment import hardware
from instructor_eval.core.errors import ModelOutputError, UserError, one_line
from instructor_eval.core.pictures import Item
from instructor_eval.core.progress import Progress
from instructor_eval.core.values import Vectors
from instructor_eval.models.batches import longest_first
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.engine import Engine
from instructor_eval.models.find import EMBEDDED, ModelSpec, locate
from instructor_eval.models.missing import Missing
from instructor_eval.models.variant import check_device, check_installed
from instructor_eval.results.probe import Probe, take
from instructor_eval.run.ray.job import COUNTS, Setup

RETRIES = 2
"""How often Ray computes again what was lost with a worker."""
_BLOCK_TEXTS = 4096
_TELL_SECONDS = 0.5


class LongCorpusError(BaseException):
    """So many texts that the job should be spread: no error of the task, which must not catch it."""


class Counts(Progress):
    """Send what is counted home, not more than twice a second.

    Args:
        tell: Takes the counts, and a line to be shown or "".
    """

    def __init__(self, tell: Callable[[Mapping[str, int], str], None]) -> None:
        super().__init__("")
        self._send, self._sent = tell, 0.0

    def tell(self, note: str = "") -> None:
        """Send the counts now."""
        self._sent = time.monotonic()
        self._send({name: getattr(self, name) for name in COUNTS}, note)

    def advance(self, texts: int, tokens: int, characters: int) -> None:
        """So many texts are computed."""
        super().advance(texts, tokens, characters)
        if time.monotonic() - self._sent > _TELL_SECONDS:
            self.tell()

    def note(self, line: str) -> None:
        """Send a line that the user should see."""
        self.tell(line)


class WorkerEngine(Engine):
    """An `Engine` in a worker.

    Args:
        checkpoint: The model, in its numeric form, where it is on this node.
        setup: Of the run.
        device: On which a network is loaded, if not on that of all workers.
    """

    def __init__(self, checkpoint: Checkpoint, setup: Setup, device: str | None = None) -> None:
        request = setup.request
        super().__init__(
            checkpoint,
            device=device or setup.device,
            batch_tokens=request.batch_tokens,
            trust_remote_code=request.trust_remote_code,
            compiled=request.compiled,
        )
        self._setup = setup
        self.counts = Progress("")
        self.most: int | None = None
        """Texts of a call at most; of a longer one the job is given up."""

    def machine(self) -> dict[str, Any]:
        """Return the devices that compute."""
        return {**hardware(self.device), "node": address()}

    @cached_property
    def probe(self) -> Probe:
        """The model's probe.

        Raises:
            UserError: the model gives no usable vectors.
        """
        counts, self.counts = self.counts, Progress("")
        try:
            return take(self)
        finally:
            self.counts = counts

    def environment(self) -> dict[str, Any]:
        """Return the computing devices (where all was cached, this machine), and how many workers there is room for."""
        computed = self.totals.unique > self.totals.hits
        here = self.machine() if computed else {**hardware("cpu"), "node": address()}
        return {"hardware": here, "executor": "ray", "workers": self._setup.workers}

    def encode(
        self, texts: Sequence[Item], instruction: str, *, progress: Progress | None = None, most: int | None = None
    ) -> Vectors:
        """As `Engine.encode`; progress goes to the run's view."""
        return super().encode(texts, instruction, progress=self.counts, most=most)

    def _load(self, device: str) -> Any:
        if device == "cpu":
            import torch

            torch.set_num_threads(self._setup.threads)
        return super()._load(device)

    def _compute(self, missing: Missing) -> None:
        if self.most is not None and len(missing.items) > self.most:
            raise LongCorpusError
        super()._compute(missing)


class SpreadEngine(WorkerEngine):
    """An engine without a network: an actor pool of `ray.data` computes, one model an actor."""

    def __init__(self, checkpoint: Checkpoint, setup: Setup) -> None:
        super().__init__(checkpoint, setup, device="cpu")  # a network here counts tokens, if anything

    @property
    def device(self) -> str:
        """The kind of device that the workers have."""
        return self._setup.device

    @cached_property
    def _seen(self) -> tuple[dict[str, Any], Probe | UserError]:
        import ray

        remote = ray.remote(look).options(**self._setup.resources, max_retries=RETRIES)
        try:
            found: tuple[dict[str, Any], Probe | UserError] = ray.get(remote.remote(self._setup.light, self.checkpoint))
        except ray.exceptions.RayError as e:
            return {"device": self.device}, UserError(lost(e))
        return found

    def machine(self) -> dict[str, Any]:
        """Return the description of one of the workers."""
        return self._seen[0]

    @cached_property
    def probe(self) -> Probe:
        """The probe that a worker has taken.

        Raises:
            UserError: the model gives no usable vectors, or was lost with its worker.
        """
        probe = self._seen[1]
        if isinstance(probe, UserError):
            raise probe
        return probe

    def _compute(self, missing: Missing) -> None:
        """Cut the texts, longest first, into blocks; keep the vectors of each when they come."""
        import pyarrow as pa
        import ray.data

        texts, instruction = missing.items, missing.instruction
        sizes = [len(instruction) + len(text) for text in texts]
        order = longest_first(sizes)
        share = min(_BLOCK_TEXTS, max(1, len(texts) // (8 * self._setup.workers)))
        blocks = [
            pa.table({"at": at, "text": pa.array([texts[i].encode("utf-8", "surrogatepass") for i in at], pa.binary())})
            for at in (order[start : start + share] for start in range(0, len(order), share))
        ]
        ray.data.DataContext.get_current().enable_progress_bars = False
        pool = ray.data.from_arrow(blocks).map_batches(
            Embedder,
            batch_size=None,  # a block
            concurrency=(1, self._setup.workers),
            fn_constructor_args=(self._setup.light, self.checkpoint, instruction),
            max_restarts=RETRIES,
            max_task_retries=RETRIES,
            **self._setup.resources,
        )
        try:
            for block in pool.iter_batches(batch_size=None, batch_format="numpy"):
                at, tokens = block["at"].tolist(), int(block["tokens"].sum())
                if block["error"][0]:
                    raise (ModelOutputError if block["by_model"][0] else UserError)(str(block["error"][0]))
                missing.place(at, block["vector"])
                self._store(missing, at, block["vector"])
                self.totals.tokens += tokens
                self.drift = max(self.drift, float(block["drift"].max()))
                missing.advance(at, tokens)
        except ray.exceptions.RayError as e:
            raise UserError(lost(e)) from e


class Embedder:
    """The actor of `ray.data`: texts in, vectors out. What the user can correct is a column: Ray would hide its kind.

    Args:
        setup: Of the run.
        checkpoint: The model, in its numeric form.
        instruction: Put before each text.
    """

    def __init__(self, setup: Setup, checkpoint: Checkpoint, instruction: str) -> None:
        prepare(setup)
        self._setup, self._checkpoint, self._instruction = setup, checkpoint, instruction
        self._engine: WorkerEngine | None = None

    def __call__(self, block: Mapping[str, Any]) -> dict[str, Any]:
        """Embed a block's texts: columns `vector`, float32 [texts, dim], and what is counted, in the first row."""
        texts = [bytes(text).decode("utf-8", "surrogatepass") for text in block["text"]]
        vectors = np.zeros((len(texts), self._checkpoint.dim), dtype=np.float32)
        counted: dict[str, Any] = {"tokens": 0, "drift": 0.0, "error": "", "by_model": False}
        try:
            engine = self._engine = self._engine or open_engine(self._checkpoint, self._setup)
            before = engine.totals.tokens
            vectors = engine.encode(texts, self._instruction)
            counted |= {"tokens": engine.totals.tokens - before, "drift": engine.drift}
        except UserError as e:
            counted |= {"error": str(e), "by_model": isinstance(e, ModelOutputError)}
        rest = {name: [type(value)()] * (len(texts) - 1) for name, value in counted.items()}
        columns = {name: np.array([value, *rest[name]]) for name, value in counted.items()}
        return {"at": block["at"], "vector": vectors, **columns}


def look(setup: Setup, checkpoint: Checkpoint) -> tuple[dict[str, Any], Probe | UserError]:
    """Describe the worker, and take its probe."""
    prepare(setup)
    engine = open_engine(checkpoint, setup)
    try:
        return engine.machine(), engine.probe
    except UserError as e:
        return engine.machine(), e


def open_engine(checkpoint: Checkpoint, setup: Setup) -> WorkerEngine:
    """Return what computes on this node.

    Raises:
        UserError: the model cannot be had here, or is another one, or its form does not run here.
    """
    found = find(checkpoint, setup)
    check_installed([found.form])
    check_device([found.form], setup.device)
    return WorkerEngine(found, setup)


def prepare(setup: Setup) -> None:
    """Set what libraries look at when they are imported; paths are those of the node of the run."""
    here = at_home(setup)
    os.environ.update({k: v for k, v in setup.environment.items() if here or k.endswith(("_OFFLINE", "_TELEMETRY"))})
    if setup.device == "cpu":
        os.environ["RAYON_NUM_THREADS"] = str(setup.threads)  # Ray sets the others
    if here:
        os.chdir(setup.folder)
    Progress.enabled = False


def find(given: Checkpoint, setup: Setup) -> Checkpoint:
    """Return the model's files on this node; on another than the run's own they must be the same, byte by byte.

    Raises:
        UserError: they cannot be had here, or are others; the line names the node.
    """
    if at_home(setup):
        return given
    request, name = setup.request, f"{given.name}@{given.revision}"
    if given.revision == "local" or given.revision.startswith("pypi:"):
        name = str(given.folder) if given.revision == "local" else EMBEDDED
    try:
        here = locate(
            ModelSpec.parse(name),
            offline=request.settings.offline,
            known=[],
            family=request.family,
            with_code=request.trust_remote_code,
        )
    except UserError as e:
        raise UserError(f"node {address()} cannot load {given.name}: {e}; every node needs the model") from e
    as_given = {name: getattr(given, name) for name in ("name", "revision", "variant", "stored")}
    found = dataclasses.replace(here, **as_given)
    if found.fingerprint != given.fingerprint:
        raise UserError(
            f"node {address()} has another {given.name} than the node of the run (fingerprint {found.fingerprint}, "
            f"not {given.fingerprint}): copy the same files to {name} there, or give a hub id with a revision"
        )
    return found


def at_home(setup: Setup) -> bool:
    """Return whether this is the node on which `evaluate` runs."""
    import ray

    return bool(ray.get_runtime_context().get_node_id() == setup.home)


def address() -> str:
    """Return this node's address."""
    import ray

    return str(ray.util.get_node_ip_address())


def lost(error: Exception) -> str:
    """Return in one line why Ray gave up: it says so in many."""
    known = {
        "WorkerCrashedError": "its process died",
        "NodeDiedError": "its node died",
        "OutOfMemoryError": "its node had no memory left",
        "ObjectLostError": "its result was lost with its node",
        "ActorDiedError": "its process or node died",
    }
    kind = type(error).__name__
    why = next((text for name, text in known.items() if name in kind), None)
    if why is None:
        return one_line(f"unexpected {kind}: {getattr(error, 'cause', None) or error}")[:500]
    return (
        f"lost {RETRIES + 1} times with the worker that computed it ({why}): if memory was short, give fewer "
        "--batch-tokens; run the same command again"
    )
