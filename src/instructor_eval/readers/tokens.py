"""Questions in tokens: what the options of a question share, what is left of each, and where an option begins."""

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
    """A question as a language model reads it."""

    place: int
    """Its place among the questions."""
    question: Question
    prefix: array[int]
    """The tokens that all its options' texts begin with, none of an option among them; or the whole prompt.

    Packed, since all questions are held at once.
    """
    rests: list[list[int]]
    """What follows the prefix in each option's text; nothing where the answer is generated."""
    starts: list[int]
    """Where in its rest each option begins."""

    @property
    def need(self) -> int:
        """Tokens that the longest of its texts has, the generated ones included."""
        return len(self.prefix) + max(map(len, self.rests), default=self.question.max_tokens)


class Tokens:
    """A tokenizer as a language model wants it: what it puts in front of a text stays, what it puts behind does not.

    Args:
        folder: The checkpoint.
        name: What errors call the reader.
        first: The token put in front where nothing stands before the first one to predict.
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
            UserError: an option has no token of its own, or nothing stands before the first token to predict.
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
        shared = min(_alike(rows), *starts)
        rests = [ids[shared:] for ids in rows]
        return Asked(place, question, array("i", rows[0][:shared]), rests, [start - shared for start in starts])

    def text(self, ids: list[int]) -> str:
        """The text of generated tokens, special ones left out."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _first(self) -> int:
        if self._first_id is None:
            raise UserError(
                f"reader {self._name} has no token to begin a text with, and a prompt is empty: "
                "give the prompt a text, or use another reader"
            )
        return self._first_id

    def _encode(self, texts: list[str]) -> list[tuple[list[int], list[int]]]:
        """Of each text the token ids, and where in the text each token ends."""
        # A lone surrogate has no UTF-8; one character stands for it, so that places in the text stay.
        encodings = self._tokenizer.encode_batch([_SURROGATE.sub("\ufffd", text) for text in texts])
        kept = [len(e.ids) - self._closing for e in encodings]
        return [(e.ids[:n], [end for _, end in e.offsets[:n]]) for e, n in zip(encodings, kept, strict=True)]


def _alike(rows: list[list[int]]) -> int:
    """How many leading tokens all rows have in common: as many as the first and the last of them in order."""
    pairs = zip(min(rows), max(rows), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(map(len, rows)))


def cut(text: str, stops: Sequence[str]) -> str:
    """`text` before the first of `stops` in it."""
    return text[: min((at for stop in stops if stop and (at := text.find(stop)) >= 0), default=len(text))]
