"""A worker: one network on one GPU or CPU share. Texts in, vectors out; no cache, no data, no results.

Ray makes an actor of the class. What the user can mend is returned as a value, so that an exception always means that
the worker itself was lost.
"""

from __future__ import annotations

import dataclasses
import gc
import os
import time
import traceback
from typing import TYPE_CHECKING, Any

from instructor_eval.core.errors import ModelOutputError, UserError, one_line
from instructor_eval.core.progress import Progress
from instructor_eval.run.ray.messages import About, Failure, Model, Reply, Status

if TYPE_CHECKING:
    from instructor_eval.models.checkpoint import Checkpoint
    from instructor_eval.models.engine import Engine

_VERSIONS = ("torch", "transformers", "tokenizers")


class _Notes(Progress):
    """Counts texts for `status`, and collects the lines that are to be shown on the run's terminal."""

    def __init__(self) -> None:
        super().__init__("")
        self.notes: list[str] = []

    def note(self, line: str) -> None:
        self.notes.append(line)


class Worker:
    """Holds one model at a time.

    Args:
        threads: Cores that are this worker's.
        device: cpu, or cuda: the one GPU that it sees.
    """

    def __init__(self, threads: int, device: str) -> None:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
            os.environ[name] = str(threads)  # looked at when torch and the tokenizer are first used
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        self._threads, self._device = threads, device
        self._engine: Engine | None = None
        self._key = -1
        self._progress = _Notes()
        self._loading = False
        self._moved = time.monotonic()

    def ready(self) -> About:
        """Where it is and what it computes with."""
        from instructor_eval.core.environment import hardware, versions

        known = versions()
        wanted = {name: known[name] for name in ("instructor-eval", "python", *_VERSIONS) if name in known}
        return About(_node(), os.getpid(), wanted, hardware(self._device))

    def status(self) -> Status:
        """How far it is; answered beside the work."""
        done = self._progress.done
        return Status(done, time.monotonic() - max(self._moved, self._progress.last_call), self._loading)

    def encode(self, model: Model, instruction: str, texts: list[str]) -> Reply | Failure:
        """Embed `texts` under `instruction`: float32 [len(texts), dim], in input order."""
        return self._answer(model, instruction, texts)

    def probe(self, model: Model) -> Reply | Failure:
        """The model's probe for the drift gate, made by this worker."""
        return self._answer(model, "", None)

    def _answer(self, model: Model, instruction: str, texts: list[str] | None) -> Reply | Failure:
        self._progress, self._moved = _Notes(), time.monotonic()
        try:
            loaded = self._load(model)
            assert self._engine is not None
            before = dataclasses.replace(self._engine.totals)
            started = time.perf_counter()
            vectors = probe = None
            if texts is None:
                from instructor_eval.results.probe import take

                probe = take(self._engine)
            else:
                vectors = self._engine.encode(texts, instruction, progress=self._progress)
            return Reply(
                vectors,
                tokens=self._engine.totals.tokens - before.tokens,
                seconds=time.perf_counter() - started,
                load=loaded,
                hardware=_hardware(self._engine.device),
                drift=self._engine.drift,
                notes=tuple(self._progress.notes),
                probe=probe,
            )
        except UserError as e:
            kind = "output" if isinstance(e, ModelOutputError) else "user"
            return Failure(str(e), kind, notes=tuple(self._progress.notes))
        except Exception as e:  # noqa: BLE001 # a library's: it would be the same on every worker
            text = one_line(f"{type(e).__name__} on node {_node()}: {e}")[:400]
            return Failure(text, "unexpected", traceback.format_exc(), tuple(self._progress.notes))

    def _load(self, model: Model) -> float:
        """Make `model` the one in memory; the result is the seconds that took."""
        if self._key == model.key and self._engine is not None:
            return 0.0
        started, self._loading = time.perf_counter(), True
        try:
            self._forget()
            from instructor_eval.models.engine import Engine
            from instructor_eval.models.variant import check_device, check_installed

            checkpoint = find(model)
            check_installed([checkpoint.form])
            check_device([checkpoint.form], model.device)
            engine = Engine(
                checkpoint,
                device=model.device,
                batch_tokens=model.batch_tokens,
                trust_remote_code=model.trust_remote_code,
                compiled=model.compiled,
            )
            if model.device == "cpu":
                import torch

                torch.set_num_threads(self._threads)
            _ = engine.network
            self._engine, self._key = engine, model.key
        finally:
            self._loading, self._moved = False, time.monotonic()
        return time.perf_counter() - started

    def _forget(self) -> None:
        """Let go of the model in memory: the next may need all of it."""
        if self._engine is not None:
            self._engine, self._key = None, -1
            gc.collect()
            if self._device != "cpu":
                import torch

                torch.cuda.empty_cache()


def find(model: Model) -> Checkpoint:
    """The model's files on this node; on another than the run's own they must be the same, byte by byte.

    Raises:
        UserError: they cannot be had here, or are others; the line names the node.
    """
    import ray

    from instructor_eval.models.find import ModelSpec, locate

    given = model.checkpoint
    if ray.get_runtime_context().get_node_id() == model.home:
        return given
    try:
        here = locate(
            ModelSpec.parse(model.name),
            offline=model.offline,
            known=[],
            family=model.family,
            with_code=model.trust_remote_code,
        )
    except UserError as e:
        raise UserError(f"node {_node()} cannot load {given.name}: {e}; every node needs the model") from e
    found = dataclasses.replace(here, name=given.name, revision=given.revision, variant=given.variant)
    if found.fingerprint != model.fingerprint:
        raise UserError(
            f"node {_node()} has another {given.name} than the node of the run (fingerprint {found.fingerprint}, "
            f"not {model.fingerprint}): copy the same files to {model.name} there, or give a hub id with a revision"
        )
    return found


def _node() -> str:
    import ray

    return str(ray.util.get_node_ip_address())


def _hardware(device: str) -> dict[str, Any]:
    from instructor_eval.core.environment import hardware

    return {**hardware(device), "node": _node()}
