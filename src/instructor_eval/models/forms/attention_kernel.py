"""The attention of this package (`attention_kernel.c`), compiled for the processor."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

import torch
from torch import Tensor

from instructor_eval.models import packed
from instructor_eval.models.forms import compiled

SOURCE = Path(__file__).with_name("attention_kernel.c")
CONTRACTED = "-ffp-contract=fast"
"""A product and a sum are one instruction and rounded once, on every processor that has it."""
NATIVE = {"x86_64": "-march=native", "aarch64": "-mcpu=native"}
"""The compiler's option for the processor at hand, by its kind."""
_MULTIPLE = 16  # the kernel reads a row of the bias up to the next of these


class _Attention(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("qkv", "bias", "out")),
        *((name, ctypes.c_long) for name in ("texts", "tokens", "heads", "width", "head_stride", "row_stride")),
        ("scale", ctypes.c_float),
    )


class KernelAttention:
    """The kernel in the place of `packed.attend`, for float32; what it was not written for is left to that.

    Args:
        library: The compiled kernel.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._run = library.attend
        self._run.argtypes, self._run.restype = (ctypes.c_void_p, ctypes.c_int), ctypes.c_int

    def __call__(
        self, qkv: Tensor, out: Tensor, segment: packed.Segment, heads: int, mask: Tensor | None, scale: float
    ) -> None:
        """Write [tokens, heads * head width] to `out` (`packed.Attend`)."""
        if not self._suits(qkv, out, segment, mask):
            packed.attend(qkv, out, segment, heads, mask, scale)
            return
        bias, strides = (None, (0, 0)) if mask is None else (mask.data_ptr(), mask.stride()[1:3])
        wide = out.shape[1] // heads
        given = _Attention(
            qkv.data_ptr(), bias, out.data_ptr(), segment.rows, segment.width, heads, wide, *strides, scale
        )
        if self._run(ctypes.byref(given), torch.get_num_threads()):
            raise MemoryError("no memory for the attention of a text")

    @staticmethod
    def _suits(qkv: Tensor, out: Tensor, segment: packed.Segment, mask: Tensor | None) -> bool:
        """Return whether the kernel stays within these tensors: it trusts its arguments."""
        tokens = segment.rows * segment.width
        if qkv.shape != (tokens, 3 * out.shape[1]) or len(out) != tokens or segment.attended is not None:
            return False
        if not all(t.dtype == torch.float32 and t.is_contiguous() for t in (qkv, out)):
            return False
        if mask is None:
            return True
        of_all, _, row, one = mask.stride()
        shared = mask.dtype == torch.float32 and mask.storage_offset() == 0 and (len(mask) == 1 or of_all == 0)
        return shared and one == 1 and row >= segment.width and row % _MULTIPLE == 0


def kernel() -> KernelAttention | None:
    """Return the kernel compiled for this processor, or None where it cannot be."""
    native = NATIVE.get(platform.machine())
    library = compiled.library(SOURCE, (CONTRACTED, *([native] if native else [])))
    return None if library is None else KernelAttention(library)
