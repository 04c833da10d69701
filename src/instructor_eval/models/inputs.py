"""Token ids of texts, for models that are computed here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from instructor_eval.core.errors import ModelOutputError, UserError
from instructor_eval.core.outside import as_user_error
from instructor_eval.models import pooling
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.folder.tokenizer import read_tokenizer

if TYPE_CHECKING:
    from instructor_eval.models.packed import Ids

_LARGEST_ID = 2**31 - 1


class OwnInputs:
    """A checkpoint's tokenizer under the rule of its family."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, truncating at the model's maximum."""
        tokenizer = self._read()
        if self.checkpoint.max_length:
            tokenizer.enable_truncation(self.checkpoint.max_length)
        return tokenizer

    @cached_property
    def _whole(self) -> Any:
        return self._read()

    def _read(self) -> Any:
        checkpoint = self.checkpoint
        return read_tokenizer(checkpoint.transformer, checkpoint.name, lowercase=checkpoint.lowercase)

    def skip(self, instruction: str) -> int:
        """Return how many leading positions pooling leaves out."""
        return pooling.skipped_positions(self.tokenizer, instruction, rule=self.checkpoint.prompt_rule)

    def lengths(self, texts: Sequence[str], instruction: str) -> list[int]:
        """Return the number of tokens of each input, not truncated."""
        return [len(ids) for ids in self._ids(self._whole, texts, instruction)]

    def spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Return where each token of each text stands, in characters; without special tokens, not truncated."""
        with as_user_error(f"model {self.checkpoint.name}: its tokenizer fails on a text", "use another checkpoint"):
            whole = [pooling.whole_characters(text) for text in texts]
            found = self._whole.encode_batch(whole, add_special_tokens=False)
            return [[(start, end) for start, end in one.offsets if end > start] for one in found]

    def _ids(self, tokenizer: Any, texts: Sequence[str], instruction: str) -> list[list[int]]:
        with as_user_error(f"model {self.checkpoint.name}: its tokenizer fails on a text", "use another checkpoint"):
            rule = self.checkpoint.prompt_rule
            return pooling.encode_ids(tokenizer, [pooling.input_string(instruction, t, rule=rule) for t in texts])

    def rows(self, texts: Sequence[str], instruction: str, skip: int = 0) -> list[Ids]:
        """Return the token ids of each input.

        Raises:
            ModelOutputError: a text has none, or none that would be pooled.
            UserError: an id is beyond 32 bits.
        """
        rows = self._ids(self.tokenizer, texts, instruction)
        for text, row in zip(texts, rows, strict=True):
            if not row:
                raise ModelOutputError(
                    f"model {self.checkpoint.name}: its tokenizer finds no token in the text {text[:60]!r}: "
                    "there is nothing to embed"
                )
            if max(row) > _LARGEST_ID:
                raise UserError(
                    f"model {self.checkpoint.name}: a token's id is {max(row):,}, beyond its embeddings: tokenizer and "
                    "weights do not belong together"
                )
            if skip >= len(row):
                raise ModelOutputError(
                    f"model {self.checkpoint.name}: nothing is left to pool of the text {text[:60]!r} under the "
                    f"instruction {instruction[:60]!r}: their tokens merge; end the instruction with a space"
                )
        return [np.array(row, dtype=np.int32) for row in rows]
