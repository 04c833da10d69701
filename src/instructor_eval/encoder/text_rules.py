"""What exactly is tokenised, and which positions pooling leaves out. InstructorEmbedding 1.0.1 is the reference.

See docs/protocol.md, "The encoder"; tests/golden holds that release's vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def input_string(instruction: str, text: str, *, skips_instruction: bool) -> str:
    """The one string that is tokenised.

    INSTRUCTOR: `(instruction + text.strip()).strip()`, nothing between (InstructorEmbedding 1.0.1). Other families:
    the prompt and the text as they are, as sentence-transformers joins them.
    """
    if skips_instruction:
        return (instruction + text.strip()).strip()
    return instruction + text


def skipped_positions(tokenizer: Any, instruction: str) -> int:
    """How many leading positions INSTRUCTOR's pooling leaves out: k tokens of the stripped instruction.

    Its closing token does not count, and one token or none counts as none (1.0.1). `tokenizer` truncates, so an
    instruction beyond the maximum leaves the closing token alone to be pooled.
    """
    k = len(encode_ids(tokenizer, [instruction.strip()])[0]) - 1
    return k if k > 1 else 0


def encode_ids(tokenizer: Any, strings: Sequence[str]) -> list[list[int]]:
    """Token ids of each string, special tokens included; in parallel on all cores.

    A lone surrogate, which has no UTF-8, becomes U+FFFD.
    """
    try:
        encoded = tokenizer.encode_batch_fast(list(strings))
    except (TypeError, UnicodeError):
        cleaned = [s.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for s in strings]
        encoded = tokenizer.encode_batch_fast(cleaned)
    return [e.ids for e in encoded]
