"""Encoders read without transformers: the numbers that its own classes give, and all else left to it."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import copy, edit_json, edit_weights, read
from transformers import BertConfig, BertModel, T5Config, T5EncoderModel

from instructor_eval.models.forms import float as floats
from instructor_eval.models.forms.stored import StoredEncoder, read_encoder
from instructor_eval.models.packed import LAID_OUT, pack

KINDS = ["instructor", "plain"]
BERT = {"vocab_size": 6000, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
        "intermediate_size": 64}  # fmt: skip
T5 = {"vocab_size": 6000, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 11, "num_heads": 4}
MADE = {
    "T5 1.1": (T5EncoderModel, T5Config(**T5, feed_forward_proj="gated-gelu")),
    "T5, few buckets": (T5EncoderModel, T5Config(**T5, relative_attention_num_buckets=8, layer_norm_epsilon=1e-3)),
    "BERT": (BertModel, BertConfig(**BERT, layer_norm_eps=1e-5)),
}
BATCH = [[5, 6, 7, 8, 1], [9, 10, 1], [200] * 40]


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(f"{request.param}_folder")


def hidden(encoder: object) -> torch.Tensor:
    network = floats.fast_network(encoder, LAID_OUT)
    assert network is not None
    batch = pack([np.array(row, dtype=np.int32) for row in BATCH], torch.device("cpu"))
    with torch.inference_mode():
        return network(batch)


def check_same(folder: Path, dtype: torch.dtype) -> None:
    stored = read_encoder(read(folder), dtype)
    assert isinstance(stored, StoredEncoder)
    theirs = floats.load_transformer(read(folder), dtype, trust_remote_code=False)
    named = dict(theirs.named_parameters())
    for name, weight in stored.named_parameters():
        assert weight.dtype == dtype
        assert torch.equal(weight, named[name])
    found = hidden(stored)
    assert torch.equal(found, hidden(theirs)) and torch.isfinite(found).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_bits_are_those_of_transformers_weights(folder: Path, dtype: torch.dtype) -> None:
    check_same(folder, dtype)


@pytest.mark.parametrize(
    "stored_as",
    [torch.float32, *(pytest.param(t, marks=pytest.mark.slow) for t in (torch.float16, torch.bfloat16))],
)
@pytest.mark.parametrize("name", MADE)
def test_folders_that_transformers_writes(
    tmp_path: Path, plain_folder: Path, name: str, stored_as: torch.dtype
) -> None:
    made = copy(plain_folder, tmp_path / "model")
    for file in ("config.json", "model.safetensors"):
        (made / file).unlink()
    torch.manual_seed(1)
    kind, config = MADE[name]
    kind(config).to(stored_as).save_pretrained(made)
    for dtype in (torch.float32, torch.float16):
        check_same(made, dtype)


def renamed(tensors: dict) -> None:
    for name in list(tensors):
        tensors[f"bert.{name}"] = tensors.pop(name)


LEFT = {
    "an unknown key": lambda f: edit_json(f / "config.json", quantization_config={}),
    "a key of another type": lambda f: edit_json(f / "config.json", use_cache="yes"),
    "another class": lambda f: edit_json(f / "config.json", model_type="roberta"),
    "code of its own": lambda f: edit_json(f / "config.json", auto_map={"AutoModel": "code.Model"}),
    "padding outside": lambda f: edit_json(f / "config.json", pad_token_id=10**6),
    "a prefix": lambda f: edit_weights(f / "model.safetensors", renamed),
    "one more": lambda f: edit_weights(f / "model.safetensors", lambda t: t.update(extra=np.ones(3, np.float32))),
    "a missing one": lambda f: edit_weights(f / "model.safetensors", lambda t: t.pop(max(n for n in t if n[0] == "e"))),
    "another width": lambda f: edit_json(f / "config.json", **dict.fromkeys(("d_ff", "intermediate_size"), 63)),
    "a second file": lambda f: (f / "other.safetensors").write_bytes((f / "model.safetensors").read_bytes()),
}


@pytest.mark.parametrize("change", LEFT)
def test_all_else_is_left_to_transformers(tmp_path: Path, folder: Path, change: str) -> None:
    checkpoint = read(folder)
    made = copy(folder, tmp_path / "model")
    LEFT[change](made)
    config = json.loads((made / "config.json").read_text(encoding="utf-8"))
    assert read_encoder(dataclasses.replace(checkpoint, transformer=made, config=config), torch.float32) is None


@pytest.mark.parametrize(("kind", "changes"), [
    ("plain", {"hidden_act": "relu"}), ("plain", {"position_embedding_type": "relative_key"}),
    ("plain", {"is_decoder": True}), ("plain", {"num_attention_heads": 3}),
    ("instructor", {"feed_forward_proj": "gated-silu"}), ("instructor", {"dense_act_fn": "gelu"}),
    ("instructor", {"relative_attention_num_buckets": 16}), ("instructor", {"is_gated_act": True}),
])  # fmt: skip
def test_other_arithmetic_is_left_to_transformers(tmp_path: Path, request, kind: str, changes: dict) -> None:
    checkpoint = read(request.getfixturevalue(f"{kind}_folder"))
    assert read_encoder(checkpoint, torch.float32) is not None
    other = dataclasses.replace(checkpoint, config={**checkpoint.config, **changes})
    assert read_encoder(other, torch.float32) is None


def test_the_small_model_runs_without_transformers() -> None:
    program = (
        "import sys, instructor_eval as ie\n"
        "for form in ('fp32', 'int8'):\n"
        "    model = ie.load_encoder('minilm', variant=form, device='cpu')\n"
        "    print(model.encode(['a text']).shape, sorted({'transformers', 'torch._dynamo'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["(1, 384) []"] * 2
