"""Requests that a server refuses or never answers: sent again in halves, down to the one text that it cannot take."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np

from instructor_eval.core.errors import UserError
from instructor_eval.core.http import UnansweredError
from instructor_eval.core.http_replies import TOO_LONG
from instructor_eval.core.values import Vectors
from instructor_eval.models.served.contract import ServedModel, TooMuchError


class RefusedTextError(UserError):
    """A text that a server refuses even alone.

    Args:
        model: The model's name.
        text: The text, without an instruction.
        said: The server's answer.
        where: The text's place in the data, if it is known: `document no. 12`.
    """

    def __init__(self, model: str, text: str, said: str, where: str = "") -> None:
        self._parts = model, said
        self.text = text
        empty = not text.strip()
        if empty:
            step = "give that row a text, or leave it out"
        elif TOO_LONG.search(said):
            step = "cut that text, or let the server cut long ones (TEI: --auto-truncate)"
        else:
            step = "change what the server names, run again"
        beginning = text if len(text) <= 40 else f"{text[:37]}..."
        about = "empty" if empty else f"{len(text):,} characters, {beginning!r}"
        super().__init__(f"{model}: refuses {where or 'a text'} even alone ({about}): {said}: {step}")

    def placed(self, where: str) -> Self:
        """Return the same error with the text's place in the data."""
        model, said = self._parts
        return type(self)(model, self.text, said, where)


class ServerLimit:
    """The number of texts that a server takes in a request; all threads that ask it share one."""

    def __init__(self, most: int) -> None:
        self.most = most

    def lower(self, most: int) -> None:
        """Lower the limit to `most` texts, if it is higher."""
        self.most = min(self.most, most)


class Requests:
    """The requests for the vectors of some texts, as many as the model's server needs.

    Args:
        source: The model.
        limit: Its server's limit, which a refusal lowers.
        known: A text that the server has accepted: asked for alone, it shows whether a server fails on one text or on
            all. Empty: there is none yet, and a server that did not answer is not asked again.
    """

    def __init__(self, source: ServedModel, limit: ServerLimit, known: str = "") -> None:
        self._source, self._limit, self._known = source, limit, known
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped.set()

    def vectors(self, texts: Sequence[str], instruction: str) -> Vectors:
        """Return the vectors of `texts`, in order.

        A refused request is sent again in halves. So is one that breaks the server or keeps it busy, with few tries, if
        the server still answers something else; if it does not, nothing more is sent.

        Raises:
            RefusedTextError: one text alone is refused, or never answered.
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
        """Send as few requests as the server takes."""
        if self._stopped.is_set():
            raise UserError(f"{self._source.name}: stopped")
        most = self._limit.most  # other threads may have lowered it
        if len(texts) <= most:
            return ask(texts)
        return np.concatenate([self._pieces(texts[at : at + most], ask) for at in range(0, len(texts), most)])

    def _halves(self, texts: Sequence[str], ask: Callable[[Sequence[str]], Vectors], why: UserError) -> Vectors:
        if len(texts) == 1:
            said = why.said if isinstance(why, UnansweredError) else str(why).removeprefix(f"{self._source.name}: ")
            raise RefusedTextError(self._source.name, texts[0], said) from None
        half = (len(texts) + 1) // 2
        parts = [self._pieces(part, ask) for part in (texts[:half], texts[half:])]
        self._limit.lower(half)  # the number was too large, since the halves have passed
        return np.concatenate(parts)

    def _answers(self) -> bool:
        """Return whether the server still answers."""
        if not self._known:
            return False
        try:
            self._source.embed_briefly([self._known], "")
        except UserError:
            return False
        return True
