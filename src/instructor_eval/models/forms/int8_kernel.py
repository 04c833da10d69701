"""The int8 product of this package (`int8_kernel.c`), compiled for the processor in one of several engines."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from instructor_eval.core.machine import processor_flags
from instructor_eval.models.forms import compiled

SOURCE = Path(__file__).with_name("int8_kernel.c")
PANEL = 16
"""Channels that are computed together."""
STEP = 8
"""Inputs are padded to a multiple of this."""
_INPUTS = 4  # inputs of a channel that lie side by side in a panel
_ROWS_A_THREAD = 4  # fewer rows are not worth a second thread
_ALIGN = 64


@dataclass(frozen=True)
class Target:
    """The needs of one engine of the kernel."""

    machine: str
    """The kind of processor, `platform.machine()`; empty: any."""
    needs: frozenset[str]
    """Instructions, as /proc/cpuinfo names them."""
    flags: tuple[str, ...]
    """For the compiler."""

    def suits(self, flags: set[str]) -> bool:
        """Return whether a processor of this machine's kind with these instructions runs it."""
        return self.machine in ("", platform.machine()) and self.needs <= flags


_AVX512 = frozenset({"avx2", "avx512f", "avx512bw", "avx512vl", "avx512_vnni"})
_AVX512_FLAGS = ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni")
TARGETS = {
    "avx512vnni": Target("x86_64", _AVX512, ("-DENGINE_AVX512VNNI", *_AVX512_FLAGS)),
    # Some processors slow down where 512 bits are used.
    "avx512vnni-256": Target("x86_64", _AVX512, ("-DENGINE_AVXVNNI", "-mprefer-vector-width=256", *_AVX512_FLAGS)),
    "avxvnni": Target("x86_64", frozenset({"avx2", "avx_vnni"}), ("-DENGINE_AVXVNNI", "-mavx2", "-mavxvnni")),
    "avx2": Target("x86_64", frozenset({"avx2"}), ("-DENGINE_AVX2", "-mavx2")),
    "neon": Target("aarch64", frozenset({"asimddp"}), ("-DENGINE_NEON", "-march=armv8.2-a+dotprod")),
    "c": Target("", frozenset(), ("-DENGINE_C",)),
}
"""The engines, from the most to the least wanted. `c` is the reference for the others, and slow."""


def suited() -> list[str]:
    """Return the fast engines whose instructions this processor has, from the most to the least wanted."""
    flags = processor_flags() or set()
    return [name for name, target in TARGETS.items() if target.needs and target.suits(flags)]


def load(engine: str) -> Callable[..., int] | None:
    """Return the function `products` compiled for an engine, or None if it is not available."""
    found = compiled.library(SOURCE, TARGETS[engine].flags)
    if found is None:
        return None
    products = found.products
    products.argtypes = (*[ctypes.c_void_p] * 4, ctypes.c_long, ctypes.c_int)
    products.restype = ctypes.c_int
    function: Callable[..., int] = products
    return function


class _Layer(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("weight", "scale", "sums", "bias")),
        *((name, ctypes.c_long) for name in ("inputs", "padded", "channels")),
        ("relu", ctypes.c_int),
    )


class KernelLayer:
    """A linear layer in the kernel's form.

    Args:
        engine: One of `TARGETS` that this processor runs.
        weight: int8 [channels, inputs], within -63 and 63.
        scale: float32 [channels].
        bias: float32 [channels], or None.
        relu: Negative results become zero.
    """

    def __init__(self, engine: str, weight: Tensor, scale: Tensor, bias: Tensor | None, *, relu: bool) -> None:
        products = load(engine)
        if products is None:
            raise RuntimeError(f"the kernel cannot be used here as {engine}")
        self._products = products
        self.channels, inputs = weight.shape
        self._inputs = inputs
        wide, padded = _up(self.channels, PANEL), _up(inputs, STEP)
        whole = np.zeros((wide, padded), dtype=np.int8)
        whole[: self.channels, :inputs] = weight.numpy()
        panels = whole.reshape(wide // PANEL, PANEL, padded // _INPUTS, _INPUTS).transpose(0, 2, 1, 3)
        self.weight = _aligned(panels)
        self.sums = whole.sum(axis=1, dtype=np.int32)
        self.scale = _padded(scale, wide)
        self.bias = None if bias is None else _padded(bias, wide)
        arrays = (self.weight, self.scale, self.sums, self.bias)
        self._layer = _Layer(*(a.ctypes.data if a is not None else None for a in arrays),
                             inputs, padded, self.channels, int(relu))  # fmt: skip

    def __call__(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Map float32 [rows, inputs] to [rows, channels] and add `added`."""
        if x.dim() != 2 or x.shape[1] != self._inputs:  # the kernel trusts its arguments
            raise ValueError(f"rows of {tuple(x.shape)} for a layer of {self._inputs} inputs")
        x = x.float().contiguous()
        out = x.new_empty((len(x), self.channels))
        if added is not None:
            added = added.float().expand_as(out).contiguous()
        threads = min(torch.get_num_threads(), max(1, len(x) // _ROWS_A_THREAD))
        addend = None if added is None else added.data_ptr()
        if self._products(ctypes.byref(self._layer), x.data_ptr(), addend, out.data_ptr(), len(x), threads):
            raise MemoryError("no memory for a block of quantized rows")
        return out


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _padded(values: Tensor, size: int) -> np.ndarray[Any, Any]:
    out = np.zeros(size, dtype=np.float32)
    out[: len(values)] = values.float().numpy()
    return out


def _aligned(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Copy values to memory that starts at a cache line, as the kernel's loads require."""
    raw = np.empty(values.nbytes + _ALIGN, dtype=np.uint8)
    start = -raw.ctypes.data % _ALIGN
    out: np.ndarray[Any, Any] = raw[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    out[...] = values
    return out
