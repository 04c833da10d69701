"""The forms with arithmetic of this package (`products.py`): int8, int8-weight, int4-weight; on a GPU int8-gpu, fp8."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from instructor_eval.core.errors import UserError
from instructor_eval.models.bert import FastBert
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.forms import attention_kernel, products
from instructor_eval.models.forms import float as floats
from instructor_eval.models.forms.base import Options, Sizes
from instructor_eval.models.forms.int8_choice import Choice, choose
from instructor_eval.models.packed import Arithmetic, Packed, Product, Segment, attend
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
    made = Products(checkpoint.form, device)
    rest = _KINDS[checkpoint.form].rest
    transformer = floats.load_encoder(checkpoint, rest, trust_remote_code=options.trust_remote_code).to(device)
    attention = attention_kernel.kernel() if checkpoint.form == "int8" and device.type == "cpu" else None
    arithmetic = Arithmetic(made.linear, products.Int8Table, attention or attend)
    network: FastT5 | FastBert | floats.PaddedNetwork | None = floats.fast_network(transformer, arithmetic)
    if network is None:
        replace(transformer, made.linear)
        network = floats.PaddedNetwork(transformer)
    if not made.products:
        raise UserError(f"model {checkpoint.name} has no linear layer to quantize: use --variant fp32")
    return QuantizedHidden(network, made, device)


class Products:
    """The products of a form: made one by one, and counted when they run.

    Args:
        form: One of `_KINDS`.
        device: Its device.
    """

    def __init__(self, form: str, device: torch.device) -> None:
        self._kind, self._device = _KINDS[form], device
        choice = choose() if form == "int8" and device.type == "cpu" else None
        self._settings = {"engine": choice.engine} if choice else {}
        self.note = _news(choice)
        """A line for the user about what was chosen."""
        self.products: list[_Counted] = []

    def linear(self, weight: Tensor, bias: Tensor | None = None, *, activation: str = "none") -> Product:
        """Return the product of a linear layer."""
        self.products.append(_Counted(self._kind.linear(weight, bias, activation=activation, **self._settings)))
        return self.products[-1]

    def proof(self, run: Callable[[], object], left: Callable[[], int]) -> str:
        """Run the network, and return one line about the products that ran in quantized form.

        Args:
            run: Computes something with every product.
            left: Returns the number of linear layers of floats that should be none.

        Raises:
            RuntimeError: none ran, or there is a linear layer of floats.
            UserError: torch has no such product on this device.
        """
        kind, before = self._kind, [p.calls for p in self.products]
        try:
            run()
        except (RuntimeError, NotImplementedError) as e:
            raise UserError(
                f"{kind.linear.__name__} cannot run on {self._device} with torch {torch.__version__} "
                f"({str(e)[:200]}): use --variant bf16"
            ) from e
        ran = sum(p.calls > b for p, b in zip(self.products, before, strict=True))
        wrong = sum(p.product.weight.dtype != kind.weights for p in self.products) + left()
        if not ran or wrong:
            raise RuntimeError(f"{ran} products ran, {wrong} of them not in {kind.weights}")
        name = str(kind.weights).removeprefix("torch.")
        engines = ", ".join(sorted({p.product.engine for p in self.products}))
        return f"{ran} of {len(self.products)} products with weights in {name}, multiplied by {engines}"


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
        device: Its device.
    """

    alone = False

    def __init__(self, network: FastT5 | FastBert | floats.PaddedNetwork, made: Products, device: torch.device) -> None:
        self.note = made.note
        self.network, self.align = network, floats.alignment(network, device)
        self._made, self._device = made, device
        self._size = floats.total_bytes(floats.tensors_of(network))

    def __call__(self, batch: Packed) -> Tensor:
        """Return the last hidden states [tokens, width]."""
        return self.network(batch)

    def sizes(self) -> Sizes:
        """Return the bytes of the weights with their scales; a file of this form has the same size."""
        return Sizes(resident=self._size, file=self._size)

    @torch.inference_mode()
    def proof(self) -> str:
        """Run one token, and return one line about the products that ran in quantized form (`Products.proof`)."""
        ids = torch.zeros(max(1, self.align), dtype=torch.int64, device=self._device)
        batch = Packed(ids, (Segment(0, 1, len(ids)),))
        return self._made.proof(
            lambda: self.network(batch), lambda: sum(isinstance(m, nn.Linear) for m in _modules(self.network))
        )


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
    int8_original_dtype = torch.float32  # open_clip reads it in place of the weight's

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


def replace(module: nn.Module, linear: Callable[..., Product], among: Container[nn.Module] | None = None) -> None:
    """Replace linear layers by products and large embedding tables by int8 tables.

    Args:
        module: The network.
        linear: Makes a product of weight and bias.
        among: Layers that may be replaced; None: all.
    """
    _replace(module, linear, {}, among)


def _replace(
    module: nn.Module, linear: Callable[..., Product], made: dict[int, nn.Module], among: Container[nn.Module] | None
) -> None:
    """`made` has the replacements by the id of a weight, which several modules may share."""
    for name, child in list(module._modules.items()):  # named_children() lists shared modules only once
        if child is None:
            continue
        is_table = type(child) is nn.Embedding and child.num_embeddings >= _LARGE_TABLE
        if (type(child) is not nn.Linear and not is_table) or not (among is None or child in among):
            _replace(child, linear, made, among)
            continue
        weight: Any = child.weight
        key = id(weight)
        if key not in made:
            made[key] = _Words(products.Int8Table(weight)) if is_table else _Layer(linear(weight, child.bias))
        setattr(module, name, made[key])


def _modules(network: Any) -> list[nn.Module]:
    return list(network.transformer.modules()) if isinstance(network, floats.PaddedNetwork) else []
