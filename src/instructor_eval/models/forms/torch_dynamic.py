"""int8-dynamic: `torch.quantize_dynamic(model, {Linear}, dtype=torch.qint8)`, the one-line recipe of many tutorials.

One scale for each weight matrix, and one for a whole batch of activations, padding included: a text's vector would
depend on its batch-mates. Here each text is a batch of its own. Embeddings stay in float32.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from instructor_eval.core.errors import UserError
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.forms.base import Options, Sizes
from instructor_eval.models.forms.float import PaddedNetwork, load_transformer
from instructor_eval.models.packed import Packed


def build(checkpoint: Checkpoint, device: torch.device, options: Options) -> DynamicHidden:
    """Build the transformer with torch's own dynamically quantized layer for every `Linear`.

    Raises:
        UserError: this build of torch has no quantized products.
    """
    if torch.backends.quantized.engine in ("none", ""):
        raise UserError("this build of torch has no quantized products (torch.backends.quantized): use --variant int8")
    transformer = load_transformer(checkpoint, torch.float32, trust_remote_code=options.trust_remote_code)
    wanted = sum(type(m) is nn.Linear for m in transformer.modules())
    return DynamicHidden(quantize(transformer), wanted)


def quantize(model: Any) -> Any:
    """Apply the recipe, without torch's warning of deprecation."""
    from torch.ao.quantization import quantize_dynamic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized: Any = quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)  # type: ignore[no-untyped-call] # torch leaves it untyped
        return quantized


class DynamicHidden:
    """A transformer that torch has quantized; `wanted` is the number of its linear layers before."""

    align = 1
    alone = True

    def __init__(self, transformer: Any, wanted: int) -> None:
        self.transformer, self._wanted = transformer, wanted
        self._run = PaddedNetwork(transformer)

    def __call__(self, batch: Packed) -> Tensor:
        """Return the last hidden states [tokens, width]."""
        return self._run(batch)

    def sizes(self) -> Sizes:
        """Return the bytes of all parameters and quantized matrices, and of the file that `torch.save` writes."""
        return sizes_of(self.transformer)

    def proof(self) -> str:
        """Return one line about the linear layers that torch has quantized.

        Raises:
            RuntimeError: it has not quantized all of them.
        """
        found = len(quantized_layers(self.transformer))
        left = sum(type(m) is nn.Linear for m in self.transformer.modules())
        if left or found != self._wanted or not found:
            raise RuntimeError(f"torch.quantize_dynamic took {found} of {self._wanted} linear layers")
        return f"{found} of {self._wanted} linear layers quantized by torch ({torch.backends.quantized.engine})"


def quantized_layers(model: Any) -> list[Any]:
    """Return the linear layers that torch has quantized."""
    from torch.ao.nn.quantized.dynamic import Linear

    return [m for m in model.modules() if isinstance(m, Linear)]


def sizes_of(model: Any) -> Sizes:
    """Return the bytes of all parameters and quantized matrices, and of the file that `torch.save` writes."""
    size = sum(p.nelement() * p.element_size() for p in (*model.parameters(), *model.buffers()))
    for module in quantized_layers(model):
        weight, bias = module._packed_params._weight_bias()
        size += weight.nelement() + (bias.nelement() * bias.element_size() if bias is not None else 0)
    return Sizes(resident=size, file=_saved_bytes(model))


class _Counting(io.BytesIO):
    """A file that only counts."""

    size = 0

    def write(self, data: Any) -> int:
        """Count."""
        count = memoryview(data).nbytes
        self.size += count
        return count


def _saved_bytes(model: Any) -> int:
    counter = _Counting()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a deprecation for each quantized tensor
        torch.save(model.state_dict(), counter)
    return counter.size
