"""Token counts for prompt budgets: GPT-2's tokenizer for any reader, by the protocol.

Its merges lie beside this file, as OpenAI released them; the vocabulary follows from them. So budgets cannot differ
between machines.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

_MERGES = Path(__file__).parent / "gpt2" / "vocab.bpe.gz"


class BudgetTokenizer:
    """GPT-2's tokenizer: it counts tokens, and cuts texts between them."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        return [len(e) for e in self._tokenizer.encode_batch_fast([_whole(t) for t in texts])]

    def count(self, text: str) -> int:
        """Return the number of tokens of one text."""
        return self.counts([text])[0]

    def head(self, text: str, tokens: int) -> str:
        """Return the first `tokens` tokens of a text."""
        spans = self._spans(text)
        return text if len(spans) <= tokens else text[: spans[tokens - 1][1] if tokens > 0 else 0]

    def tail(self, text: str, tokens: int) -> str:
        """Return the end of a text that has no more than `tokens` tokens.

        The end alone may be tokenised otherwise than within the text, so the cut moves until it fits.
        """
        spans = self._spans(text)
        if len(spans) <= tokens:
            return text
        for start in range(len(spans) - tokens, len(spans)):
            rest = text[spans[start][0] :]
            if self.count(rest) <= tokens:
                return rest
        return ""

    def _spans(self, text: str) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = self._tokenizer.encode(_whole(text)).offsets
        return spans


def _whole(text: str) -> str:
    """Replace each half of a surrogate pair, which no tokenizer accepts, by one replacement character."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text


@cache
def budget_tokenizer() -> BudgetTokenizer:
    """Return GPT-2's tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE(vocabulary(), merges()))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return BudgetTokenizer(tokenizer)


def merges() -> list[tuple[str, str]]:
    """Return GPT-2's pairs of pieces that become one, in the order in which they do."""
    lines = gzip.decompress(_MERGES.read_bytes()).decode().split("\n")[1:]
    return [(first, second) for line in lines if line for first, second in [line.split(" ")]]


def vocabulary() -> dict[str, int]:
    """Return GPT-2's pieces with their ids: the bytes, then what each merge makes.

    A byte that is no printable character of Latin-1 is written as one from U+0100 on.
    """
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [256 + i for i in range(256 - len(printed))]
    pieces = [*map(chr, (*printed, *others)), *(first + second for first, second in merges()), "<|endoftext|>"]
    return {piece: number for number, piece in enumerate(pieces)}
