"""The int8 product of this package (`int8_kernel.c`), compiled when a model is loaded; it runs on torch's threads.

The compiler writes into a private temporary folder, the library is loaded and its file deleted: it takes half a second,
and nobody else can put a library there. Without a compiler, or on another kind of processor, other operators compute
the same integers (`products.py`).
"""

from __future__ import annotations

import ctypes
import re
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from instructor_eval.core.machine import compilers, processor_flags

PANEL = 16
"""Channels that are computed together."""
STEP = 8
"""Inputs that are multiplied together."""
_SOURCE = Path(__file__).with_name("int8_kernel.c")
# No contraction: a fused product and sum would round differently from the other ways to multiply.
_FLAGS = ("-O3", "-mavx2", "-mfma", "-ffp-contract=off", "-fPIC", "-fopenmp")
_SECONDS = 60
_ROWS_A_THREAD = 4  # fewer rows are not worth a second thread
_ALIGN = 64


class _Layer(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("weight", "scale", "sums", "bias")),
        *((name, ctypes.c_long) for name in ("inputs", "padded", "channels")),
        ("relu", ctypes.c_int),
    )


class KernelLayer:
    """A linear layer in the kernel's form.

    Args:
        weight: int8 [channels, inputs], within -63 and 63.
        scale: float32 [channels].
        bias: float32 [channels], or None.
        relu: Negative results become zero.
    """

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None, *, relu: bool) -> None:
        library = load()
        if library is None:
            raise RuntimeError("the kernel cannot be used here")
        self._products = library
        self.channels, inputs = weight.shape
        self._inputs = inputs
        wide, padded = _up(self.channels, PANEL), _up(inputs, STEP)
        whole = np.zeros((wide, padded), dtype=np.int8)
        whole[: self.channels, :inputs] = weight.numpy()
        panels = whole.reshape(wide // PANEL, 2, 8, padded // STEP, 2, 4).transpose(0, 3, 1, 4, 2, 5)
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


@cache
def load() -> Callable[..., int] | None:
    """Return the compiled function `products`, or None if it is not available."""
    if not _suits_processor():
        return None
    threads = _threads_library()
    if threads is None:
        return None
    products = next((made for c in compilers() if (made := _compiled(c, threads)) is not None), None)
    if products is None:
        return None
    products.argtypes = (*[ctypes.c_void_p] * 4, ctypes.c_long, ctypes.c_int)
    products.restype = ctypes.c_int
    function: Callable[..., int] = products
    return function


def _compiled(compiler: list[str], threads: str) -> Any:
    """Compile and load `products`; None if this compiler cannot make it or it cannot be loaded."""
    with tempfile.TemporaryDirectory(prefix="instructor-eval-") as folder:
        made, target = Path(folder) / "kernel.o", Path(folder) / "kernel.so"
        steps = ([*_FLAGS, "-c", str(_SOURCE), "-o", str(made)], ["-shared", str(made), "-o", str(target)])
        try:
            for step in steps:
                subprocess.run(  # noqa: S603 - the user's own compiler on our own source, no shell
                    [*compiler, *step], check=True, capture_output=True, timeout=_SECONDS
                )
            ctypes.CDLL(threads, mode=ctypes.RTLD_GLOBAL)
            return ctypes.CDLL(str(target)).products
        except (OSError, subprocess.SubprocessError):
            return None


def _threads_library(path: Path = Path("/proc/self/maps")) -> str | None:
    """Return the OpenMP library that torch has loaded.

    The kernel must use the same one: a second set of threads would compete with torch's, which stay awake for a while
    after each operator.
    """
    try:
        found = re.findall(r"(/[^\n]*/lib[gi]omp[^/\n]*\.so[^/\n]*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return None
    return str(found[0]) if found else None


def _suits_processor() -> bool:
    """Return whether the processor has AVX2 without VNNI; with VNNI, oneDNN has a faster instruction."""
    flags = processor_flags() or set()
    return {"avx2", "fma"} <= flags and not flags & {"avx512_vnni", "avx_vnni"}


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
