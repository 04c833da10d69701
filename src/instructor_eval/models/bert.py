"""BERT's encoder on packed batches: the same arithmetic as transformers', without its padding and copies.

Devlin et al. 2019, "BERT", 3; post-norm, learned absolute positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from instructor_eval.models.packed import LAID_OUT, Arithmetic, Packed, attend_all


class FastBert:
    """The encoder of a loaded `BertModel`; it holds that model's weights in the form it computes with."""

    def __init__(self, model: Any, arithmetic: Arithmetic = LAID_OUT) -> None:
        config = model.config
        self.heads = int(config.num_attention_heads)
        self._scale = 1 / math.sqrt(config.hidden_size // self.heads)
        self.eps = float(config.layer_norm_eps)
        embeddings = model.embeddings
        self.words = arithmetic.table(embeddings.word_embeddings.weight)
        # Every text is of the first of the two types: that vector joins the positions'.
        self.positions: Tensor = embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]
        self.norm = embeddings.LayerNorm
        self.layers = [_Layer(layer, arithmetic) for layer in model.encoder.layer]
        self._attend = arithmetic.attend

    @staticmethod
    def supports(config: Any) -> bool:
        """Return whether this is BERT as published: exact GELU, absolute positions, no decoder."""
        position = getattr(config, "position_embedding_type", None) or "absolute"
        return config.hidden_act == "gelu" and position == "absolute" and not getattr(config, "is_decoder", False)

    def __call__(self, batch: Packed, watch: Callable[[str, Tensor], None] | None = None) -> Tensor:
        """Return the last hidden states [tokens, width]; `watch` sees the output of each part of each block."""
        device = batch.ids.device
        last = len(self.positions) - 1  # padding may reach beyond
        places = [torch.arange(s.width, device=device).clamp(max=last).repeat(s.rows) for s in batch.segments]
        x = self.words(batch.ids)
        x += functional.embedding(torch.cat(places), self.positions)
        x = self._norm(x, self.norm)
        masks = [s.attended[:, None, None, :] if s.attended is not None else None for s in batch.segments]
        for number, layer in enumerate(self.layers):
            attended = attend_all(self._attend, layer.qkv(x), batch, self.heads, masks, self._scale)
            x = self._norm(layer.out(attended, added=x), layer.norm_1)
            if watch:
                watch(f"the attention of block {number}", x)
            x = self._norm(layer.down(layer.up(x), added=x), layer.norm_2)
            if watch:
                watch(f"the feed-forward layer of block {number}", x)
        return x

    def _norm(self, x: Tensor, norm: Any) -> Tensor:
        return functional.layer_norm(x, (x.shape[-1],), norm.weight, norm.bias, self.eps)


class _Layer:
    """Weights of one layer: queries, keys and values as one product."""

    def __init__(self, layer: Any, arithmetic: Arithmetic) -> None:
        linear = arithmetic.linear
        parts, output = layer.attention.self, layer.attention.output
        linears = (parts.query, parts.key, parts.value)
        weights, biases = torch.cat([p.weight for p in linears]), torch.cat([p.bias for p in linears])
        self.qkv = linear(weights, biases)
        self.out = linear(output.dense.weight, output.dense.bias)
        self.norm_1 = output.LayerNorm
        up, down = layer.intermediate.dense, layer.output.dense
        self.up = linear(up.weight, up.bias, activation="gelu")
        self.down = linear(down.weight, down.bias)
        self.norm_2 = layer.output.LayerNorm
