"""What a served model is asked and gives: the contract of servers, hosted providers and packages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from instructor_eval.core.values import Vectors


@dataclass(frozen=True)
class Limits:
    """How much is asked for at a time."""

    texts: int = 64
    tokens: int = 8192
    """Tokens in a request, estimated: no tokenizer is known, and one stands for four bytes of UTF-8."""
    concurrency: int = 4
    """Requests at the same time; 0: one after another, in the thread that asks."""


@dataclass(frozen=True)
class Serving:
    """How served models are asked: what the flags say."""

    family: str | None = None
    label: str = ""
    """The user's name for the state of its weights: part of the fingerprint."""
    limits: Limits = field(default_factory=Limits)
    tries: int = 7
    timeout: float = 60.0
    price: float | None = None
    """USD per million tokens."""
    device: str = "auto"
    trust_remote_code: bool = False


class ServedModel(ABC):
    """A model that gives vectors and has no files here: what a plugin brings.

    `name`, `identity` and `embed` are what it must have.
    """

    name: str
    """As tables and score files call it: `kind:` and the rest of `--model`."""
    identity: Mapping[str, Any]
    """JSON of everything known that changes a vector; its hash is the fingerprint."""
    card_name: str = ""
    """The name under which task cards may have instructions for it; empty: `name`."""
    revision: str = "served"
    family: str = "plain"
    family_rule: str = "served: no instruction"
    prompts: Mapping[str, str] = {}
    prompts_rule: str = ""
    max_length: int = 0
    """Tokens that it reads; 0: not known."""
    where: str = "remote"
    """The device that computes."""
    limits: Limits = Limits()
    cached: bool = True
    """False where nothing says whether it is the same model as before: its vectors serve one run alone."""
    libraries: tuple[str, ...] = ()
    """Packages that take part; their versions are filed with a score."""

    @abstractmethod
    def embed(self, texts: Sequence[str], instruction: str) -> Vectors:
        """The vectors of at most `limits.texts` texts under what `scope` gave: float32 [len(texts), dim], in order.

        Called from `limits.concurrency` threads. Faults that may pass are its own to repeat, a bounded number of times.

        Raises:
            TooMuchError: fewer texts might do.
            UserError: it cannot be had.
        """

    def embed_briefly(self, texts: Sequence[str], instruction: str) -> Vectors:
        """As `embed`, asked again once at most: to find the text that a server fails on."""
        return self.embed(texts, instruction)

    def scope(self, instruction: str, task: str, task_type: str, role: str) -> str:
        """What vectors depend on beside the text, as one string: part of the cache's key, and given to `embed`."""
        return instruction

    def totals(self) -> dict[str, float]:
        """What was used so far: `requests`, `retries`, `tokens`, `usd`, as far as they are known."""
        return {}

    def notes(self) -> tuple[str, ...]:
        """What a reader of a score must know of it, as far as its answers have shown."""
        return ()

    def stop(self) -> None:  # noqa: B027 # most have nothing to stop
        """Nobody waits any more for what is under way; a later `embed` is a new beginning."""
