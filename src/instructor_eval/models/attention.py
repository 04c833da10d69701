"""Attention of a packed batch on a CPU: a kernel of this package (`attention.c`), where one can be compiled.

torch computes one segment after another, copies it three times, and starts its threads each time: on MiniLM with texts
of mixed lengths that takes a third of the time of the whole network.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from instructor_eval.core.machine import processor_flags
from instructor_eval.models import compiled
from instructor_eval.models.packed import Packed

_SOURCE = Path(__file__).with_name("attention.c")
_FLAGS = ("-ffp-contract=fast", "-fno-math-errno")
LONGEST = 512
"""Tokens of the longest text that the kernel is for: it holds all scores of a row."""


@dataclass(frozen=True)
class Kernel:
    """A compiled kernel."""

    function: Callable[..., int]
    lanes: int
    """Floats that it computes together."""

    def suits(self, qkv: Tensor, batch: Packed, width: int) -> bool:
        """Return whether it can compute this batch, whose heads have this width."""
        on_cpu = qkv.device.type == "cpu" and qkv.dtype == torch.float32
        return (
            on_cpu
            and width % (2 * self.lanes) == 0
            and all(segment.attended is None and segment.width <= LONGEST for segment in batch.segments)
        )


class _Shape(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_long) for name in ("heads", "width")),
        ("scale", ctypes.c_float),
        ("bias", ctypes.c_void_p),
        *((name, ctypes.c_long) for name in ("bias_head", "bias_row")),
    )


@cache
def load() -> Kernel | None:
    """Return the kernel compiled for this processor, or None if it is not available."""
    flags = processor_flags() or set()
    machine = platform.machine()
    if machine == "x86_64" and {"avx512f", "avx2", "fma"} <= flags:
        return load_for(16, ("-mavx512f", "-mavx2", "-mfma"))
    if machine == "x86_64" and {"avx2", "fma"} <= flags:
        return load_for(8, ("-mavx2", "-mfma"))
    return load_for(4, ()) if machine == "aarch64" else None


def load_for(lanes: int, wanted: tuple[str, ...]) -> Kernel | None:
    """Return the kernel for vectors of `lanes` floats, compiled with these flags; None if it is not available."""
    library = compiled.library(_SOURCE, (*_FLAGS, f"-DLANES={lanes}", *wanted))
    if library is None:
        return None
    function = library.attention
    function.argtypes = (*[ctypes.c_void_p] * 4, ctypes.c_long, ctypes.c_int)
    function.restype = ctypes.c_int
    return Kernel(function, lanes)


def attend_packed(
    kernel: Kernel, qkv: Tensor, batch: Packed, heads: int, scale: float, bias: Tensor | None = None
) -> Tensor:
    """Compute the attention of a batch that the kernel suits.

    Args:
        kernel: The kernel.
        qkv: float32 [tokens, 3 * heads * width]: queries, keys and values.
        batch: Where the texts lie.
        heads: How many heads there are.
        scale: What products of queries and keys are multiplied with.
        bias: float32 [heads, places, places], added to the scores; places at least the longest text.

    Returns:
        float32 [tokens, heads * width]
    """
    qkv = qkv.contiguous()
    tokens, width = len(qkv), qkv.shape[1] // 3 // heads
    lengths = np.repeat([s.width for s in batch.segments], [s.rows for s in batch.segments])
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    if starts[-1] != tokens:  # the kernel trusts its arguments
        raise ValueError(f"{starts[-1]} tokens in segments of a batch of {tokens}")
    shape = _Shape(heads, width, scale, *_bias(bias, heads, int(lengths.max(initial=0))))
    out = qkv.new_empty((tokens, heads * width))
    threads = min(torch.get_num_threads(), max(1, len(lengths) * heads))
    given: tuple[Any, ...] = (ctypes.byref(shape), qkv.data_ptr(), out.data_ptr(), starts.ctypes.data)
    if kernel.function(*given, len(lengths), threads):
        raise MemoryError("no memory for the scores of attention")
    return out


def _bias(bias: Tensor | None, heads: int, longest: int) -> tuple[int | None, int, int]:
    if bias is None:
        return None, 0, 0
    if bias.dtype != torch.float32 or bias.shape[0] != heads or min(bias.shape[1:]) < longest or bias.stride(2) != 1:
        raise ValueError(f"a bias {tuple(bias.shape)} for {heads} heads and {longest} tokens")
    return bias.data_ptr(), bias.stride(0), bias.stride(1)
