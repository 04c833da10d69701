"""The forms with arithmetic of this package (`products.py`): int8, int8-weight, int4-weight; on a GPU int8-gpu, fp8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from instructor_eval.core.errors import UserError
from instructor_eval.models.bert import FastBert
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.forms import float as floats
from instructor_eval.models.forms import products
from instructor_eval.models.forms.base import Options, Sizes
from instructor_eval.models.forms.int8_choice import Choice, choose
from instructor_eval.models.packed import Arithmetic, Packed, Product, Segment
from instructor_eval.models.t5 import FastT5

_LARGE_TABLE = 4096  # an embedding table with fewer rows is for positions or types, not for words


@dataclass(frozen=True)
class _Kind:
    """The layers and types of a form."""

    linear: type[Any]
    weights: torch.dtype
    """The type of its linear layers' weights, for the proof."""
    rest: torch.dtype = torch.float32
    """The type of everything that is not quantized."""


_KINDS = {
    "int8": _Kind(products.Int8Linear, torch.int8),
    "int8-gpu": _Kind(products.Int8Linear, torch.int8, torch.bfloat16),
    "int8-weight": _Kind(products.Int8WeightLinear, torch.int8),
    "int4-weight": _Kind(products.Int4WeightLinear, torch.uint8),
    "fp8": _Kind(products.Fp8Linear, torch.float8_e4m3fn, torch.bfloat16),
}


def build(checkpoint: Checkpoint, device: torch.device, options: Options) -> QuantizedHidden:
    """Build the network with every linear layer and the large embedding table quantized, the rest in floats.

    Raises:
        UserError: the transformer has no linear layer.
    """
    kind = _KINDS[checkpoint.form]
    transformer = floats.load_encoder(checkpoint, kind.rest, trust_remote_code=options.trust_remote_code).to(device)
    made: list[_Counted] = []
    choice = choose() if checkpoint.form == "int8" and device.type == "cpu" else None
    settings = {"engine": choice.engine} if choice else {}

    def linear(weight: Tensor, bias: Tensor | None = None, *, activation: str = "none") -> Product:
        made.append(_Counted(kind.linear(weight, bias, activation=activation, **settings)))
        return made[-1]

    arithmetic = Arithmetic(linear, products.Int8Table)
    network: FastT5 | FastBert | floats.PaddedNetwork | None = floats.fast_network(transformer, arithmetic)
    if network is None:
        _replace(transformer, linear, {})
        network = floats.PaddedNetwork(transformer)
    if not made:
        raise UserError(f"model {checkpoint.name} has no linear layer to quantize: use --variant fp32")
    return QuantizedHidden(network, made, kind, device, note=_news(choice))


_said: set[str] = set()


def _news(choice: Choice | None) -> str:
    """Return the line about an engine that this process has measured, once; else nothing."""
    line = str(choice) if choice and choice.measured else ""
    if line in _said:
        return ""
    _said.add(line)
    return line


class QuantizedHidden:
    """A network of quantized products.

    Args:
        network: The network.
        made: Its products.
        kind: Their expected types.
        device: Its device.
        note: A line for the user about what was chosen.
    """

    alone = False

    def __init__(
        self,
        network: FastT5 | FastBert | floats.PaddedNetwork,
        made: list[_Counted],
        kind: _Kind,
        device: torch.device,
        *,
        note: str = "",
    ) -> None:
        self.note = note
        self.network, self.align = network, floats.alignment(network, device)
        self._made, self._kind, self._device = made, kind, device
        self._size = floats.total_bytes(floats.tensors_of(network))

    def __call__(self, batch: Packed) -> Tensor:
        """Return the last hidden states [tokens, width]."""
        return self.network(batch)

    def sizes(self) -> Sizes:
        """Return the bytes of the weights with their scales; a file of this form has the same size."""
        return Sizes(resident=self._size, file=self._size)

    @torch.inference_mode()
    def proof(self) -> str:
        """Run one token, and return one line about the products that ran in quantized form.

        Raises:
            RuntimeError: none ran, or there is a linear layer of floats.
            UserError: torch has no such product on this device.
        """
        before = [p.calls for p in self._made]
        ids = torch.zeros(max(1, self.align), dtype=torch.int64, device=self._device)
        try:
            self.network(Packed(ids, (Segment(0, 1, len(ids)),)))
        except (RuntimeError, NotImplementedError) as e:
            raise UserError(
                f"{self._kind.linear.__name__} cannot run on {self._device} with torch {torch.__version__} "
                f"({str(e)[:200]}): use --variant bf16"
            ) from e
        ran = sum(p.calls > b for p, b in zip(self._made, before, strict=True))
        wrong = [p for p in self._made if p.product.weight.dtype != self._kind.weights]
        left = [m for m in _modules(self.network) if isinstance(m, nn.Linear)]
        if not ran or wrong or left:
            raise RuntimeError(f"{ran} products ran, {len(wrong) + len(left)} of them not in {self._kind.weights}")
        name = str(self._kind.weights).removeprefix("torch.")
        engines = ", ".join(sorted({p.product.engine for p in self._made}))
        return f"{ran} of {len(self._made)} products with weights in {name}, multiplied by {engines}"


class _Counted:
    """A product that counts how often it is used."""

    def __init__(self, product: Any) -> None:
        self.product = product
        self.calls = 0

    def __call__(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        self.calls += 1
        out: Tensor = self.product(x, added)
        return out


class _Layer(nn.Module):
    """A product that replaces a `torch.nn.Linear`."""

    weight = bias = None  # some models read their type

    def __init__(self, product: Product) -> None:
        super().__init__()
        self.product = product

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., inputs] to [..., channels]."""
        rows = x.flatten(0, -2)
        return self.product(rows).reshape(*x.shape[:-1], -1)


class _Words(nn.Module):
    """A table that replaces a `torch.nn.Embedding`."""

    weight = None

    def __init__(self, table: products.Int8Table) -> None:
        super().__init__()
        self.table = table

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids [...] to [..., width]."""
        return self.table(ids.flatten()).reshape(*ids.shape, -1)


def _replace(module: nn.Module, linear: Any, made: dict[int, nn.Module]) -> None:
    """Replace all linear layers by products and large embedding tables by int8 tables.

    `made` has the replacements by the id of a weight, which several modules may share.
    """
    for name, child in list(module._modules.items()):  # named_children() lists shared modules only once
        is_table = type(child) is nn.Embedding and child.num_embeddings >= _LARGE_TABLE
        if child is None:
            continue
        if type(child) is not nn.Linear and not is_table:
            _replace(child, linear, made)
            continue
        weight: Any = child.weight
        key = id(weight)
        if key not in made:
            made[key] = _Words(products.Int8Table(weight)) if is_table else _Layer(linear(weight, child.bias))
        setattr(module, name, made[key])


def _modules(network: Any) -> list[nn.Module]:
    return list(network.transformer.modules()) if isinstance(network, floats.PaddedNetwork) else []
