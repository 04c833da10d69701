"""T5's encoder on packed batches: the same arithmetic as transformers', without its padding, copies and masks.

Raffel et al. 2020, "Exploring the Limits of Transfer Learning", 2.1: pre-norm without mean or bias, attention without
scaling, one table of relative position biases for all layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from instructor_eval.models.packed import LAID_OUT, Arithmetic, Packed, Segment, attend_all

# What `feed_forward_proj` may say, with the activation of each: T5 1.0 and 1.1.
_ACTIVATIONS = {"relu": "relu", "gated-gelu": "gelu_new"}


class FastT5:
    """The encoder of a loaded `T5EncoderModel`; it holds that model's weights in the form it computes with."""

    def __init__(self, model: Any, arithmetic: Arithmetic = LAID_OUT) -> None:
        config = model.config
        self.heads = int(config.num_heads)
        self.eps = float(config.layer_norm_epsilon)
        stack = model.encoder
        # A file may have a table for the encoder besides the shared one: transformers reads texts with that.
        self.embedding = arithmetic.table(getattr(stack, "embed_tokens", model.shared).weight)
        self.bias_table: Tensor = stack.block[0].layer[0].SelfAttention.relative_attention_bias.weight
        self.far = int(config.relative_attention_max_distance)
        self._bias: Tensor | None = None
        self.layers = [_Layer(block, arithmetic, gated=bool(config.is_gated_act)) for block in stack.block]
        self._attend = arithmetic.attend
        self.final_norm: Tensor = stack.final_layer_norm.weight

    @staticmethod
    def supports(config: Any) -> bool:
        """Return whether it has layers, and one of the two kinds of feed-forward that are known here."""
        return bool(config.num_layers) and _ACTIVATIONS.get(str(config.feed_forward_proj)) == str(config.dense_act_fn)

    def __call__(self, batch: Packed, watch: Callable[[str, Tensor], None] | None = None) -> Tensor:
        """Return the last hidden states [tokens, width]; `watch` sees the output of each part of each block."""
        x = self.embedding(batch.ids)
        biases = [self._segment_bias(s) for s in batch.segments]
        for number, layer in enumerate(self.layers):
            qkv = layer.qkv(self._norm(x, layer.norm_1))
            x = layer.out(attend_all(self._attend, qkv, batch, self.heads, biases, 1.0), added=x)
            if watch:
                watch(f"the attention of block {number}", x)
            hidden = layer.up(self._norm(x, layer.norm_2))
            if layer.gate is not None:
                hidden = functional.gelu(layer.gate(self._norm(x, layer.norm_2)), approximate="tanh").mul_(hidden)
            x = layer.down(hidden, added=x)
            if watch:
                watch(f"the feed-forward layer of block {number}", x)
        return self._norm(x, self.final_norm)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        if x.device.type == "cpu":
            # One pass for the length of each row, one to scale; rms_norm makes four here.
            length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
            scale = torch.rsqrt(length.square_().div_(x.shape[-1]).add_(self.eps))
            return (x * scale.to(x.dtype)).mul_(weight)
        return functional.rms_norm(x, (x.shape[-1],), weight, self.eps)

    def _segment_bias(self, segment: Segment) -> Tensor:
        """Return the position bias [1 or rows, heads, width, width], minus infinity at padding."""
        bias = self._position_bias(segment.width)[:, :, : segment.width, : segment.width]
        if segment.attended is None:
            return bias.expand(segment.rows, -1, -1, -1)
        return bias.masked_fill(~segment.attended[:, None, None, :], torch.finfo(bias.dtype).min)

    def _position_bias(self, width: int) -> Tensor:
        """Return biases for `width` positions: computed once for the longest batch so far, cut for the others."""
        if self._bias is None or self._bias.shape[-1] < width:
            size = -(-width // 128) * 128
            places = torch.arange(size)
            buckets = relative_buckets(places[None, :] - places[:, None], len(self.bias_table), self.far)
            table = self.bias_table[buckets.to(self.bias_table.device)]
            self._bias = table.permute(2, 0, 1).unsqueeze(0).contiguous()
        return self._bias


def relative_buckets(distances: Tensor, buckets: int, far: int) -> Tensor:
    """Return T5's bucket of each distance (key minus query): half of the buckets serve each direction.

    Of a direction's buckets, half hold one distance each; the others grow wider with its logarithm up to `far`, and
    the last holds everything beyond.
    """
    half = buckets // 2
    exact = half // 2
    ahead, apart = (distances > 0).long() * half, distances.abs()
    wide = exact + (torch.log(apart.float() / exact) / math.log(far / exact) * (half - exact)).long()
    return ahead + torch.where(apart < exact, apart, wide.clamp(max=half - 1))


class _Layer:
    """Weights of one block: queries, keys and values as one product."""

    def __init__(self, block: Any, arithmetic: Arithmetic, *, gated: bool) -> None:
        attention, dense = block.layer[0], block.layer[1]
        parts = attention.SelfAttention
        self.norm_1: Tensor = attention.layer_norm.weight
        self.norm_2: Tensor = dense.layer_norm.weight
        linear = arithmetic.linear
        self.qkv = linear(torch.cat([parts.q.weight, parts.k.weight, parts.v.weight]))
        self.out = linear(parts.o.weight)
        feed = dense.DenseReluDense
        self.gate = linear(feed.wi_0.weight) if gated else None
        weight, activation = (feed.wi_1.weight, "none") if gated else (feed.wi.weight, "relu")
        self.up = linear(weight, activation=activation)
        # transformers may keep this one in float32
        self.down = linear(feed.wo.weight.to(parts.o.weight.dtype))
