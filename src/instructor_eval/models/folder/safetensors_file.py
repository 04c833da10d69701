"""The header of a safetensors file, checked before any library sees it: the file must have all that it promises.

Format: https://huggingface.co/docs/safetensors/index#format. The checks are the reference implementation's, and one
more: weights are floats. transformers would convert integers and compute with them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from instructor_eval.core.errors import UserError
from instructor_eval.core.outside import open_outside, parse_json, why

_LONGEST_HEADER = 100_000_000
"""As in the reference implementation."""
_LARGEST = 2**63 - 1
_FLOATS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E5M2FNUZ": 8,
           "F8_E4M3FNUZ": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4}  # fmt: skip
_BITS = _FLOATS | {"I64": 64, "U64": 64, "I32": 32, "U32": 32, "I16": 16, "U16": 16, "I8": 8, "U8": 8, "BOOL": 8,
                   "C64": 64}  # fmt: skip
# Name endings of weights; other tensors (position_ids, attn.bias of GPT-2) are masks and positions.
_WEIGHTS = (".weight", ".gamma", ".beta", "embeddings")


@dataclass(frozen=True)
class Tensor:
    """A tensor's entry in a header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    """First byte, counted from the end of the header."""
    end: int


def read_header(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name.

    Raises:
        OSError: it cannot be opened.
        ValueError: there is no valid header, or the file does not have what it promises.
    """
    with open_outside(file) as f:
        size = f.seek(0, 2)
        f.seek(0)
        length = int.from_bytes(f.read(8), "little")
        if not 2 <= length <= size - 8:
            raise ValueError(f"{size:,} bytes, and its header should have {length:,}")
        if length > _LONGEST_HEADER:
            raise ValueError(f"a header of {length:,} bytes")
        text = f.read(length).decode("utf-8")
    raw = parse_json(text, object_pairs_hook=_once)
    if not isinstance(raw, dict):
        raise ValueError("its header is no object")  # noqa: TRY004 - one type of error for every refusal
    metadata = raw.pop("__metadata__", None)
    if metadata is not None and not (isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())):
        raise ValueError("its __metadata__ is no mapping of texts")
    if "\\u" in text:
        json.dumps([*raw, metadata], ensure_ascii=False).encode()  # half a surrogate pair is no text
    tensors = {name: _tensor(name, entry) for name, entry in raw.items()}
    place = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != place:
            raise ValueError(f"tensor {name[:60]!r} does not begin where the one before it ends")
        place = tensor.end
    if size != 8 + length + place:
        raise ValueError(f"{size:,} bytes, {8 + length + place:,} promised")
    return tensors


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is in its header twice")
    return found


def _tensor(name: str, entry: Any) -> Tensor:
    if not isinstance(entry, Mapping):
        raise ValueError(f"tensor {name[:60]!r} is no object")  # noqa: TRY004 - what a file says, not a caller
    dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise ValueError(f"tensor {name[:60]!r} has the unknown dtype {str(dtype)[:20]!r}")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"tensor {name[:60]!r} has no shape and two data_offsets of whole numbers")
    start, end = offsets
    if (end - start) * 8 != math.prod(shape) * _BITS[dtype]:
        raise ValueError(f"tensor {name[:60]!r} has {end - start:,} bytes, which are not those of its shape and dtype")
    return Tensor(dtype, tuple(shape), start, end)


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and len(value) <= 64 and all(type(n) is int and 0 <= n <= _LARGEST for n in value)


def check_safetensors(file: Path, name: str) -> dict[str, Tensor]:
    """Check that a file has what its header promises, and that its weights are floats; return its tensors.

    Raises:
        UserError: the file is cut short or damaged, or a weight is not a float.
    """
    try:
        tensors = read_header(file)
    except (OSError, ValueError) as e:
        raise UserError(f"model {name}: {file} is cut short or damaged ({why(e)}): copy or download it again") from e
    for key, tensor in tensors.items():
        bias = key.endswith("bias") and len(tensor.shape) == 1
        if tensor.dtype not in _FLOATS and (bias or key.endswith(_WEIGHTS) or key == "weight"):
            raise UserError(
                f"model {name}: {file}: {key[:100]} is of {tensor.dtype}, and weights are floats: use the checkpoint "
                "it was made from"
            )
    return tensors


def tensor_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in a safetensors file's header; empty if it cannot be read."""
    try:
        return {name: tensor.shape for name, tensor in read_header(file).items()}
    except (OSError, ValueError):
        return {}
