"""Questions in tokens: the tokens that a question's options share, the rest of each, and where an option begins."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from instructor_eval.core.errors import UserError
from instructor_eval.models.folder.tokenizer import read_tokenizer
from instructor_eval.readers.contract import Question

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Asked:
    """A question in tokens."""

    place: int
    """Its place among the questions."""
    question: Question
    prefix: array[int]
    """The tokens at the beginning of all its options' texts, none of an option among them; or the whole prompt.

    An array, since all questions are in memory at once.
    """
    rests: list[list[int]]
    """The tokens after the prefix in each option's text; empty for generated answers."""
    starts: list[int]
    """The place in its rest where each option begins."""

    @property
    def need(self) -> int:
        """The tokens of its longest text, generated ones included."""
        return len(self.prefix) + max(map(len, self.rests), default=self.question.max_tokens)


class Tokens:
    """A tokenizer for a language model: special tokens before a text stay, those after it are left out.

    Args:
        folder: The checkpoint.
        name: The reader's name in errors.
        first: The token in front of a text that has nothing before its first predicted token.
    """

    def __init__(self, folder: Path, *, name: str, first: int | None) -> None:
        self._tokenizer = read_tokenizer(folder, name)
        self._name = name
        self._first_id = first
        probe = self._tokenizer.encode("a").special_tokens_mask
        self._closing = next((i for i, special in enumerate(reversed(probe)) if not special), len(probe))

    def ask(self, place: int, question: Question) -> Asked:
        """Tokenise a question.

        Raises:
            UserError: an option has no token of its own, or nothing comes before the first predicted token.
        """
        if not question.options:
            [(prompt, _)] = self._encode([question.prompt])
            return Asked(place, question, array("i", prompt or [self._first()]), [], [])
        texts = self._encode([question.prompt + option for option in question.options])
        rows = [ids for ids, _ in texts]
        starts = []
        for option, (ids, ends) in zip(question.options, texts, strict=True):
            start = next((i for i, end in enumerate(ends) if end > len(question.prompt)), len(ids))
            if start == len(ids):
                raise UserError(
                    f"reader {self._name}: its tokenizer finds no token of its own for the option {option[:60]!r}: "
                    "give the option a text, or end the prompt with another character"
                )
            starts.append(start)
        if min(starts) == 0:
            rows = [[self._first(), *ids] for ids in rows]
            starts = [start + 1 for start in starts]
        shared = min(_shared_length(rows), *starts)
        rests = [ids[shared:] for ids in rows]
        return Asked(place, question, array("i", rows[0][:shared]), rests, [start - shared for start in starts])

    def text(self, ids: list[int]) -> str:
        """Return the text of generated tokens, without special ones."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _first(self) -> int:
        if self._first_id is None:
            raise UserError(
                f"reader {self._name} has no token to begin a text with, and a prompt is empty: "
                "give the prompt a text, or use another reader"
            )
        return self._first_id

    def _encode(self, texts: list[str]) -> list[tuple[list[int], list[int]]]:
        """Return for each text its token ids, and the place in the text where each token ends."""
        # A lone surrogate has no UTF-8; one character replaces it, so that places in the text stay.
        encodings = self._tokenizer.encode_batch([_SURROGATE.sub("\ufffd", text) for text in texts])
        lengths = [len(e.ids) - self._closing for e in encodings]
        return [(e.ids[:n], [end for _, end in e.offsets[:n]]) for e, n in zip(encodings, lengths, strict=True)]


def _shared_length(rows: list[list[int]]) -> int:
    """Return how many leading tokens all rows share: as many as the first and the last in sorted order."""
    pairs = zip(min(rows), max(rows), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(map(len, rows)))


def cut(text: str, stops: Sequence[str]) -> str:
    """Return a text up to the first of `stops` in it."""
    return text[: min((at for stop in stops if stop and (at := text.find(stop)) >= 0), default=len(text))]
