"""The contract of a served model: of servers, hosted providers and installed packages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Vectors


class TooMuchError(UserError):
    """A request that the server refuses; one with fewer texts may pass."""


@dataclass(frozen=True)
class Limits:
    """Sizes of requests."""

    texts: int = 64
    tokens: int = 8192
    """Tokens in a request, estimated without a tokenizer: four bytes of UTF-8 count as one."""
    concurrency: int = 4
    """Requests at the same time; 0: one after another, in the thread that asks."""


@dataclass(frozen=True)
class Serving:
    """Settings of served models, from the command line."""

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
    """A model that gives vectors and has no files here; plugins subclass it.

    It must have `name`, `identity` and `embed`.
    """

    name: str
    """Its name in tables and score files: `kind:` and the rest of `--model`."""
    identity: Mapping[str, Any]
    """JSON of everything known that changes a vector; its hash is the fingerprint."""
    card_name: str = ""
    """The name under which task cards list instructions for it; empty: `name`."""
    revision: str = "served"
    family: str = "plain"
    family_rule: str = "served: no instruction"
    prompts: Mapping[str, str] = {}
    prompts_rule: str = ""
    max_length: int = 0
    """Tokens of a text that it reads; 0: not known."""
    where: str = "remote"
    """The device that computes."""
    limits: Limits = Limits()
    cached: bool = True
    """False where nothing says whether it is the same model as before: its vectors serve one run alone."""
    libraries: tuple[str, ...] = ()
    """Packages that take part; a score files their versions."""

    @abstractmethod
    def embed(self, texts: Sequence[str], instruction: str) -> Vectors:
        """Embed at most `limits.texts` texts under the result of `scope`: float32 [len(texts), dim], in order.

        Called from `limits.concurrency` threads. It repeats after errors that may pass, a bounded number of times.

        Raises:
            TooMuchError: fewer texts may pass.
            UserError: the vectors cannot be had.
        """

    def embed_briefly(self, texts: Sequence[str], instruction: str) -> Vectors:
        """Embed like `embed` with at most one retry: to find the text that a server fails on."""
        return self.embed(texts, instruction)

    def scope(self, instruction: str, task: str, task_type: str, role: str) -> str:
        """Return what vectors depend on beside the text, as one string, for the cache's key and for `embed`.

        Args:
            instruction: The literal instruction.
            task: The task's name.
            task_type: The name of its type.
            role: What the text is for: query, document, classification, clustering, similarity, or a role of the task.
        """
        return instruction

    def totals(self) -> dict[str, float]:
        """Return the use so far: `requests`, `retries`, `tokens`, `usd`, as far as they are known."""
        return {}

    def notes(self) -> tuple[str, ...]:
        """Return remarks that a reader of a score needs, as far as its answers have shown."""
        return ()

    def stop(self) -> None:  # noqa: B027 # most have nothing to stop
        """Stop the requests in flight, since nobody waits for them; a later `embed` works again."""
