"""The contract of readers: questions in, answers out, in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from instructor_eval.core.errors import UserError


@dataclass(frozen=True)
class Question:
    """One item as a question to a reader."""

    prompt: str
    options: tuple[str, ...] = ()
    """Continuations of the prompt, exactly as they follow it; without any, the answer is generated."""
    most_similar: str = ""
    """The answer of the demonstration nearest to the item, "" without demonstrations: the answer of `nearest`."""
    max_tokens: int = 64
    """Generated tokens at most."""
    stop: tuple[str, ...] = ()
    """A generated answer ends before the first of these."""


@dataclass(frozen=True)
class Answer:
    """A reader's answer."""

    text: str
    """The chosen option as in the question, or the generated text up to the first stop."""
    losses: tuple[float, ...] = ()
    """The mean negative log-likelihood of each option's tokens, in nats; the first of the smallest is chosen.

    An option's tokens are those that end after the prompt when prompt and option are tokenised as one text.
    """


class Reader(Protocol):
    """A reader of questions. Nothing heavy happens before the first question."""

    @property
    def name(self) -> str:
        """Its name on the command line, with its revision if it has one: `nearest`, `hf:org/name`, `endpoint:...`."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash (16 hex digits) of everything that is known to change an answer, but batch and device."""
        ...

    @property
    def is_cheap(self) -> bool:
        """True if asking is so cheap that answers need no cache."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return the reader's part of a score file: name, fingerprint, and more."""
        ...

    def read(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        """Yield answers with their questions' places in `questions`, in any order, as soon as they are known.

        Raises:
            UserError: the reader cannot be had, or cannot read these questions.
        """
        ...

    def close(self) -> None:
        """Release memory and connections; the next question opens them again."""
        ...


class RefusedPromptError(UserError):
    """A prompt that a server refuses.

    Args:
        url: The API's root.
        prompt: The prompt as it was sent.
        said: The server's answer.
        step: The user's next step.
        where: The question's place, if it is known.
    """

    def __init__(self, url: str, prompt: str, said: str, step: str, where: str = "") -> None:
        self._parts = url, prompt, said, step
        self.place: int | None = None
        """The question's place among those that were read."""
        what = f"refuses the prompt{where} ({len(prompt):,} characters, {prompt[:40]!r}...)"
        super().__init__(f"endpoint:{url}: {what}: {said}: {step}, or use hf: or nearest")

    def of(self, where: str) -> Self:
        """Return the same error with the question's place."""
        return type(self)(*self._parts, where)


PAPER_READER = "hf:EleutherAI/gpt-j-6b"
