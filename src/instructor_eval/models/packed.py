"""Batches without padding, and the linear layer that the fast forward passes share.

Rows of a batch lie end to end, [tokens, width]: every matrix product and every norm runs on real tokens only. Attention
runs on one segment after another (neighbouring rows of one length) and needs no mask. A GPU prefers one large kernel to
many small ones: there all rows are padded to one width and make one segment with a mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from instructor_eval.core.machine import processor_flags

Ids = npt.NDArray[np.int32]
_TYPICAL_TOKENS = 2048  # oneDNN chooses a layout for products of this many rows


@dataclass(frozen=True)
class Segment:
    """Neighbouring rows of one width: tokens `start` to `start + rows * width` of the batch."""

    start: int
    rows: int
    width: int
    attended: Tensor | None = None
    """bool [rows, width], True at real tokens; None where all are."""

    @property
    def end(self) -> int:
        """One past its last token."""
        return self.start + self.rows * self.width


@dataclass(frozen=True)
class Packed:
    """One batch: token ids, and where its rows lie."""

    ids: Tensor
    """int64 [tokens]"""
    segments: tuple[Segment, ...]


def pack(rows: Sequence[Ids], device: torch.device, *, pad_id: int = 0, align: int = 0) -> Packed:
    """Lay rows end to end, those of one length being neighbours; or pad them to one width, a multiple of `align`."""
    lengths = np.fromiter((len(r) for r in rows), dtype=np.int64, count=len(rows))
    if align:
        width = -(-int(lengths.max()) // align) * align
        ids = np.full((len(rows), width), pad_id, dtype=np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
        attended = np.arange(width) < lengths[:, None]
        mask = None if attended.all() else _to(torch.from_numpy(attended), device)
        return Packed(_to(torch.from_numpy(ids.reshape(-1)), device), (Segment(0, len(rows), width, mask),))
    segments, start = [], 0
    for length, same in groupby(lengths.tolist()):
        segments.append(Segment(start, len(list(same)), length))
        start = segments[-1].end
    ids = np.concatenate(rows).astype(np.int64)
    return Packed(_to(torch.from_numpy(ids), device), tuple(segments))


def _to(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to a GPU from pinned memory, without waiting for it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


class Product(Protocol):
    """A linear layer, in whatever numbers."""

    def __call__(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Map [tokens, in] to [tokens, out]; `added` goes with no activation."""
        ...


class Linear:
    """`activation(x @ weight.T + bias)`, or that plus `added`.

    On a CPU in float32 the weight is laid out once for oneDNN: 10 to 20 % faster than the plain product, and activation
    and sum come for free. torch's own compiler emits these operators; where this build lacks them, or they disagree
    with the plain product, or `lay_out` is off (for the compiler), the plain product runs.

    bfloat16 and float16 on a CPU without instructions for them take torch five times as long as float32. There the
    weights become float32 for the product, and its result is rounded. The arithmetic is the same: products of such
    numbers are exact in float32, and sums are float32 in either case.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None = None, *, activation: str = "none", lay_out: bool = True
    ) -> None:
        self._weight, self._bias, self._activation = weight.contiguous(), bias, activation
        self._run = self._plain
        if weight.device.type != "cpu":
            return
        if lay_out and weight.dtype == torch.float32:
            self._lay_out()
        elif not is_native(weight.dtype):
            self._run = self._widened

    def __call__(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Map [tokens, in] to [tokens, out]; `added` goes with no activation."""
        return self._run(x, added)

    def _plain(self, x: Tensor, added: Tensor | None) -> Tensor:
        return self._finish(functional.linear(x, self._weight, self._bias), added)

    def _widened(self, x: Tensor, added: Tensor | None) -> Tensor:
        bias = None if self._bias is None else self._bias.float()
        return self._finish(functional.linear(x.float(), self._weight.float(), bias).to(x.dtype), added)

    def _finish(self, out: Tensor, added: Tensor | None) -> Tensor:
        if self._activation == "relu":
            out = torch.relu_(out)
        elif self._activation == "gelu":
            out = functional.gelu(out)
        return out if added is None else out.add_(added)

    def _fused(self, x: Tensor, added: Tensor | None) -> Tensor:
        ops: Any = torch.ops.mkldnn
        out: Tensor
        if added is not None:
            out = ops._linear_pointwise.binary(x, added, self._weight, self._bias, "add")
        else:
            fused = "relu" if self._activation == "relu" else "none"
            out = ops._linear_pointwise(x, self._weight, self._bias, fused, [], "")
            if self._activation == "gelu":  # faster than within oneDNN's product
                out = torch.ops.aten.gelu_(out)
        return out

    def _lay_out(self) -> None:
        """Change to oneDNN's layout, if its product equals the plain one."""
        x = torch.linspace(-1, 1, 3 * self._weight.shape[1]).reshape(3, -1)
        plain, weight = self._plain(x, None), self._weight
        added = torch.ones_like(plain)
        linear = functional.linear(x, weight, self._bias)
        try:
            self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, _TYPICAL_TOKENS)
            if _close(self._fused(x, None), plain) and _close(self._fused(x, added), linear + added):
                self._run = self._fused
                return
        except (RuntimeError, AttributeError, TypeError):
            pass
        self._weight = weight


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-4, atol=1e-5)


class Attend(Protocol):
    """The attention of neighbouring rows of one width."""

    def __call__(
        self, qkv: Tensor, out: Tensor, segment: Segment, heads: int, mask: Tensor | None, scale: float
    ) -> None:
        """Write [tokens, heads * head width] to `out`.

        Args:
            qkv: Queries, keys and values of the segment's tokens, [tokens, 3 * heads * head width].
            out: The segment's part of the result.
            segment: The rows.
            heads: Their number.
            mask: True where a score counts, or a number to be added to it; [rows or 1, heads or 1, width or 1, width].
            scale: A factor for the scores, before the mask.
        """
        ...


def attend(qkv: Tensor, out: Tensor, segment: Segment, heads: int, mask: Tensor | None, scale: float) -> None:
    """Compute attention with torch (`Attend`); in float32 if the CPU has no instructions for the type."""
    q, k, v = qkv.view(segment.rows, segment.width, 3, heads, -1).permute(2, 0, 3, 1, 4)
    if q.device.type == "cpu" and not is_native(q.dtype):
        q, k, v = q.float(), k.float(), v.float()
        mask = mask if mask is None or mask.dtype == torch.bool else mask.float()
    found = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    out.view(segment.rows, segment.width, heads, -1).copy_(found.transpose(1, 2))


def attend_all(
    attend: Attend, qkv: Tensor, batch: Packed, heads: int, masks: Sequence[Tensor | None], scale: float
) -> Tensor:
    """Compute the attention of a batch, one segment after another, each with its mask: [tokens, width]."""
    out = qkv.new_empty((len(qkv), qkv.shape[1] // 3))
    for segment, mask in zip(batch.segments, masks, strict=True):
        tokens = slice(segment.start, segment.end)
        attend(qkv[tokens], out[tokens], segment, heads, mask, scale)
    return out


@cache
def is_native(dtype: torch.dtype) -> bool:
    """Return whether this CPU has instructions for `dtype`; if it does not say, it is assumed to."""
    wanted = {
        torch.bfloat16: {"avx512_bf16", "amx_bf16", "bf16"},  # the last is ARM's
        torch.float16: {"avx512_fp16", "amx_fp16", "asimdhp"},
    }.get(dtype)
    flags = processor_flags()
    return wanted is None or flags is None or bool(wanted & flags)


class Table:
    """An embedding table."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight

    def __call__(self, ids: Tensor) -> Tensor:
        """Look up int64 [tokens]: [tokens, width]."""
        return functional.embedding(ids, self.weight)


@dataclass(frozen=True)
class Arithmetic:
    """The parts that a forward pass is made of."""

    linear: Callable[..., Product]
    """(weight, bias, activation=none|relu|gelu) -> a linear layer."""
    table: Callable[[Tensor], Callable[[Tensor], Tensor]]
    """(weight of the large embedding table) -> a function from ids to vectors."""
    attend: Attend = attend


LAID_OUT = Arithmetic(Linear, Table)
PLAIN = Arithmetic(partial(Linear, lay_out=False), Table)
