"""The string that is tokenised, and the positions that pooling leaves out: where an instruction meets its text.

There are three rules. INSTRUCTOR: as InstructorEmbedding 1.0.1 (docs/protocol.md, "The encoder"; tests/golden has that
release's vectors). EXCLUDED: as sentence-transformers for a Pooling with `include_prompt` false. POOLED: the prompt is
pooled like the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

INSTRUCTOR, EXCLUDED, POOLED = "instructor", "excluded", "pooled"


def input_string(instruction: str, text: str, *, rule: str) -> str:
    """Return the one string that is tokenised.

    INSTRUCTOR: `(instruction + text.strip()).strip()`, nothing between (InstructorEmbedding 1.0.1). Otherwise the
    prompt and the text as they are, as sentence-transformers joins them.
    """
    if rule == INSTRUCTOR:
        return (instruction + text.strip()).strip()
    return instruction + text


def skipped_positions(tokenizer: Any, instruction: str, *, rule: str) -> int:
    """Return how many leading positions pooling leaves out: the instruction's tokens without its closing token.

    INSTRUCTOR: the tokens of the stripped instruction; a single token counts as none (1.0.1). `tokenizer` truncates, so
    an instruction beyond the maximum leaves the closing token alone to be pooled.
    """
    if rule == POOLED or not instruction:
        return 0
    given = instruction.strip() if rule == INSTRUCTOR else instruction
    [encoded] = _encode(tokenizer, [given])
    k = len(encoded.ids)
    if k and _is_special(tokenizer, encoded):
        k -= 1
    return 0 if rule == INSTRUCTOR and k <= 1 else k


def _is_special(tokenizer: Any, encoded: Any) -> bool:
    """Return whether the last token closes the text, or is one of the tokenizer's special tokens."""
    if encoded.special_tokens_mask[-1]:
        return True
    token = tokenizer.get_added_tokens_decoder().get(encoded.ids[-1])
    return bool(token is not None and token.special)


def encode_ids(tokenizer: Any, strings: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each string, special tokens included; computed on all cores.

    A lone surrogate, which has no UTF-8, becomes U+FFFD.
    """
    return [e.ids for e in _encode(tokenizer, strings)]


def _encode(tokenizer: Any, strings: Sequence[str]) -> Any:
    try:
        return tokenizer.encode_batch_fast(list(strings))
    except (TypeError, UnicodeError):
        return tokenizer.encode_batch_fast([whole_characters(s) for s in strings])


def whole_characters(string: str) -> str:
    """Return the string with U+FFFD in place of every lone surrogate."""
    return string.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
