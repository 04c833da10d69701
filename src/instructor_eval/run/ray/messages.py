"""What the run, its task processes and its workers say to each other: plain values, no network and no cache in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from instructor_eval.core.errors import ModelOutputError, UserError
from instructor_eval.core.values import Vectors

if TYPE_CHECKING:
    from instructor_eval.models.checkpoint import Checkpoint
    from instructor_eval.results.probe import Probe


@dataclass(frozen=True)
class Model:
    """A checkpoint in one numeric form, as a worker on any node can find it."""

    key: int
    """Its number in this run."""
    name: str
    """As `--model` takes it: a hub id at its commit, an absolute folder, or the embedded model."""
    checkpoint: Checkpoint
    """As the run's own node read it."""
    fingerprint: str
    home: str
    """Ray's id of that node: there nothing needs to be looked up again."""
    family: str | None = None
    device: str = "cpu"
    batch_tokens: int | None = None
    compiled: bool = False
    trust_remote_code: bool = False
    offline: bool = False


@dataclass(frozen=True)
class Ask:
    """A share of work for one worker: texts to embed, or the model's probe to take."""

    number: int
    model: int
    instruction: str = ""
    texts: list[str] = field(default_factory=list)
    probe: bool = False


@dataclass(frozen=True)
class Reply:
    """What a worker made of it."""

    vectors: Vectors | None
    """float32 [texts, dim], checked, and rounded as the cache keeps them"""
    tokens: int
    seconds: float
    """of computing, loading not counted"""
    load: float
    """seconds that loading the model took, where this share was the first"""
    hardware: Mapping[str, Any]
    drift: float = 0.0
    """how far rounding moved a vector at most, as a share of its length"""
    notes: tuple[str, ...] = ()
    """lines that the user should see"""
    probe: Probe | None = None
    workers: int = 1
    """alive, as the run knows; filled in there"""


@dataclass(frozen=True)
class Failure:
    """Why a share cannot be done, wherever it is tried."""

    text: str
    kind: str = "user"
    """user, output (the model gave no usable vector), or unexpected (a library's exception)"""
    trace: str = ""
    notes: tuple[str, ...] = ()

    def error(self) -> Exception:
        """The exception that it would have been in one process."""
        if self.kind != "unexpected":
            return ModelOutputError(self.text) if self.kind == "output" else UserError(self.text)
        error = WorkerError(self.text)
        if self.trace:
            error.add_note(self.trace)
        return error


class WorkerError(RuntimeError):
    """A library's exception in a worker: its kind, where, and what it said."""


@dataclass(frozen=True)
class About:
    """A worker that is ready."""

    node: str
    """address, for people"""
    pid: int
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]


@dataclass(frozen=True)
class Status:
    """How far a worker is with what it is doing."""

    done: int
    """texts of the share in hand"""
    still: float
    """seconds since the last of them"""
    loading: bool
