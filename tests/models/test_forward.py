"""Our forward passes against transformers' own, on the same weights."""

import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from checkpoints import TOLERANCE, copy, edit_json, engine, largest, read
from golden.cases import DOCUMENT, SENTENCE, numbered, the
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    MPNetConfig,
    MPNetModel,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5EncoderModel,
)
from transformers.models.t5.modeling_t5 import T5Attention

from instructor_eval.core import machine
from instructor_eval.models.bert import FastBert
from instructor_eval.models.engine import Engine
from instructor_eval.models.forms import float as floats
from instructor_eval.models.forms.float import PaddedNetwork
from instructor_eval.models.network import Network, pool, use_cores
from instructor_eval.models.packed import LAID_OUT, Ids, Linear, Packed, pack
from instructor_eval.models.t5 import FastT5, relative_buckets

CPU = torch.device("cpu")
LENGTHS = [512, 300, 300, 129, 128, 64, 17, 17, 17, 5, 2, 1, 1]
T5_SIZES = {"vocab_size": 300, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
WIDTHS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
TEXTS = [SENTENCE, "the", the(100), numbered(4), "a city", "", the(7)]


def seeded(kind, config, *, spread: float = 0.2):
    """A model of random weights, larger than transformers would draw them: differences must show."""
    torch.manual_seed(11)
    made = kind(config).eval().requires_grad_(requires_grad=False)
    for name, weight in made.named_parameters():
        if weight.dim() > 1:
            weight.normal_(0, 1.0 if "embed" in name or "shared" in name else spread)
        else:
            weight.add_(torch.randn_like(weight) * 0.1)
    return made


def t5(feed_forward: str, **changes: object) -> T5EncoderModel:
    return seeded(T5EncoderModel, T5Config(**T5_SIZES, feed_forward_proj=feed_forward, **changes))


def bert(**changes: object) -> BertModel:
    return seeded(BertModel, BertConfig(vocab_size=300, max_position_embeddings=512, **WIDTHS, **changes))


MODELS = {
    "T5 with ReLU": lambda: t5("relu"),
    "T5 with gated GELU": lambda: t5("gated-gelu"),
    "T5 with few buckets": lambda: t5("relu", relative_attention_num_buckets=8, relative_attention_max_distance=20),
    "BERT": bert,
}


@pytest.fixture(scope="module", params=MODELS)
def transformer(request: pytest.FixtureRequest):
    return MODELS[request.param]()


def fast(transformer) -> FastT5 | FastBert:
    return FastBert(transformer) if isinstance(transformer, BertModel) else FastT5(transformer)


def drawn(lengths: list[int]) -> list[Ids]:
    random = np.random.RandomState(3)
    return [random.randint(1, 200, n).astype(np.int32) for n in lengths]


@torch.inference_mode()
def hidden_of(forward, batch: Packed, lengths: list[int]) -> list[np.ndarray]:
    """Hidden states of each row's real tokens."""
    hidden = forward(batch)
    rows = [
        hidden[start : start + segment.width]
        for segment in batch.segments
        for start in range(segment.start, segment.end, segment.width)
    ]
    return [row[:n].float().numpy() for row, n in zip(rows, lengths, strict=True)]


@pytest.mark.parametrize("align", [0, 1, 8], ids=["packed", "padded", "padded to eights"])
def test_hidden_states_are_those_of_transformers(transformer, align: int) -> None:
    rows = drawn(LENGTHS)
    ours = hidden_of(fast(transformer), pack(rows, CPU, align=align), LENGTHS)
    for row, hidden in zip(rows, ours, strict=True):
        with torch.inference_mode():
            theirs = transformer(input_ids=torch.from_numpy(row).long()[None]).last_hidden_state[0].numpy()
        assert np.abs(theirs).max() > 0.5
        assert largest(hidden, theirs) < TOLERANCE


@pytest.mark.parametrize("align", [0, 1, 8])
def test_rows_of_one_length_need_no_mask(transformer, align: int) -> None:
    rows = drawn([24] * 5)
    batch = pack(rows, CPU, align=align)
    [segment] = batch.segments
    assert (segment.rows, segment.width, segment.attended) == (5, 24, None)
    [alone] = hidden_of(fast(transformer), pack(rows[2:3], CPU), [24])
    assert largest(hidden_of(fast(transformer), batch, [24] * 5)[2], alone) < TOLERANCE


def test_padding_may_reach_beyond_the_last_position() -> None:
    narrow = seeded(BertModel, BertConfig(vocab_size=300, max_position_embeddings=13, **WIDTHS))
    rows = drawn([13, 4])
    padded = hidden_of(FastBert(narrow), pack(rows, CPU, align=8), [13, 4])
    for ours, packed in zip(padded, hidden_of(FastBert(narrow), pack(rows, CPU), [13, 4]), strict=True):
        assert largest(ours, packed) < TOLERANCE


def test_the_bias_grows_with_the_texts() -> None:
    relu = t5("relu")
    forward = FastT5(relu)
    for lengths in ([3], [200], [9], [512, 1]):
        rows = drawn(lengths)
        for ours, expected in zip(
            hidden_of(forward, pack(rows, CPU), lengths), hidden_of(FastT5(relu), pack(rows, CPU), lengths), strict=True
        ):
            assert largest(ours, expected) < TOLERANCE


@pytest.mark.parametrize("mode", ["mean", "cls", "max", "lasttoken"])
@pytest.mark.parametrize("skip", [0, 1, 4])
@pytest.mark.parametrize("kind", ["instructor", "plain"])
def test_packed_equals_padded(request: pytest.FixtureRequest, kind: str, mode: str, skip: int) -> None:
    encoder: Engine = request.getfixturevalue(kind)
    network = Network(dataclasses.replace(encoder.checkpoint, pooling=mode), "cpu")
    rows = [r[:120] for r in drawn([n for n in LENGTHS if n > skip])]
    packed = network.forward(rows, skip)
    with pytest.MonkeyPatch.context() as patch:
        for align in (1, 8):
            patch.setattr(network, "_align", align)
            assert largest(network.forward(rows, skip), packed) < TOLERANCE
    hidden = [network.token_vectors(row)[skip:] for row in rows]
    reduce = {
        "mean": lambda h: h.mean(0),
        "max": lambda h: h.max(0),
        "cls": lambda h: h[0],
        "lasttoken": lambda h: h[-1],
    }
    with torch.inference_mode():
        pooled = torch.from_numpy(np.stack([reduce[mode](h) for h in hidden]))
        for layer in network.head:
            pooled = layer(pooled)
    expected = pooled.numpy() / np.linalg.norm(pooled.numpy(), axis=1, keepdims=True)
    assert largest(packed, expected) < TOLERANCE


@pytest.mark.parametrize("mode", ["mean", "cls", "max", "lasttoken"])
def test_pooling_sees_only_what_counts(mode: str) -> None:
    hidden = torch.tensor([[[9.0], [1.0], [2.0], [6.0], [9.0]], [[9.0], [4.0], [9.0], [9.0], [9.0]]])
    mask = torch.tensor([[False, True, True, True, False], [False, True, False, False, False]])
    expected = {"mean": [3.0, 4.0], "cls": [1.0, 4.0], "max": [6.0, 4.0], "lasttoken": [6.0, 4.0]}[mode]
    assert pool(hidden, mask, mode).flatten().tolist() == expected
    assert largest(pool(hidden[:1, 1:4], None, mode).numpy(), pool(hidden, mask, mode)[:1].numpy()) == 0


@pytest.mark.parametrize("buckets", [8, 16, 32, 64])
@pytest.mark.parametrize("far", [20, 64, 128, 256])
def test_buckets_are_those_of_transformers(buckets: int, far: int) -> None:
    distances = torch.arange(-600, 601)
    theirs = T5Attention._relative_position_bucket(distances, num_buckets=buckets, max_distance=far)
    assert torch.equal(relative_buckets(distances, buckets, far), theirs)


class OtherProduct:
    """oneDNN's operators, a little off."""

    def _reorder_linear_weight(self, weight: torch.Tensor, rows: int) -> torch.Tensor:
        return weight

    def _linear_pointwise(self, x, weight, bias, activation, scalars, algorithm) -> torch.Tensor:
        return torch.nn.functional.linear(x, weight, bias) + 0.01


@pytest.mark.parametrize("there", [None, object(), OtherProduct()], ids=["no mkldnn", "no operator", "other values"])
@pytest.mark.parametrize("activation", ["none", "relu", "gelu"])
def test_a_build_without_the_fused_product(monkeypatch: pytest.MonkeyPatch, there: object, activation: str) -> None:
    torch.manual_seed(5)
    weight, bias, x = torch.randn(24, 16), torch.randn(24), torch.randn(40, 16)
    own = Linear(weight, bias, activation=activation)
    monkeypatch.setattr(torch.ops, "mkldnn", there)
    plain = Linear(weight, bias, activation=activation)
    assert plain._run == plain._plain
    result = torch.nn.functional.linear(x, weight, bias)
    result = {"none": lambda r: r, "relu": torch.relu, "gelu": torch.nn.functional.gelu}[activation](result)
    assert largest(plain(x).numpy(), result.numpy()) < TOLERANCE
    monkeypatch.undo()
    assert largest(own(x).numpy(), result.numpy()) < TOLERANCE
    if activation == "none":
        added = torch.randn(40, 24)
        before = added.clone()
        for linear in (own, plain):
            assert largest(linear(x, added=added).numpy(), (result + before).numpy()) < TOLERANCE
            assert torch.equal(added, before)


def test_vectors_without_the_fused_product(monkeypatch: pytest.MonkeyPatch, instructor: Engine, plain: Engine) -> None:
    expected = [e.encode(TEXTS, DOCUMENT) for e in (instructor, plain)]
    monkeypatch.setattr(torch.ops, "mkldnn", None)
    for encoder, vectors in zip((instructor, plain), expected, strict=True):
        fresh = Engine(encoder.checkpoint, device="cpu")
        assert largest(fresh.encode(TEXTS, DOCUMENT), vectors) < TOLERANCE


def other_kind(folder: Path, plain_folder: Path, made) -> Path:
    """tiny-bert's tokenizer and modules around another transformer."""
    copy(plain_folder, folder)
    for name in ("config.json", "model.safetensors"):
        (folder / name).unlink()
    made.save_pretrained(folder)
    return folder


PIECES = len(tiny.word_pieces())
OTHERS = {
    "DistilBERT": lambda: seeded(
        DistilBertModel, DistilBertConfig(vocab_size=PIECES, dim=32, n_layers=2, n_heads=4, hidden_dim=64)
    ),
    "RoBERTa": lambda: seeded(RobertaModel, RobertaConfig(vocab_size=PIECES, pad_token_id=1, **WIDTHS)),
    "MPNet": lambda: seeded(MPNetModel, MPNetConfig(vocab_size=PIECES, pad_token_id=1, **WIDTHS)),
    "BERT with ReLU": lambda: seeded(BertModel, BertConfig(vocab_size=PIECES, hidden_act="relu", **WIDTHS)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", OTHERS)
def test_other_models_go_by_transformers(tmp_path: Path, plain_folder: Path, kind: str) -> None:
    made = OTHERS[kind]()
    encoder = engine(other_kind(tmp_path / "other", plain_folder, made))
    assert isinstance(encoder.network._hidden.network, PaddedNetwork)
    ours = encoder.encode(TEXTS, "")
    for text, vector in zip(TEXTS, ours, strict=True):
        ids = torch.tensor([encoder.tokenizer.encode(text).ids])
        with torch.inference_mode():
            hidden = made(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        pooled = hidden.mean(0).numpy()
        assert largest(vector, pooled / np.linalg.norm(pooled)) < TOLERANCE
        assert largest(encoder.token_vectors(text, ""), hidden.numpy()) < TOLERANCE


class OwnBert(BertModel):
    """A class that a checkpoint's own code may bring."""


class OwnT5(T5EncoderModel):
    """The same."""


def test_a_subclass_is_not_taken_for_the_original() -> None:
    assert isinstance(floats.fast_network(bert(), LAID_OUT), FastBert)
    assert isinstance(floats.fast_network(t5("gated-gelu"), LAID_OUT), FastT5)
    assert floats.fast_network(seeded(OwnBert, bert().config), LAID_OUT) is None
    assert floats.fast_network(seeded(OwnT5, t5("relu").config), LAID_OUT) is None


@pytest.mark.parametrize("kind", ["gated-silu", "gelu", "gated-relu"])
def test_an_unknown_feed_forward_is_not_taken(kind: str) -> None:
    assert floats.fast_network(t5(kind), LAID_OUT) is None


def test_gated_t5_from_a_checkpoint(tmp_path: Path, instructor_folder: Path) -> None:
    folder = copy(instructor_folder, tmp_path / "gated")
    vocab = json.loads((folder / "config.json").read_text())["vocab_size"]

    made = seeded(T5EncoderModel, T5Config(**{**T5_SIZES, "vocab_size": vocab}, feed_forward_proj="gated-gelu"))
    (folder / "model.safetensors").unlink()
    made.save_pretrained(folder)
    edit_json(folder / "config.json", model_type="t5")
    encoder = engine(folder, family="prefix")
    assert isinstance(encoder.network._hidden.network, FastT5)
    ids = torch.tensor([encoder.tokenizer.encode(SENTENCE).ids])
    with torch.inference_mode():
        theirs = made(input_ids=ids).last_hidden_state[0].numpy()
    assert largest(encoder.token_vectors(SENTENCE, ""), theirs) < TOLERANCE


@pytest.mark.parametrize("kind", ["instructor", "plain"])
def test_bf16_is_near_and_is_another_model(request: pytest.FixtureRequest, kind: str) -> None:
    full: Engine = request.getfixturevalue(kind)
    half = Engine(dataclasses.replace(full.checkpoint, variant="bf16"), device="cpu")
    assert half.fingerprint != full.fingerprint
    texts = [*TEXTS, numbered(40)]
    ours, theirs = half.encode(texts, DOCUMENT), full.encode(texts, DOCUMENT)
    assert ours.dtype == np.float32
    assert largest(ours, theirs) > 1e-6
    assert 1 - (ours * theirs).sum(axis=1).min() < 0.05


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Numbers of threads that torch is given; it believes to have 64."""
    given: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: range(8), raising=False)
    return given


@pytest.mark.parametrize(("granted", "used"), [(2, 2), (None, 8), (32, 8)])
def test_no_more_threads_than_cores(
    monkeypatch: pytest.MonkeyPatch, threads: list[int], granted: int | None, used: int
) -> None:
    monkeypatch.setattr(machine, "cores_of_container", lambda: granted)
    use_cores()
    assert threads == [used]


def test_a_number_of_threads_that_was_asked_for_stays(monkeypatch: pytest.MonkeyPatch, threads: list[int]) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    use_cores()
    assert threads == []


@pytest.mark.parametrize("kind", ["instructor", "plain"])
def test_compiling_changes_no_vector(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    encoder: Engine = request.getfixturevalue(kind)
    expected = encoder.encode(TEXTS, DOCUMENT)
    compiled, calls = [], itertools.count()

    def compile_(forward, **options):
        compiled.append(options)

        def run(batch: Packed) -> torch.Tensor:
            next(calls)
            return forward(batch)

        return run

    monkeypatch.setattr(torch, "compile", compile_)
    assert largest(Engine(encoder.checkpoint, device="cpu").encode(TEXTS, DOCUMENT), expected) < TOLERANCE
    assert compiled == []
    ours = Engine(encoder.checkpoint, device="cpu", compiled=True).encode(TEXTS, DOCUMENT)
    assert compiled == [{"dynamic": True}]
    assert next(calls) >= 1
    assert largest(ours, expected) < TOLERANCE


def test_the_tiny_checkpoints_take_the_fast_way(instructor_folder: Path, plain_folder: Path) -> None:
    assert isinstance(Network(read(instructor_folder), "cpu")._hidden.network, FastT5)
    assert isinstance(Network(read(plain_folder), "cpu")._hidden.network, FastBert)
