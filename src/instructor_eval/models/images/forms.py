"""The numeric forms of both towers: floats, torch's own int8, and the products of this package (`forms/int8.py`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from instructor_eval.core.errors import UserError
from instructor_eval.models.forms import float as floats
from instructor_eval.models.forms.base import Sizes
from instructor_eval.models.forms.int8 import Products, replace
from instructor_eval.models.packed import Product


@dataclass(frozen=True)
class Formed:
    """A network in a form."""

    network: nn.Module
    sizes: Sizes
    proof: str
    """A description of what runs, read off the network itself."""
    alone: bool = False
    """True if a row's numbers depend on the other rows of its batch: then each item gets its own batch."""
    note: str = ""
    """A line for the user about what was chosen."""


def bring_into_form(network: nn.Module, form: str, device: torch.device, run: Callable[[], object]) -> Formed:
    """Return the towers' network in a numeric form, on a device; the network given is used up.

    Args:
        network: Of both towers, on the CPU in float32.
        form: One of `images.model.FORMS`.
        device: The device.
        run: Computes a text and a picture with it.

    Raises:
        UserError: there is no linear layer to quantize, or torch cannot run the form here.
    """
    if form in floats.DTYPES:
        network.to(device=device, dtype=floats.DTYPES[form])
        tensors = floats.tensors_of(network)
        size = floats.total_bytes(tensors)
        type_ = str(floats.DTYPES[form]).removeprefix("torch.")
        return Formed(network, Sizes(size, size), f"{len(tensors)} tensors in {type_}")
    network.to(device)
    if form == "int8-dynamic":
        return _of_torch(network)
    made = Products(form, device)
    linears, attentions = _used(network, run)
    _replace_attention(network, made.linear, attentions)
    replace(network, made.linear, among=linears | {m for m in network.modules() if type(m) is nn.Embedding})
    if not made.products:
        raise UserError(f"variant {form}: the model uses no linear layer that could be quantized: use --variant fp32")
    proof = made.proof(run, lambda: sum(m in linears or m in attentions for m in network.modules()))
    size = floats.total_bytes(floats.tensors_of(network))
    return Formed(network, Sizes(size, size), proof, note=made.note)


def _of_torch(network: nn.Module) -> Formed:
    from instructor_eval.models.forms import torch_dynamic

    wanted = sum(type(m) is nn.Linear for m in network.modules())
    network = torch_dynamic.quantize(network)
    found = torch_dynamic.quantized_layers(network)
    for layer in found:
        layer.int8_original_dtype = torch.float32  # open_clip reads it in place of the weight's
    if len(found) != wanted or not found:
        raise RuntimeError(f"torch.quantize_dynamic took {len(found)} of {wanted} linear layers")
    proof = f"{wanted} linear layers quantized by torch ({torch.backends.quantized.engine})"
    return Formed(network, torch_dynamic.sizes_of(network), proof, alone=True)  # one scale for a whole batch


def _used(network: nn.Module, run: Callable[[], object]) -> tuple[set[nn.Module], set[nn.Module]]:
    """Return the linear layers, and the attention of a sequence to itself, that are called in a computation.

    Others are not replaced: a module reads their weights and multiplies by itself, as open_clip's ResNet pools.
    """
    linears: set[nn.Module] = set()
    attentions: set[nn.Module] = set()

    def attended(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        query, key, value, *more = (*given, *(named[name] for name in ("query", "key", "value") if name in named))
        itself = query is key is value and query.dim() == 3 and not more
        if itself and named.get("key_padding_mask") is None and not named.get("need_weights", True):
            attentions.add(module)

    hooks = []
    for module in network.modules():
        if type(module) is nn.Linear:
            hooks.append(module.register_forward_pre_hook(lambda m, _: linears.add(m)))
        elif type(module) is nn.MultiheadAttention and module._qkv_same_embed_dim and module.bias_k is None:
            hooks.append(module.register_forward_pre_hook(attended, with_kwargs=True))
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return linears, attentions


def _replace_attention(network: nn.Module, linear: Callable[..., Product], among: set[nn.Module]) -> None:
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if child in among and isinstance(child, nn.MultiheadAttention):
                setattr(parent, name, SelfAttention(child, linear))


class SelfAttention(nn.Module):
    """A `torch.nn.MultiheadAttention` of a sequence to itself whose two products are in another form.

    Args:
        given: The module in whose place it stands.
        linear: Makes a product of weight and bias.
    """

    def __init__(self, given: nn.MultiheadAttention, linear: Callable[..., Product]) -> None:
        super().__init__()
        self.heads, self.batch_first = given.num_heads, given.batch_first
        self.inputs = linear(given.in_proj_weight, given.in_proj_bias)
        self.outputs = linear(given.out_proj.weight, given.out_proj.bias)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, *, need_weights: bool, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """Return what attention gives for [rows, length, width] (or [length, rows, width]), without its weights."""
        x = query if self.batch_first else query.transpose(0, 1)
        rows, length, width = x.shape
        qkv = self.inputs(x.flatten(0, 1)).view(rows, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        if attn_mask is not None:
            if attn_mask.dtype == torch.bool:  # True is what is not attended to: torch's two functions differ
                attn_mask = ~attn_mask
            attn_mask = attn_mask.view(rows, self.heads, length, length) if attn_mask.dim() == 3 else attn_mask
        found = functional.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
        out = self.outputs(found.transpose(1, 2).reshape(rows * length, width)).view(rows, length, width)
        return (out if self.batch_first else out.transpose(0, 1)), None
