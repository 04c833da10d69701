"""The numbers of a transformer's config.json: their types, and sizes that a network can have.

Libraries build whatever a file asks for: a billion layers until memory is full, a table of a trillion positions. Keys
that are not listed here are left to the library's own checks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from instructor_eval.core.errors import UserError

LARGEST = 2**24
"""The longest published table of positions has ten million rows, the largest vocabulary one million."""
_WIDTHS = ("hidden_size", "d_model", "dim", "n_embd", "vocab_size", "intermediate_size", "d_ff")
_POSITIONS = ("max_position_embeddings", "n_positions")
_SIZES = (
    *_WIDTHS, *_POSITIONS, "embedding_size", "d_kv", "head_dim", "type_vocab_size", "num_attention_heads", "num_heads",
    "n_head", "n_heads", "num_key_value_heads", "relative_attention_num_buckets", "relative_attention_max_distance",
)  # fmt: skip
_LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "num_decoder_layers", "encoder_layers",
           "decoder_layers")  # fmt: skip
_MOST_LAYERS, _FEW_LAYERS = 2_000, 100
_NARROW = 4096
"""A width that takes little memory."""
_MANY = {"num_labels": 200_000, "num_experts": 100_000, "num_local_experts": 100_000, "n_routed_experts": 100_000}
_FRACTIONS = ("layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps", "norm_eps", "rope_theta", "initializer_range",
              "initializer_factor")  # fmt: skip
_TOKENS = ("pad_token_id", "bos_token_id", "eos_token_id")
_LONGEST_NAME = 100
_FEW_POSITIONS = 100_000
"""A table of this size may be built before its weights turn out not to fit."""
# Learned tables of positions.
_PLACES = ("position_embeddings.weight", "wpe.weight")


def check_numbers(config: Mapping[str, Any], name: str) -> None:
    """Check types and sizes of numbers in config.json; null counts as missing.

    Raises:
        UserError: one has another type or an impossible size.
    """
    for part in (config, config.get("text_config")):
        if not isinstance(part, Mapping):
            continue
        for key, value in part.items():
            if value is not None and (wanted := _wanted(key, value)):
                raise UserError(
                    f"model {name}: config.json: {key}: {as_json(value)} is not a {wanted}: copy or download the "
                    "checkpoint again"
                )


def _wanted(key: str, value: Any) -> str:
    """Return what a value should be; empty if the value is right."""
    values = value if isinstance(value, list) else [value]  # some models have a number for each layer
    if key in _SIZES or key in _LAYERS or key in _MANY:
        most = _MANY.get(key, LARGEST)
        good = all(is_whole(v) and 0 <= v <= most for v in values)
        return "" if good else f"whole number from 0 to {most:,}"
    if key in _FRACTIONS:
        good = all(type(v) in (int, float) and abs(v) < 1e30 for v in values)
        return "" if good else "finite number"
    if key == "model_type":  # libraries look for names like it
        return "" if isinstance(value, str) and len(value) <= _LONGEST_NAME else "name of an architecture"
    if key in _TOKENS:
        return "" if all(is_whole(v) and -1 <= v < 2**31 for v in values) else "token's id"
    return ""


def check_fit(config: Mapping[str, Any], weights: Mapping[str, Sequence[int]], name: str) -> None:
    """Check that weights and configuration can belong together, before a library builds a huge network to find out.

    Each layer has a tensor of its own, except in networks that share a few layers; no width exceeds every tensor's.

    Args:
        config: config.json.
        weights: The shape of every tensor.
        name: The model's name, for errors.

    Raises:
        UserError: there are more layers than tensors, or a width that none of them has.
    """
    most = dict.fromkeys(_LAYERS, min(_MOST_LAYERS, max(_FEW_LAYERS, len(weights))))
    if weights:
        # A missing tensor gets its own error when the weights are read.
        most |= dict.fromkeys(_WIDTHS, max(_NARROW, *(n for shape in weights.values() for n in shape)))
        rows = [shape[0] for key, shape in weights.items() if key.endswith(_PLACES) and shape]
        if rows:
            most |= dict.fromkeys(_POSITIONS, max(_FEW_POSITIONS, *rows))
    for key, largest in most.items():
        given = config.get(key)
        if is_whole(given) and given > largest:
            raise UserError(
                f"model {name}: config.json: {key} is {given:,}, and its weights, {len(weights):,} tensors, allow for "
                f"{largest:,}: the checkpoint's files do not belong together"
            )


def is_whole(value: Any) -> TypeGuard[int]:
    """Return whether a value is a whole number; true and false are not."""
    return type(value) is int


def as_json(value: Any) -> str:
    """Return a value as JSON, shortened."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
