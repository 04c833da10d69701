"""Checks of a tokenizer.json that could take all memory, which would end the process without an error to catch.

`tokenizers` is written in Rust: with full memory it aborts the process, and on a file that contradicts itself it panics
with lines on standard error. So the file is searched for oversized texts and tables first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UserError
from instructor_eval.core.output import quiet_output
from instructor_eval.core.outside import TOKENIZER_BYTES, as_user_error, read_json

_LONGEST_PIECE = 10_000
_ADDED_CHARACTERS = 2_000_000
"""Characters of all added tokens; `tokenizers` takes a hundred bytes for each."""
_MOST_SPECIAL = 1_000
_GROWTH = 100
"""Factor by which a normalizer may lengthen a text."""
_STEP = "copy or download it again"


def read_tokenizer_file(path: Path, name: str, probe: str) -> Any:
    """Read a tokenizer.json.

    Args:
        path: The file.
        name: The model's, for errors.
        probe: A text to try its normalizer on.

    Raises:
        UserError: it is damaged, or would take too much memory.
    """
    from tokenizers import Tokenizer

    at = f"model {name}: the tokenizer in {path.parent} cannot be read"
    with as_user_error(at, _STEP):
        raw = raw_tokenizer(path)
    found = _oversized(raw or {})
    if found:
        raise UserError(f"{at} ({found}): {_STEP}")
    with as_user_error(at, _STEP), quiet_output():  # it raises bare Exception for a damaged file
        tokenizer = Tokenizer.from_file(str(path))
        special = tokenizer.num_special_tokens_to_add(is_pair=False)
        if special > _MOST_SPECIAL:
            raise ValueError(f"it puts {special:,} special tokens around a text")
        text = probe + "".join(_patterns((raw or {}).get("normalizer")))
        most = _GROWTH * max(_GROWTH, len(text))
        for part in _parts(tokenizer.normalizer):
            text = part.normalize_str(text)
            if len(text) > most:
                raise ValueError(f"its normalizer makes {len(text):,} characters of a short text")
    return tokenizer


def raw_tokenizer(path: Path) -> dict[str, Any] | None:
    """Return a tokenizer.json without its vocabulary, or None if it is not a mapping; a file is read only once.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON.
    """
    found = path.stat()
    return _raw(path, found.st_size, found.st_mtime_ns)


@cache
def _raw(path: Path, _size: int, _modified: int) -> dict[str, Any] | None:
    value = read_json(path, TOKENIZER_BYTES, most_values=2 * TOKENIZER_BYTES)
    if not isinstance(value, dict):
        return None
    model = value.get("model")
    if isinstance(model, dict):  # the vocabulary is most of it, and nothing here needs it
        value["model"] = {k: v for k, v in model.items() if k not in ("vocab", "merges")}
    return value


def _oversized(raw: Mapping[str, Any]) -> str:
    """Return the place of a text in the file that is too long; empty if there is none."""
    for key in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        for name, text in _texts(raw.get(key)):
            if len(text) > _LONGEST_PIECE and name != "precompiled_charsmap":
                return f"a text of {len(text):,} characters in its {key}"
    added = raw.get("added_tokens")
    lengths = [
        len(t["content"])
        for t in (added if isinstance(added, list) else [])
        if isinstance(t, Mapping) and isinstance(t.get("content"), str)
    ]
    if max(lengths, default=0) > _LONGEST_PIECE or sum(lengths) > _ADDED_CHARACTERS:
        return f"added tokens of {max(lengths):,} characters, {sum(lengths):,} together"
    return ""


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield (key, text) of every text in a value."""
    todo = [(name, value)]
    while todo:
        key, part = todo.pop()
        if isinstance(part, str):
            yield key, part
        elif isinstance(part, Mapping):
            todo += part.items()
        elif isinstance(part, list):
            todo += ((key, inner) for inner in part)


def _patterns(normalizer: Any) -> Iterator[str]:
    """Yield the texts that the normalizer replaces."""
    return (text for key, text in _texts(normalizer) if key == "String")


def _parts(normalizer: Any) -> Iterator[Any]:
    """Yield the normalizers that a normalizer is made of, in their order."""
    from tokenizers import normalizers

    if isinstance(normalizer, normalizers.Sequence):
        for i in range(len(normalizer)):
            yield from _parts(normalizer[i])
    elif normalizer is not None:
        yield normalizer
