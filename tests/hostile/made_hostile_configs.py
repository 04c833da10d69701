"""Configurations of checkpoints: numbers of another kind or size, JSON that is none, paths and types that lead away."""

# a case is a line

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hostile_inputs import Spoil, edited, sparse, spoilt, written

NAN, HUGE = float("nan"), 10**400
_CONFIG = "config.json"
_MODULES = "modules.json"


def _raw(key: str, text: str, file: str = _CONFIG) -> Spoil:
    """A value that Python would not write: 1e400."""

    def spoil(folder: Path) -> None:
        path = folder / file
        value = json.loads(path.read_text(encoding="utf-8")) | {key: "HERE"}
        path.write_text(json.dumps(value).replace('"HERE"', text), encoding="utf-8")

    return spoil


def _module(at: int, **changes: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        modules = json.loads((folder / _MODULES).read_text())
        modules[at] |= changes
        (folder / _MODULES).write_text(json.dumps(modules))

    return spoil


_NUMBERS = {
    "hidden_size": ("32", [], True, -1, 1.5, HUGE, NAN, 10**12, {}),
    "num_attention_heads": ("4", 0, -4, True, 2**24, 7, NAN),
    "num_hidden_layers": ("1", 10**9, 101, -1, False, NAN),
    "vocab_size": ("x", 10**12, -5, True, [[1]], 3),
    "max_position_embeddings": (10**12, "512", True, NAN, 10**7),
    "type_vocab_size": (10**10, "2", -1),
    "intermediate_size": (10**15, 0.5, "64"),
    "pad_token_id": ("0", 0.5, True, NAN, 10**30, -7, {}, "x" * 1_000_000),
    "layer_norm_eps": ("1e-5", [], NAN, True, None),
    "num_labels": (10**9, "2", -1),
}


_JSON = {
    "not JSON": "{",
    "empty": "",
    "a list": "[]",
    "null": "null",
    "a number": "5",
    "brackets without end": "[" * 200_000,
    "objects without end": '{"a":' * 100_000,
    "five million lists": '{"a": [' + "[]," * 5_000_000 + "0]}",
    "a byte-order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "not UTF-8": b'{"a": "\xff"}',
    "a NUL": '{"a": "\0"}',
    "a number of 5,000 digits": '{"a": ' + "9" * 5000 + "}",
}
_FILES = (_CONFIG, _MODULES, "tokenizer_config.json", "1_Pooling/config.json", "config_sentence_transformers.json")

CASES = [
    *(
        spoilt(
            f"{key}: {str(value)[:20]}{' of another kind' if isinstance(value, str) else ''}",
            edited(_CONFIG, **{key: value}),
            "model m",
        )
        for key, values in _NUMBERS.items()
        for value in values
    ),
    spoilt("hidden_size: null", edited(_CONFIG, hidden_size=None), "names no hidden_size"),
    spoilt("hidden_size: 1e400", _raw("hidden_size", "1e400"), "hidden_size: Infinity is not a whole number"),
    spoilt("pad_token_id: -1e400", _raw("pad_token_id", "-1e400"), "pad_token_id: -Infinity is not a token's id"),
    spoilt("d_model: a text", edited(_CONFIG, d_model="32"), "d_model: '32' is not a whole number", kind="t5"),
    spoilt("num_heads: 0", edited(_CONFIG, num_heads=0), "model m", kind="t5"),
    spoilt("num_layers: a billion", edited(_CONFIG, num_layers=10**9), "num_layers: 1000000000 is no", kind="t5"),
    spoilt("num_layers: two thousand", edited(_CONFIG, num_layers=2001), "num_layers is 2,001", "tensors", kind="t5"),
    spoilt(
        "relative_attention_num_buckets: 0", edited(_CONFIG, relative_attention_num_buckets=0), "model m", kind="t5"
    ),
    spoilt(
        "relative_attention_max_distance: 0", edited(_CONFIG, relative_attention_max_distance=0), "model m", kind="t5"
    ),
    spoilt("layer_norm_epsilon: NaN", edited(_CONFIG, layer_norm_epsilon=NAN), "layer_norm_epsilon: NaN", kind="t5"),
    spoilt("feed_forward_proj: a list", edited(_CONFIG, feed_forward_proj=[1]), "model m", kind="t5"),
    spoilt("model_type: a list", edited(_CONFIG, model_type=["bert"]), "model m"),
    spoilt("model_type: of a megabyte", edited(_CONFIG, model_type="x" * 1_000_000), "model m"),
    spoilt("model_type: with escapes", edited(_CONFIG, model_type="\x1b[31m\x9b1m\0"), "model m"),
    spoilt("hidden_act: a module", edited(_CONFIG, hidden_act="os.system"), "model m"),
    spoilt("architectures: a number", edited(_CONFIG, architectures=5, model_type="x"), "model m"),
    spoilt("text_config: of another kind", edited(_CONFIG, text_config={"hidden_size": "x"}), "model m"),
    spoilt("quantization_config: true", edited(_CONFIG, quantization_config=True), "quantization_config", "--variant"),
    spoilt("auto_map: code elsewhere", edited(_CONFIG, auto_map={"AutoModel": "a/b--c.D"}, model_type="x"), "model m"),
    spoilt("attn_implementation: a repository", edited(_CONFIG, attn_implementation="a/b"), "would be downloaded"),
    *(
        spoilt(f"{file}: {name}", written(file, text), "model m: ", Path(file).name)
        for file in _FILES
        for name, text in _JSON.items()
        if not (file == _MODULES and name == "a list")
    ),
    *(
        spoilt(f"{file}: of a terabyte", sparse(file, 2**40), "model m: ", Path(file).name, "larger than 32 MB")
        for file in _FILES
    ),
    *(
        spoilt(f"modules.json: path {name}", _module(1, path=path), "modules.json names a folder outside")
        for name, path in {
            "above": "../1_Pooling",
            "far above": "../../../../etc",
            "absolute": "/etc",
            "of Windows": "C:\\x",
            "of Windows above": "..\\..\\x",
            "with NUL": "1_Pooling\0",
            "of 5,000 characters": "x/" * 2500,
        }.items()
    ),
    *(
        spoilt(f"modules.json: type {name}", _module(1, type=kind), "model m: modules.json: ", says)
        for name, kind, says in (
            ("of the system", "os.system", "is code of its own"),
            ("what a module imported", "sentence_transformers.util.torch", "is no class"),
            ("deep in it", "sentence_transformers.models.os.system", "is no class"),
            ("with spaces", "sentence_transformers.models.Pooling; import os", "is no class"),
            ("a number", 5, "is code of its own"),
            ("null", None, "is code of its own"),
            ("a megabyte", "x" * 1_000_000, "is code of its own"),
        )
    ),
    spoilt("modules.json: no class of that name", _module(1, type="sentence_transformers.models.Nothing"), "model m"),
    spoilt("modules.json: no modules", written(_MODULES, "[]"), "names no module"),
    spoilt("modules.json: no path", written(_MODULES, '[{"idx": 0, "name": "0"}]'), "is not a list of modules"),
    spoilt("modules.json: Pooling in a file", _module(1, path="config.json"), "model m"),
    spoilt("pooling: unknown", edited("1_Pooling/config.json", pooling_mode="magic"), "model m"),
    spoilt("max_seq_length: 10**30", edited("sentence_bert_config.json", max_seq_length=10**30), "max_seq_length"),
    spoilt("max_seq_length: NaN", edited("sentence_bert_config.json", max_seq_length=NAN), "max_seq_length"),
    spoilt(
        "tokenizer elsewhere", edited("sentence_bert_config.json", tokenizer_name_or_path="/etc"), "outside the folder"
    ),
    spoilt("model_args: a text", edited("sentence_bert_config.json", model_args="x"), "model m"),
    spoilt("truncate_dim: 1e400", _raw("truncate_dim", "1e400", "config_sentence_transformers.json"), "truncate_dim"),
    spoilt("prompts: a list", edited("config_sentence_transformers.json", prompts=[1]), "prompts is no mapping"),
    spoilt(
        "default_prompt_name: a list",
        edited("config_sentence_transformers.json", prompts={"[1]": "x"}, default_prompt_name=[1]),
        "default_prompt_name",
    ),
    *(
        spoilt(
            f"Dense, in_features: {str(value)[:9]}",
            edited("2_Dense/config.json", in_features=value),
            "in_features",
            kind="t5",
        )
        for value in ("32", NAN, HUGE, -1, 0, True, None, [32])
    ),
    spoilt(
        "Dense, out_features: a billion",
        edited("2_Dense/config.json", out_features=10**9),
        "out_features from 1 to",
        kind="t5",
    ),
    spoilt("Dense, in_features: 1e400", _raw("in_features", "1e400", "2_Dense/config.json"), "in_features", kind="t5"),
    spoilt(
        "Dense, activation: os.system",
        edited("2_Dense/config.json", activation_function="os.system"),
        "is code of its own",
        kind="t5",
    ),
    spoilt(
        "Dense, activation: a function",
        edited("2_Dense/config.json", activation_function="torch.load"),
        "is no class of",
        kind="t5",
    ),
    spoilt("Dense, activation: a list", edited("2_Dense/config.json", activation_function=[1]), "model m", kind="t5"),
    spoilt(
        "an adapter of a base elsewhere",
        written("adapter_config.json", '{"base_model_name_or_path": "/dev/zero"}'),
        "adapter",
    ),
]
