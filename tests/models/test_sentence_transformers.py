"""Our vectors of models that are no INSTRUCTOR are those of sentence-transformers."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from checkpoints import TOLERANCE, copy, edit_json, engine, largest
from golden.cases import ABSTRACT, CASES, CODE, DOCUMENT, SENTENCE, numbered
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from torch import nn

from instructor_eval.models.engine import Engine
from instructor_eval.models.find import ModelSpec, locate

WORDS = ["time", "data", "river", "model", "city", "protein", "question", "storm", "the", "of", "in", "a", "good"]


def made_up(count: int) -> Iterator[str]:
    """Texts of all lengths up to twice MiniLM's maximum."""
    draw = random.Random(7)
    for _ in range(count):
        yield " ".join(draw.choices(WORDS, k=int(draw.choice([1, 3, 9, 30, 120, 500]) * draw.uniform(0.7, 1.0)) + 1))


TEXTS = [
    *(
        "",
        " ",
        "\n\t",
        ".",
        "a",
        "the",
        SENTENCE,
        f"  {SENTENCE}\n",
        SENTENCE.upper(),
        ABSTRACT,
        CODE,
        numbered(12),
        numbered(60),
    ),
    *[text for _, text in CASES if any(ord(c) > 126 for c in text)][::2],
    *("[CLS]", "[SEP] in it", "[MASK] [PAD] [UNK]", "##ing", "a\0b", "x" * 150, "é" * 90, "日本" * 200, "😀" * 300),
    *made_up(22),
]
PROMPT = "query: "


def peer(folder: Path) -> SentenceTransformer:
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def theirs(folder: Path, texts: list[str], **settings: object) -> np.ndarray:
    return peer(folder).encode(texts, show_progress_bar=False, batch_size=8, **settings)


def test_the_texts_are_many_and_varied() -> None:
    assert len(TEXTS) >= 60


def test_minilm() -> None:
    checkpoint = locate(ModelSpec.parse("minilm"), offline=True, known=[])
    encoder = Engine(checkpoint, device="cpu")
    lengths = encoder.input_lengths(TEXTS, "")
    assert sum(n > 256 for n in lengths) >= 4, "some are cut at MiniLM's maximum"
    assert min(lengths) == 2
    ours = encoder.encode(TEXTS, "")
    assert ours.shape == (len(TEXTS), 384)
    assert largest(ours, theirs(checkpoint.folder, TEXTS)) < TOLERANCE


def test_plain(plain: Engine, plain_folder: Path) -> None:
    assert plain.checkpoint.family == "plain"
    assert largest(plain.encode(TEXTS, ""), theirs(plain_folder, TEXTS)) < TOLERANCE


@pytest.fixture(scope="module")
def prefix_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prompts = {"query": "query: ", "document": " Passage:"}
    return tiny.build_plain(tmp_path_factory.mktemp("prefix") / "tiny", seed=3, prompts=prompts)


@pytest.mark.parametrize("role", ["query", "document"])
def test_prefix(prefix_folder: Path, role: str) -> None:
    encoder = engine(prefix_folder)
    assert encoder.checkpoint.family == "prefix"
    prompt = encoder.checkpoint.prompts[role]
    ours = encoder.encode(TEXTS, prompt)
    assert largest(ours, theirs(prefix_folder, TEXTS, prompt_name=role)) < TOLERANCE
    assert largest(ours, theirs(prefix_folder, TEXTS, prompt=prompt)) < TOLERANCE
    assert largest(ours, encoder.encode(TEXTS, "")) > 1e-3


def set_pooling(folder: Path, mode: str, form: str) -> None:
    config = folder / "1_Pooling" / "config.json"
    if form == "new":
        tiny.write_json(config, {"embedding_dimension": 32, "pooling_mode": mode, "include_prompt": True})
        return
    key = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens", "lasttoken": "lasttoken"}[mode]
    edit_json(config, **{"pooling_mode_mean_tokens": False, f"pooling_mode_{key}": True})


@pytest.mark.parametrize("form", ["old", "new"])
@pytest.mark.parametrize("mode", ["cls", "max", "lasttoken", "mean"])
def test_pooling(tmp_path: Path, plain_folder: Path, mode: str, form: str) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    set_pooling(folder, mode, form)
    encoder = engine(folder, batch_tokens=500)
    assert encoder.checkpoint.pooling == mode
    assert largest(encoder.encode(TEXTS, PROMPT), theirs(folder, TEXTS, prompt=PROMPT)) < TOLERANCE


@pytest.mark.parametrize("mode", ["cls", "max", "lasttoken", "mean"])
def test_pooling_without_the_prompt(tmp_path: Path, plain_folder: Path, mode: str) -> None:
    """BERT's tokenizer sees no white space: 1.0.1's rule and sentence-transformers' are the same."""
    folder = copy(plain_folder, tmp_path / "model")
    set_pooling(folder, mode, "old")
    edit_json(folder / "1_Pooling" / "config.json", include_prompt=False)
    encoder = engine(folder)
    assert encoder.checkpoint.family == "instructor"
    ours = encoder.encode(TEXTS, DOCUMENT)
    assert largest(ours, theirs(folder, TEXTS, prompt=DOCUMENT)) < TOLERANCE
    assert np.array_equal(ours, engine(folder, family="prefix").encode(TEXTS, DOCUMENT)), "the folder's word is obeyed"
    edit_json(folder / "1_Pooling" / "config.json", include_prompt=True)
    pooled = engine(folder).encode(TEXTS, DOCUMENT)
    assert (largest(ours, pooled) > 1e-3) is (mode != "lasttoken"), "the last token is never the instruction's"


ACTIVATIONS = {"Tanh": nn.Tanh, "Identity": nn.Identity, "ReLU": nn.ReLU, "GELU": nn.GELU}


def add_dense(
    folder: Path, name: str, sizes: tuple[int, int], *, bias: bool, activation: str, safe: bool = True
) -> None:
    size_in, size_out = sizes
    config = {"in_features": size_in, "out_features": size_out, "bias": bias}
    kind = ACTIVATIONS[activation]
    tiny.write_json(folder / name / "config.json", {**config, "activation_function": f"{kind.__module__}.{activation}"})
    shapes = {"linear.weight": ((size_out, size_in), size_in**-0.5)}
    if bias:
        shapes["linear.bias"] = ((size_out,), 0.5)
    tiny.write_weights(folder / name, tiny.fill(shapes, seed=size_out), safetensors=safe)


@pytest.mark.parametrize(
    ("activation", "bias", "safe"),
    [("Tanh", True, True), ("Identity", False, False), ("ReLU", False, True), ("GELU", True, False)],
)
def test_dense(tmp_path: Path, plain_folder: Path, activation: str, bias: bool, safe: bool) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    tiny.write_modules(folder, ["Transformer", "Pooling", "Dense", "Normalize"])
    (folder / "3_Normalize").mkdir()
    add_dense(folder, "2_Dense", (32, 20), bias=bias, activation=activation, safe=safe)
    encoder = engine(folder)
    assert encoder.dim == 20
    assert largest(encoder.encode(TEXTS, ""), theirs(folder, TEXTS)) < TOLERANCE


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "archive"])
def test_dense_stored_in_bfloat16(tmp_path: Path, plain_folder: Path, safe: bool) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    tiny.write_modules(folder, ["Transformer", "Pooling", "Dense"])
    add_dense(folder, "2_Dense", (32, 20), bias=True, activation="Tanh")
    file = folder / "2_Dense" / "model.safetensors"
    half = {name: weight.bfloat16() for name, weight in load_file(file).items()}
    if safe:
        save_file(half, file)
    else:
        file.unlink()
        torch.save(half, file.with_name("pytorch_model.bin"))
    encoder = engine(folder)
    assert encoder.checkpoint.through == ""
    assert largest(encoder.encode(TEXTS, ""), theirs(folder, TEXTS)) < TOLERANCE


def test_a_t5_with_a_table_of_its_encoder(tmp_path: Path, instructor_folder: Path) -> None:
    """The encoder reads texts with its own table of embeddings where a file has that besides the shared one."""
    folder = copy(instructor_folder, tmp_path / "model")
    state = load_file(folder / "model.safetensors")
    table = state["shared.weight"]
    texts = [text for text in TEXTS if text.isprintable()]
    for own in (table.clone(), table.flip(0)):
        save_file({**state, "encoder.embed_tokens.weight": own}, folder / "model.safetensors")
        ours = engine(folder, family="prefix").encode(texts, PROMPT)
        assert largest(ours, theirs(folder, texts, prompt=PROMPT)) < TOLERANCE


def test_two_dense_and_no_normalisation(tmp_path: Path, plain_folder: Path) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    tiny.write_modules(folder, ["Transformer", "Pooling", "Dense", "Dense"])
    add_dense(folder, "2_Dense", (32, 48), bias=True, activation="Tanh")
    add_dense(folder, "3_Dense", (48, 7), bias=True, activation="Identity")
    encoder = engine(folder)
    ours = encoder.encode(TEXTS, "")
    assert ours.shape == (len(TEXTS), 7)
    assert largest(ours, theirs(folder, TEXTS)) < TOLERANCE
    assert np.abs(np.linalg.norm(ours, axis=1) - 1).max() > 0.1


def test_lower_case(tmp_path: Path, plain_folder: Path) -> None:
    """Prompt and text alike, where the tokenizer itself keeps the case."""
    folder = copy(plain_folder, tmp_path / "model")
    tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
    assert tokenizer.count('"lowercase":true') + tokenizer.count('"lowercase": true') == 1
    (folder / "tokenizer.json").write_text(
        tokenizer.replace('"lowercase":true', '"lowercase":false').replace('"lowercase": true', '"lowercase": false'),
        encoding="utf-8",
    )
    edit_json(folder / "tokenizer_config.json", do_lower_case=False)
    texts = ["The River", "THE CITY and the Market", SENTENCE]
    prompt = "Query: "
    as_is = engine(folder, family="prefix").encode(texts, prompt)
    assert largest(as_is, theirs(folder, texts, prompt=prompt)) < TOLERANCE
    edit_json(folder / "sentence_bert_config.json", do_lower_case=True)
    lower = engine(folder, family="prefix").encode(texts, prompt)
    assert largest(lower, theirs(folder, texts, prompt=prompt)) < TOLERANCE
    assert largest(lower, as_is) > 1e-3


@pytest.mark.parametrize("maximum", [3, 17, 128])
def test_the_maximum_length(tmp_path: Path, plain_folder: Path, maximum: int) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    edit_json(folder / "sentence_bert_config.json", max_seq_length=maximum)
    ours = engine(folder).encode(TEXTS, PROMPT)
    assert largest(ours, theirs(folder, TEXTS, prompt=PROMPT)) < TOLERANCE
