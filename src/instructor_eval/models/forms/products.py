"""Linear layers and embedding tables in quantized forms, for the fast forward passes and for transformers' modules.

Each is called like `packed.Linear`: [rows, inputs] -> `activation(x @ weight.T + bias)`, plus `added` if given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from instructor_eval.core.errors import ModelOutputError
from instructor_eval.models.forms import int8_kernel

ACTIVATION_LEVELS = 127
"""Activations take 7 bits, 0 to this: see `int8_kernel.c`."""
WEIGHT_LEVELS = 63
"""Weights take 7 bits, minus this to plus this."""
GROUP = 32
"""Weights that share a scale in int4."""
_LEAST_SPAN = 1e-30  # as LEAST in int8_kernel.c
_FP8_MOST = 448.0  # float8 e4m3
_GPU_ROWS = 32  # torch._int_mm needs more than 16
_GPU_MULTIPLE = 16


def quantize_weight(weight: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """Quantize with a scale for each channel: int8 [channels, inputs] within +-levels, scales float32 [channels].

    Raises:
        ModelOutputError: a weight is not finite.
    """
    weight = weight.float()
    if not torch.isfinite(weight).all():
        raise ModelOutputError("a weight is NaN or infinite: it cannot be quantized; check the checkpoint")
    scale = weight.abs().amax(dim=1) / levels
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return torch.round(weight / scale[:, None]).clamp_(-levels, levels).to(torch.int8), scale


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Quantize activations like `int8_kernel.c`, each row with its own scale and zero point.

    Return values 0 to 127 as float32 [rows, inputs], scale and zero point [rows, 1]. A row's scale depends on that row
    alone. Rows that are not finite have the scale NaN.
    """
    low, high = x.amin(dim=1, keepdim=True).clamp_(max=0), x.amax(dim=1, keepdim=True).clamp_(min=0)
    span = high - low
    span = torch.where(span > _LEAST_SPAN, span, torch.zeros_like(span))
    levels = torch.full_like(span, ACTIVATION_LEVELS)  # torch rounds number / tensor twice
    inverse = torch.where(span > 0, levels / span, torch.zeros_like(span))
    zero = torch.round(-low * inverse)
    values = torch.round(x * inverse).add_(zero).clamp_(0, ACTIVATION_LEVELS)
    scale = torch.where(span > 0, span / ACTIVATION_LEVELS, torch.ones_like(span)) + (x - x).sum(dim=1, keepdim=True)
    return values, scale, zero


class Int8Linear:
    """7-bit activations, a scale and zero point a row, times 7-bit weights, a scale a channel; exact integer sums.

    (oneDNN and float32 return the sums in float32: exact up to 2^24, which only rows of more than 2,097 inputs, nearly
    all at the ends of their range, can exceed.)

    On a GPU cuBLAS multiplies; on a CPU one of several engines, which all give the same bits: this package's kernel
    (`int8_kernel.TARGETS`), `onednn`, or `float32`, torch's product of floats.

    Args:
        weight: [channels, inputs].
        bias: [channels], or None.
        activation: none, relu or gelu.
        engine: One of `engines()`; None: the kernel's best, else oneDNN, else float32.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None = None, *, activation: str = "none", engine: str | None = None
    ) -> None:
        self.weight, self.scale = quantize_weight(weight, WEIGHT_LEVELS)
        self.sums = self.weight.sum(dim=1, dtype=torch.int32).float()
        self.bias, self.activation = bias, activation
        self._kernel: int8_kernel.KernelLayer | None = None
        self._multiply: Callable[[Tensor], Tensor]
        self.engine, self._multiply = "float32", self._floats
        if weight.device.type == "cuda":
            self.engine, self._multiply = "cublas", self._cublas
            self.weight = _multiple(self.weight, _GPU_MULTIPLE)
            return
        wanted = engine or next(_kernels(), "onednn")
        if wanted in int8_kernel.TARGETS:
            self.engine = wanted
            kernel = int8_kernel.KernelLayer(wanted, self.weight, self.scale, bias, relu=activation == "relu")
            self._kernel, self.weight = kernel, torch.from_numpy(kernel.weight)
        elif wanted == "onednn":
            self._try_onednn()

    def __call__(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Map [rows, inputs] to [rows, channels], of x's type; `added` goes with no activation."""
        if self._kernel is not None:
            out = self._kernel(x, added)
            if self.activation == "gelu":
                out = torch.ops.aten.gelu_(out)
            return out.to(x.dtype)
        values, scale, zero = quantize_rows(x.float())
        out = (self._multiply(values) - zero * self.sums).mul_(scale).mul_(self.scale)
        return _finish(out, self.bias, self.activation, added).to(x.dtype)

    def _floats(self, values: Tensor) -> Tensor:
        return functional.linear(values, self.weight.float())

    def _cublas(self, values: Tensor) -> Tensor:
        rows = len(values)
        whole = values.to(torch.int8)
        whole = functional.pad(whole, (0, self.weight.shape[1] - whole.shape[1], 0, max(0, _GPU_ROWS - rows)))
        return torch._int_mm(whole, self.weight.t())[:rows, : len(self.scale)].float()

    def _onednn(self, values: Tensor) -> Tensor:
        out: Tensor = torch.ops.onednn.qlinear_pointwise(
            values.to(torch.uint8), 1.0, 0, self._packed, self._ones, self._zeros, None,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return out

    def _try_onednn(self) -> None:
        """Use oneDNN's product, if this build has it and its integers are right."""
        channels, inputs = self.weight.shape
        probe = torch.arange(5 * inputs).remainder(ACTIVATION_LEVELS + 1).float().reshape(5, inputs)
        try:
            self._packed: Any = torch.ops.onednn.qlinear_prepack(self.weight, None)
            self._ones, self._zeros = torch.ones(channels), torch.zeros(channels, dtype=torch.int32)
            if torch.allclose(self._onednn(probe), self._floats(probe), rtol=1e-6, atol=0.5):
                self.engine, self._multiply = "onednn", self._onednn
                self.weight = self._packed
        except (RuntimeError, AttributeError, TypeError):
            pass


def engines() -> list[str]:
    """Return the ways to multiply int8 on this machine's CPU, from the one that should be the fastest.

    oneDNN is among them even where this build of torch cannot: a layer then falls back to float32.
    """
    return [*_kernels(), "onednn", "float32"]


def _kernels() -> Iterator[str]:
    return (name for name in int8_kernel.suited() if int8_kernel.load(name) is not None)


class Int8WeightLinear:
    """int8 weights, a scale a channel, converted to float for each product: a quarter of the memory, no faster."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, activation: str = "none") -> None:
        self.weight, self.scale = quantize_weight(weight, 127)
        self.bias, self.activation = bias, activation
        self.engine = "float32 products"

    def __call__(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Map [rows, inputs] to [rows, channels]; `added` goes with no activation."""
        out = functional.linear(x, self.weight.to(x.dtype)).mul_(self.scale.to(x.dtype))
        return _finish(out, self.bias, self.activation, added)


class Int4WeightLinear:
    """int4 weights, 16 levels between the smallest and the largest of each 32 inputs of a channel.

    Smallest value and step are float16: 5 bits a weight in all.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, activation: str = "none") -> None:
        self.inputs = weight.shape[1]
        self.weight, self.step, self.low = quantize_groups(weight)
        self.bias, self.activation = bias, activation
        self.engine = "float32 products"

    def __call__(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Map [rows, inputs] to [rows, channels]; `added` goes with no activation."""
        weight = unpack_groups(self.weight, self.step, self.low, x.dtype)[:, : self.inputs]
        return _finish(functional.linear(x, weight), self.bias, self.activation, added)


def quantize_groups(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Quantize to int4 by groups of `GROUP` inputs.

    Return packed uint8 [channels, groups, GROUP / 2]; step and low float16 [channels, groups, 1]. The low half of a
    byte has the first half of the group. Inputs are padded with zeros to whole groups.
    """
    if not torch.isfinite(weight).all():
        raise ModelOutputError("a weight is NaN or infinite: it cannot be quantized; check the checkpoint")
    whole = _multiple(weight.float(), GROUP, rows=1)
    whole = whole.reshape(len(whole), -1, GROUP)
    low = whole.amin(dim=2, keepdim=True).half()
    step = ((whole.amax(dim=2, keepdim=True) - low.float()) / 15).half()
    step = torch.where(step > 0, step, torch.ones_like(step))
    if not (torch.isfinite(low).all() and torch.isfinite(step).all()):
        raise ModelOutputError(
            "a weight is beyond float16's range, which int4's scales have: use --variant int8-weight"
        )
    values = torch.round((whole - low.float()) / step.float()).clamp_(0, 15).to(torch.uint8)
    first, second = values.chunk(2, dim=2)
    return (first | (second << 4)).contiguous(), step, low


def unpack_groups(packed: Tensor, step: Tensor, low: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the weights of packed groups: [channels, inputs padded to whole groups]."""
    values = torch.cat([packed & 15, packed >> 4], dim=2).to(dtype)
    return torch.addcmul(low.to(dtype), values, step.to(dtype)).flatten(1)


class Fp8Linear:
    """float8 (e4m3) activations and weights, a scale a row and a channel. For GPUs from compute capability 8.9."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, activation: str = "none") -> None:
        whole = _multiple(weight.float(), _GPU_MULTIPLE)
        self.channels, self.inputs = weight.shape
        self.weight, self.scale = _to_fp8(whole)
        self.bias, self.activation = bias, activation
        self.engine = "float8"

    def __call__(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Map [rows, inputs] to [rows, channels]; `added` goes with no activation."""
        values, scale = _to_fp8(functional.pad(x.float(), (0, self.weight.shape[1] - self.inputs)))
        out = torch._scaled_mm(
            values, self.weight.t(), scale_a=scale, scale_b=self.scale.t(), out_dtype=torch.bfloat16
        )[:, : self.channels]
        return _finish(out, self.bias, self.activation, added).to(x.dtype)


def _to_fp8(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return float8 values and a scale for each row, [rows, 1]; a row that is not finite gives NaN."""
    most = x.abs().amax(dim=1, keepdim=True)
    scale = torch.where(most > 0, most / _FP8_MOST, torch.ones_like(most)).float()
    return (x / scale).clamp_(-_FP8_MOST, _FP8_MOST).to(torch.float8_e4m3fn), scale


def _finish(out: Tensor, bias: Tensor | None, activation: str, added: Tensor | None) -> Tensor:
    if bias is not None:
        out = out + bias.to(out.dtype)
    if activation == "relu":
        out = torch.relu_(out)
    elif activation == "gelu":
        out = functional.gelu(out)
    return out if added is None else out + added


def _multiple(weight: Tensor, multiple: int, *, rows: int | None = None) -> Tensor:
    """Pad with zeros to multiples of `multiple` inputs, and of `rows` (or `multiple`) channels."""
    channels, inputs = weight.shape
    return functional.pad(weight, (0, -inputs % multiple, 0, -channels % (rows or multiple)))


class Int8Table:
    """An embedding table in int8, a scale a row."""

    def __init__(self, weight: Tensor) -> None:
        self.weight, self.scale = quantize_weight(weight, 127)
        self.dtype = weight.dtype

    def __call__(self, ids: Tensor) -> Tensor:
        """Look up int64 [tokens]: [tokens, width]."""
        rows = functional.embedding(ids, self.weight)
        return rows.to(self.dtype) * self.scale[ids, None].to(self.dtype)
