"""Requests that a server refuses or never answers: in halves, down to the one text that it cannot take."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from instructor_eval.core.errors import UserError
from instructor_eval.core.http import UnansweredError
from instructor_eval.core.http_replies import TOO_LONG
from instructor_eval.core.values import Vectors

if TYPE_CHECKING:
    from instructor_eval.models.served.contract import ServedModel


class TooMuchError(UserError):
    """A request that the server refuses; one of fewer texts may do."""


class RefusedTextError(UserError):
    """A text that a server does not take even alone.

    Args:
        model: The model's name.
        text: The text, without an instruction.
        said: What the server said.
        where: Which one it is, as far as that is known: `document no. 12`.
    """

    def __init__(self, model: str, text: str, said: str, where: str = "") -> None:
        self._parts = model, said
        self.text = text
        blank = not text.strip()
        if blank:
            step = "give that row a text, or leave it out"
        elif TOO_LONG.search(said):
            step = "cut that text, or let the server cut long ones (TEI: --auto-truncate)"
        else:
            step = "change what the server names, run again"
        beginning = text if len(text) <= 40 else f"{text[:37]}..."
        about = "blank" if blank else f"{len(text):,} characters, {beginning!r}"
        super().__init__(f"{model}: refuses {where or 'a text'} even alone ({about}): {said}: {step}")

    def placed(self, where: str) -> Self:
        """The same, of a text that is known by its place in the data."""
        model, said = self._parts
        return type(self)(model, self.text, said, where)


class Learnt:
    """What was learnt of a server: how many texts it takes at a time.

    One for all who ask it, in whatever thread.
    """

    def __init__(self, most: int) -> None:
        self.most = most

    def lower(self, most: int) -> None:
        """Ask for no more than `most` texts at a time from now on."""
        self.most = min(self.most, most)


class Asking:
    """The vectors of some texts, in requests that the model's server takes.

    Args:
        source: The model.
        learnt: What is known of its server; what is learnt here is noted there.
        known: A text that it is known to take: asked for alone, it tells a server that fails on a text from one that
            fails. Empty: there is none yet, and nothing more is asked of a server that did not answer.
    """

    def __init__(self, source: ServedModel, learnt: Learnt, known: str = "") -> None:
        self._source, self._learnt, self._known = source, learnt, known
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped.set()

    def vectors(self, texts: Sequence[str], instruction: str) -> Vectors:
        """The vectors of `texts`, in order.

        What is refused is asked for in halves. So is what breaks the server or keeps it busy, with few tries, if it
        still answers something else; a server that does not is asked no longer.

        Raises:
            RefusedTextError: one text is refused, or never answered, alone.
            UserError: they cannot be had.
        """

        def ask(part: Sequence[str]) -> Vectors:
            try:
                return self._source.embed(part, instruction)
            except TooMuchError as e:
                return self._halves(part, ask, e)
            except UnansweredError as e:
                if not (e.by_request and self._answers()):
                    raise
                return self._halves(part, ask_briefly, e)

        def ask_briefly(part: Sequence[str]) -> Vectors:
            try:
                return self._source.embed_briefly(part, instruction)
            except (TooMuchError, UnansweredError) as e:
                return self._halves(part, ask_briefly, e)

        return self._pieces(texts, ask)

    def _pieces(self, texts: Sequence[str], ask: Callable[[Sequence[str]], Vectors]) -> Vectors:
        """In as few requests as are taken."""
        if self._stopped.is_set():
            raise UserError(f"{self._source.name}: stopped")
        most = self._learnt.most  # others may have learnt it meanwhile
        if len(texts) <= most:
            return ask(texts)
        return np.concatenate([self._pieces(texts[at : at + most], ask) for at in range(0, len(texts), most)])

    def _halves(self, texts: Sequence[str], ask: Callable[[Sequence[str]], Vectors], why: UserError) -> Vectors:
        if len(texts) == 1:
            said = why.said if isinstance(why, UnansweredError) else str(why).removeprefix(f"{self._source.name}: ")
            raise RefusedTextError(self._source.name, texts[0], said) from None
        half = (len(texts) + 1) // 2
        parts = [self._pieces(part, ask) for part in (texts[:half], texts[half:])]
        self._learnt.lower(half)  # it is the number that was too large, as the halves have passed
        return np.concatenate(parts)

    def _answers(self) -> bool:
        """Whether the server answers anything."""
        if not self._known:
            return False
        try:
            self._source.embed_briefly([self._known], "")
        except UserError:
            return False
        return True
