"""Weights of a BERT's or T5's encoder straight from safetensors: the import of transformers' model classes takes 3.5 s.

Only the plain case is read here: every key of config.json is one whose meaning is known, and every weight has the name
and shape that the published classes give it. Anything else is left to transformers, errors included.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from instructor_eval.models.bert import FastBert
from instructor_eval.models.checkpoint import Checkpoint
from instructor_eval.models.folder.files import UNUSED_WEIGHTS
from instructor_eval.models.folder.safetensors_file import read_header
from instructor_eval.models.t5 import FastT5

NETWORKS: dict[str, type[FastBert] | type[FastT5]] = {"bert": FastBert, "t5": FastT5}
_Shapes = dict[str, tuple[int, ...]]
_FLOATS = {"F32", "F16", "BF16"}
_UNREAD = (*UNUSED_WEIGHTS, "embeddings.position_ids")
_NUMBER, _ID = (int, float), (int, type(None))
_ANY = {
    "architectures": list, "_name_or_path": str, "model_type": str, "transformers_version": str, "torch_dtype": str,
    "dtype": str, "gradient_checkpointing": bool, "use_cache": bool, "vocab_size": int, "pad_token_id": int,
    "is_decoder": bool, "tie_word_embeddings": bool, "initializer_range": _NUMBER,
}  # fmt: skip
"""Keys of config.json -> types. Of what is not listed the meaning is not known here."""
_BERT = _ANY | {
    "hidden_size": int, "num_hidden_layers": int, "num_attention_heads": int, "intermediate_size": int,
    "hidden_act": str, "hidden_dropout_prob": _NUMBER, "attention_probs_dropout_prob": _NUMBER,
    "max_position_embeddings": int, "type_vocab_size": int, "layer_norm_eps": float, "position_embedding_type": str,
    "classifier_dropout": (int, float, type(None)), "add_cross_attention": bool, "bos_token_id": _ID,
    "eos_token_id": _ID,
}  # fmt: skip
_BERT_DEFAULTS = {
    "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "hidden_act": "gelu", "max_position_embeddings": 512, "type_vocab_size": 2,
    "layer_norm_eps": 1e-12, "pad_token_id": 0,
}  # fmt: skip
_T5 = _ANY | {
    "d_model": int, "d_kv": int, "d_ff": int, "num_layers": int, "num_decoder_layers": _ID, "num_heads": int,
    "relative_attention_num_buckets": int, "relative_attention_max_distance": int, "dropout_rate": _NUMBER,
    "layer_norm_epsilon": float, "initializer_factor": _NUMBER, "feed_forward_proj": str, "is_encoder_decoder": bool,
    "eos_token_id": _ID, "decoder_start_token_id": _ID, "n_positions": int, "output_past": bool,
    "task_specific_params": dict, "dense_act_fn": str, "is_gated_act": bool, "classifier_dropout": _NUMBER,
    "scale_decoder_outputs": bool,
}  # fmt: skip
_T5_DEFAULTS = {
    "vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8,
    "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "relu", "pad_token_id": 0,
}  # fmt: skip


class StoredEncoder(nn.Module):
    """The parts of an encoder under the names that its weights have in the file; it computes nothing.

    Args:
        tensors: Name -> weight.
        config: What the forward pass reads of config.json.
    """

    def __init__(self, tensors: Mapping[str, Tensor], config: SimpleNamespace) -> None:
        super().__init__()
        self.kind: str = config.model_type
        self.config = config
        nested: dict[str, Any] = {}
        for name, tensor in tensors.items():
            *path, last = name.split(".")
            part = nested
            for step in path:
                part = part.setdefault(step, {})
            part[last] = tensor
        _fill(self, nested)


def _fill(module: nn.Module, parts: Mapping[str, Any]) -> nn.Module:
    for name, part in parts.items():
        if isinstance(part, Tensor):
            module.register_parameter(name, nn.Parameter(part, requires_grad=False))
        elif all(number.isdigit() for number in part):
            in_order = (part[number] for number in sorted(part, key=int))
            module.add_module(name, nn.ModuleList(_fill(nn.Module(), inner) for inner in in_order))
        else:
            module.add_module(name, _fill(nn.Module(), part))
    return module


def read_encoder(checkpoint: Checkpoint, dtype: torch.dtype) -> StoredEncoder | None:
    """Return the weights of a checkpoint's encoder on the CPU; None where transformers must read them."""
    config, file = _config(checkpoint.config), checkpoint.transformer / "model.safetensors"
    if config is None or [file] != list(checkpoint.transformer.glob("*.safetensors")):
        return None
    wanted, there = (_bert if config.model_type == "bert" else _t5)(config), read_header(file)
    if not wanted or not NETWORKS[config.model_type].supports(config):
        return None
    kinds = {tensor.dtype for name, tensor in there.items() if name in wanted}
    fits = all(name in there and there[name].shape == shape for name, shape in wanted.items())
    if not fits or kinds - _FLOATS or any(not name.startswith(_UNREAD) for name in there.keys() - wanted.keys()):
        return None
    from safetensors import safe_open

    with safe_open(file, framework="pt") as f:
        return StoredEncoder({name: f.get_tensor(name).to(dtype, copy=True) for name in wanted}, config)


def _config(raw: Mapping[str, Any]) -> SimpleNamespace | None:
    """Return config.json with defaults; None if a key is not known, or a value strange."""
    kind = raw.get("model_type")
    if kind not in NETWORKS:
        return None
    types, defaults = (_BERT, _BERT_DEFAULTS) if kind == "bert" else (_T5, _T5_DEFAULTS)
    if not all(key in types and _is(value, types[key]) for key, value in raw.items()):
        return None
    config = SimpleNamespace(**{**defaults, **raw})
    decodes = getattr(config, "is_decoder", False)
    return config if 0 <= config.pad_token_id < config.vocab_size and not decodes else None


def _is(value: Any, types: Any) -> bool:
    """Return whether a value is of a type; true and false are no numbers."""
    return type(value) in (types if isinstance(types, tuple) else (types,))


def _bert(config: Any) -> _Shapes:
    """Return the shape of each weight of a BERT; empty: it has heads that do not divide its width."""
    width, inner, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
    if min(width, inner, heads, config.num_hidden_layers, config.type_vocab_size) < 1 or width % heads:
        return {}
    rows = {"word": config.vocab_size, "position": config.max_position_embeddings, "token_type": config.type_vocab_size}
    found: _Shapes = {f"embeddings.{name}_embeddings.weight": (n, width) for name, n in rows.items()}
    found |= _with_bias("embeddings.LayerNorm", (width,))
    for number in range(config.num_hidden_layers):
        layer = f"encoder.layer.{number}"
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            found |= _with_bias(f"{layer}.attention.{name}", (width, width))
        found |= _with_bias(f"{layer}.attention.output.LayerNorm", (width,))
        found |= _with_bias(f"{layer}.intermediate.dense", (inner, width))
        found |= _with_bias(f"{layer}.output.dense", (width, inner))
        found |= _with_bias(f"{layer}.output.LayerNorm", (width,))
    return found


def _with_bias(name: str, shape: tuple[int, ...]) -> _Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _t5(config: Any) -> _Shapes:
    """Return the shape of each weight of a T5's encoder, and complete its configuration; empty: it is another kind."""
    gated = config.feed_forward_proj == "gated-gelu"
    derived = {"is_gated_act": gated, "dense_act_fn": "gelu_new" if gated else "relu"}
    if (config.feed_forward_proj not in ("relu", "gated-gelu") or config.num_layers < 1
            or any(getattr(config, key, value) != value for key, value in derived.items())):  # fmt: skip
        return {}
    vars(config).update(derived)
    width, inner, ff = config.d_model, config.num_heads * config.d_kv, config.d_ff
    found: _Shapes = {"shared.weight": (config.vocab_size, width), "encoder.final_layer_norm.weight": (width,)}
    buckets = (config.relative_attention_num_buckets, config.num_heads)
    found["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = buckets
    for number in range(config.num_layers):
        attention, dense = f"encoder.block.{number}.layer.0", f"encoder.block.{number}.layer.1"
        found |= {f"{attention}.SelfAttention.{name}.weight": (inner, width) for name in "qkv"}
        found[f"{attention}.SelfAttention.o.weight"] = (width, inner)
        up = ("wi_0", "wi_1") if gated else ("wi",)
        found |= {f"{dense}.DenseReluDense.{name}.weight": (ff, width) for name in up}
        found[f"{dense}.DenseReluDense.wo.weight"] = (width, ff)
        found |= {f"{layer}.layer_norm.weight": (width,) for layer in (attention, dense)}
    return found
