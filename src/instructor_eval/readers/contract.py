"""The contract of readers: questions in, answers out, in whatever order they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from instructor_eval.core.errors import UserError


@dataclass(frozen=True)
class Question:
    """One item, as a reader is asked it."""

    prompt: str
    options: tuple[str, ...] = ()
    """Continuations of the prompt, exactly as they follow it; without any, the answer is generated."""
    most_similar: str = ""
    """The answer of the demonstration nearest to the item, "" without demonstrations: what `nearest` says."""
    max_tokens: int = 64
    """How many tokens are generated at most."""
    stop: tuple[str, ...] = ()
    """A generated answer ends before the first of these."""


@dataclass(frozen=True)
class Answer:
    """What a reader says."""

    text: str
    """The chosen option as it stands in the question, or what was generated, up to the first stop."""
    losses: tuple[float, ...] = ()
    """Per option the mean negative log-likelihood of its tokens, in nats; the first of the smallest is chosen.

    The tokens of an option are those that reach beyond the prompt when prompt and option are tokenised as one text.
    """


class Reader(Protocol):
    """Answers questions. Nothing heavy happens before the first question is read."""

    @property
    def name(self) -> str:
        """As on the command line, revision included where there is one: `nearest`, `hf:org/name`, `endpoint:...`."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash (16 hex digits) of all that is known to change an answer, batch and device aside."""
        ...

    @property
    def is_cheap(self) -> bool:
        """Whether asking is so cheap that answers need not be kept."""
        ...

    def describe(self) -> dict[str, Any]:
        """What a score file says of the reader: name, fingerprint, and what else there is to know."""
        ...

    def read(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        """Answer, each answer with its question's place in `questions`, in any order, as soon as it is there.

        Raises:
            UserError: the reader cannot be had, or cannot read these questions.
        """
        ...

    def close(self) -> None:
        """Give back memory and connections; the next question starts anew."""
        ...


class RefusedPromptError(UserError):
    """A prompt that a server does not take.

    Args:
        url: The API's root.
        prompt: As it was sent.
        said: What the server said.
        step: What the user can do.
        where: Which question it is of, as far as that is known.
    """

    def __init__(self, url: str, prompt: str, said: str, step: str, where: str = "") -> None:
        self._parts = url, prompt, said, step
        self.place: int | None = None
        """Of its question among those that were read."""
        what = f"refuses the prompt{where} ({len(prompt):,} characters, {prompt[:40]!r}...)"
        super().__init__(f"endpoint:{url}: {what}: {said}: {step}, or use hf: or nearest")

    def of(self, where: str) -> Self:
        """The same, of a question that is known by its place."""
        return type(self)(*self._parts, where)


PAPER_READER = "hf:EleutherAI/gpt-j-6b"
