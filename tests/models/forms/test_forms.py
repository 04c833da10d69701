"""Every form of ours on whole models: what runs, how near it is, how large; rows without mates; fp16's range."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import copy, edit_weights, largest, one_line, read
from golden.cases import DOCUMENT, SENTENCE, numbered
from torch import nn
from transformers import MPNetConfig, MPNetModel

from instructor_eval.core.errors import ModelOutputError, UserError
from instructor_eval.models.engine import Engine
from instructor_eval.models.forms import base, int8, products, torch_dynamic
from instructor_eval.models.forms import float as floats
from instructor_eval.models.network import Network
from instructor_eval.models.packed import pack
from instructor_eval.models.t5 import FastT5

TEXTS = [SENTENCE, "the", numbered(40), "a cat and a dog", "water fire earth sky", numbered(7)]
KINDS = ["instructor", "plain"]
# The tiny networks have 8 values a head: rounding shows more than in a real one.
NEAR = {"bf16": 0.995, "fp16": 0.9999, "int8": 0.99, "int8-dynamic": 0.97, "int8-weight": 0.999, "int4-weight": 0.95}


def as_form(folder: Path, form: str, *, family: str | None = None, **settings: object) -> Engine:
    return Engine(dataclasses.replace(read(folder, family=family), variant=form), device="cpu", **settings)


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(f"{request.param}_folder")


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("form", NEAR)
def test_near_fp32_and_not_the_same(folder: Path, form: str) -> None:
    full, other = as_form(folder, "fp32"), as_form(folder, form)
    ours, theirs = other.encode(TEXTS, DOCUMENT), full.encode(TEXTS, DOCUMENT)
    assert cosine(ours, theirs).min() > NEAR[form]
    assert largest(ours, theirs) > 1e-6, "it is fp32 that ran"
    assert other.fingerprint != full.fingerprint
    assert other.space.fingerprint != full.space.fingerprint


@pytest.mark.slow
@pytest.mark.parametrize("form", NEAR)
def test_a_text_has_one_vector(folder: Path, form: str) -> None:
    together = as_form(folder, form).encode(TEXTS, DOCUMENT)
    for text, vector in zip(TEXTS, together, strict=True):
        [alone] = as_form(folder, form).encode([text], DOCUMENT)
        tolerance = {"bf16": 0.02, "fp16": 2e-3}.get(form, 1e-5)  # half floats round by how sums are ordered
        assert largest(alone, vector) < tolerance


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("fp32", ["all float32"]),
        ("bf16", ["all bfloat16"]),
        ("fp16", ["all float16"]),
        ("int8", ["8 of 8 products", "int8"]),
        ("int8-weight", ["8 of 8 products", "int8", "float32 products"]),
        ("int4-weight", ["8 of 8 products", "uint8"]),
        ("int8-dynamic", ["12 of 12 linear layers", "torch"]),
    ],
)
def test_the_proof_says_what_runs(instructor_folder: Path, form: str, words: list[str]) -> None:
    proof = as_form(instructor_folder, form).network.proof()
    assert all(word in proof for word in words), proof


def test_sizes_are_those_of_the_tensors(instructor_folder: Path) -> None:
    sizes = {form: as_form(instructor_folder, form).network.sizes() for form in NEAR | {"fp32": 1}}
    transformer = floats.load_transformer(read(instructor_folder), torch.float32, trust_remote_code=False)
    values = sum(p.nelement() for p in {id(p): p for p in transformer.parameters()}.values())
    head = Network(read(instructor_folder), "cpu").head
    dense = sum(p.nelement() for p in head.parameters())
    assert sizes["fp32"] == base.Sizes(4 * (values + dense), 4 * (values + dense))
    assert sizes["bf16"].resident == sizes["fp16"].resident == 2 * values + 4 * dense
    linear = sum(m.weight.nelement() for m in transformer.modules() if type(m) is nn.Linear)
    table = transformer.shared.weight
    rest = 4 * (values - linear - table.nelement() + dense)
    floor = linear + table.nelement() + 4 * len(table) + rest
    assert floor < sizes["int8"].resident < floor + 12 * 64 * 40
    assert sizes["int4-weight"].resident < sizes["int8-weight"].resident <= sizes["int8"].resident
    dynamic = sizes["int8-dynamic"]
    assert abs(dynamic.resident - (linear + 4 * (values - linear + dense))) < 4 * 12 * 64
    assert dynamic.file > dynamic.resident - 4 * dense  # names and headers come on top


def test_int8_dynamic_is_torchs_own_module(instructor_folder: Path) -> None:
    """The recipe by hand: the transformer that transformers loads, quantized by torch, one text at a time."""
    made = floats.load_transformer(read(instructor_folder), torch.float32, trust_remote_code=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_hand = torch.ao.quantization.quantize_dynamic(made, {torch.nn.Linear}, dtype=torch.qint8)
    ours = as_form(instructor_folder, "int8-dynamic")
    for text in TEXTS:
        ids = torch.tensor([ours.tokenizer.encode(text).ids])
        with torch.inference_mode():
            theirs = by_hand(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0].numpy()
        assert np.array_equal(ours.token_vectors(text, ""), theirs)


def test_int8_is_the_network_with_rounded_weights_and_rows(instructor_folder: Path) -> None:
    """transformers' own T5 with every Linear's weight and input rounded in floats: nothing of ours but the rounding."""
    made = floats.load_transformer(read(instructor_folder), torch.float32, trust_remote_code=False)
    table = made.shared.weight.data
    scale = table.abs().amax(1, keepdim=True) / 127
    table.copy_(torch.round(table / scale) * scale)

    def rounded(_module: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        rows = inputs[0].flatten(0, -2)
        low, high = rows.amin(1, keepdim=True).clamp(max=0), rows.amax(1, keepdim=True).clamp(min=0)
        step = ((high - low) / 127).clamp(min=1e-30)
        zero = torch.round(-low / step)
        return (((torch.round(rows / step) + zero).clamp(0, 127) - zero) * step).view_as(inputs[0]),  # fmt: skip

    for module in made.modules():
        if type(module) is nn.Linear:
            width = module.weight.data.abs().amax(1, keepdim=True) / 63
            module.weight.data.copy_(torch.round(module.weight.data / width).clamp(-63, 63) * width)
            module.register_forward_pre_hook(rounded)
    ours = as_form(instructor_folder, "int8")
    for text in TEXTS:
        ids = torch.tensor([ours.tokenizer.encode(text).ids])
        with torch.inference_mode():
            theirs = made(input_ids=ids).last_hidden_state[0].numpy()
        found = ours.token_vectors(text, "")
        # A value that lies between two levels may fall to either: whole levels apart, in few places.
        assert cosine(found, theirs).min() > 0.9995
        assert np.median(np.abs(found - theirs)) < 1e-3 * np.abs(theirs).max()


def test_other_transformers_are_quantized_too(tmp_path: Path, plain_folder: Path) -> None:
    folder = copy(plain_folder, tmp_path / "mpnet")
    for name in ("config.json", "model.safetensors"):
        (folder / name).unlink()
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    MPNetModel(MPNetConfig(vocab_size=6000, pad_token_id=1, **sizes)).save_pretrained(folder)
    full = as_form(folder, "fp32")
    for form in ("int8", "int8-weight", "int4-weight", "int8-dynamic"):
        other = as_form(folder, form)
        assert cosine(other.encode(TEXTS, ""), full.encode(TEXTS, "")).min() > NEAR[form] - 0.02
        assert other.network.sizes().resident < 0.45 * full.network.sizes().resident or form == "int8-dynamic"
    assert "13 of 13 products" in as_form(folder, "int8").network.proof()  # the pooler among them


@pytest.mark.parametrize("form", ["int8", "int8-weight", "int4-weight"])
def test_a_float_layer_left_is_no_quantized_network(plain_folder: Path, form: str, monkeypatch) -> None:
    class Floats:
        engine = "float32"

        def __init__(self, weight: torch.Tensor, bias: object = None, **options: str) -> None:
            self.weight = weight

        def __call__(self, x: torch.Tensor, added: object = None) -> torch.Tensor:
            return x @ self.weight.T

    kind = dataclasses.replace(int8._KINDS[form], linear=Floats)
    monkeypatch.setitem(int8._KINDS, form, kind)
    with pytest.raises(RuntimeError, match="not in torch"):
        _ = as_form(plain_folder, form).network


def test_a_recipe_that_does_nothing_is_found_out(plain_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_dynamic, "quantize", lambda model: model)
    with pytest.raises(RuntimeError, match="took 0 of"):
        _ = as_form(plain_folder, "int8-dynamic").network


def test_weights_of_another_type_are_found_out(plain_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = floats.load_encoder
    monkeypatch.setattr(floats, "load_encoder", lambda c, dtype, **k: load(c, torch.float32, **k))
    with pytest.raises(RuntimeError, match="bfloat16 alone"):
        _ = as_form(plain_folder, "bf16").network


def test_compiling_is_for_floats(plain_folder: Path) -> None:
    for form in ("int8", "int8-dynamic", "onnx-int8", "openvino-int8"):
        with one_line("--compile", form):
            _ = as_form(plain_folder, form, compiled=True).network


def overflowing(folder: Path, to: Path, layer: int) -> Path:
    """A checkpoint whose residual stream leaves float16's range in the feed-forward layer of one block."""
    made = copy(folder, to)

    def change(tensors: dict) -> None:
        tensors[f"encoder.block.{layer}.layer.1.DenseReluDense.wi.weight"] *= 2000
        tensors[f"encoder.block.{layer}.layer.1.DenseReluDense.wo.weight"] *= 2000

    edit_weights(made / "model.safetensors", change)
    return made


@pytest.mark.parametrize("layer", [0, 1])
def test_fp16_that_overflows_names_the_layer(tmp_path: Path, instructor_folder: Path, layer: int) -> None:
    folder = overflowing(instructor_folder, tmp_path / "large", layer)
    with one_line("float16", f"feed-forward layer of block {layer}", "--variant bf16", kind=ModelOutputError):
        as_form(folder, "fp16").encode(TEXTS, DOCUMENT)
    for form in ("fp32", "bf16", "int8"):  # the same weights are fine where the range is wide
        assert np.isfinite(as_form(folder, form).encode(TEXTS, DOCUMENT)).all()


def test_fp16_by_transformers_names_the_layer(tmp_path: Path, instructor_folder: Path, monkeypatch) -> None:
    folder = overflowing(instructor_folder, tmp_path / "large", 1)
    monkeypatch.setattr(floats, "read_encoder", lambda *_: None)
    monkeypatch.setattr(floats, "fast_network", lambda *_: None)
    found = as_form(folder, "fp16")
    try:
        vectors = found.encode(TEXTS, DOCUMENT)
    except UserError as e:
        assert "encoder.block.1" in str(e)
        assert "float16" in str(e)
    else:  # transformers clamps what overflows there: then no vector is lost
        assert np.isfinite(vectors).all()


def test_watching_changes_nothing(folder: Path) -> None:
    network = Network(read(folder), "cpu")._hidden.network
    batch = pack([np.arange(5, dtype=np.int32), np.arange(3, dtype=np.int32)], torch.device("cpu"))
    seen: list[str] = []
    with torch.inference_mode():
        watched = network(batch, watch=lambda name, x: seen.append(name))
        assert torch.equal(watched, network(batch))
    assert len(seen) == 2 * len(network.layers)


def test_an_arithmetic_for_a_gpu_runs_here_too(instructor_folder: Path) -> None:
    """int8-gpu and fp8 on a CPU, where torch emulates what they call: their numbers, not their speed."""
    device = torch.device("cpu")
    full = Network(read(instructor_folder), "cpu")
    ids = [np.arange(3, 40, dtype=np.int32)]
    expected = full.forward(ids, 0)
    for form, near in (("int8-gpu", 0.98), ("fp8", 0.98)):
        checkpoint = dataclasses.replace(read(instructor_folder), variant=form)
        made = int8.build(checkpoint, device, base.Options())
        assert isinstance(made.network, FastT5)
        full._hidden = made
        assert cosine(full.forward(ids, 0), expected).min() > near
        assert "of 8 products" in made.proof()


def test_int8_on_cublas_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU's way to multiply, whose operator the CPU has too."""
    generator = torch.Generator().manual_seed(0)
    for rows, inputs, channels in ((3, 50, 37), (40, 64, 32)):
        weight, x = torch.randn(channels, inputs, generator=generator), torch.randn(rows, inputs, generator=generator)
        layer = products.Int8Linear(weight)
        expected = layer(x)
        layer._kernel = None
        layer.weight = products._multiple(products.quantize_weight(weight, 63)[0], 16)
        layer._multiply = layer._cublas
        assert torch.allclose(layer(x), expected, rtol=1e-6)
