"""`load_encoder` as a library's user meets it: inputs, options, the cache, and what cannot be used."""

import sqlite3
import sys
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import TOLERANCE, copy, largest, one_line
from golden.cases import DOCUMENT, QUESTION, SENTENCE
from PIL import Image
from transformers import BertModel, T5EncoderModel

from instructor_eval import load_encoder
from instructor_eval.cache.database import FILE_NAME
from instructor_eval.models.engine import Engine
from instructor_eval.models.library import LibraryEncoder

TEXTS = [SENTENCE, "the river", "How do I list open files?", "the river"]
PAIRS = [[DOCUMENT, SENTENCE], [QUESTION, "the river"], [DOCUMENT, "the river"], ["", "money"], [QUESTION, SENTENCE]]


@pytest.fixture(scope="module")
def model(instructor_folder: Path) -> LibraryEncoder:
    return load_encoder(instructor_folder, family="instructor", device="cpu")


def test_texts_and_an_instruction(model: LibraryEncoder, instructor: Engine) -> None:
    vectors = model.encode(TEXTS, DOCUMENT)
    assert (vectors.shape, vectors.dtype) == ((4, model.dim), np.float32)
    assert largest(vectors, instructor.encode(TEXTS, DOCUMENT)) < TOLERANCE
    assert np.array_equal(vectors[1], vectors[3])
    assert largest(model.encode(TEXTS), instructor.encode(TEXTS, "")) < TOLERANCE
    assert largest(model.encode(texts=TEXTS, instruction=DOCUMENT), vectors) < TOLERANCE


def test_one_text_gives_one_vector(model: LibraryEncoder) -> None:
    vector = model.encode(SENTENCE, DOCUMENT)
    assert vector.shape == (24,)
    assert largest(vector, model.encode([SENTENCE], DOCUMENT)[0]) < TOLERANCE
    assert model.encode("").shape == (24,)


def test_pairs_are_separate_calls(model: LibraryEncoder) -> None:
    vectors = model.encode(PAIRS)
    assert vectors.shape == (5, 24)
    for vector, (instruction, text) in zip(vectors, PAIRS, strict=True):
        assert largest(vector, model.encode([text], instruction)[0]) < TOLERANCE
    assert largest(vectors[0], vectors[4]) > 1e-3  # one text under two instructions


@pytest.mark.parametrize(
    "pairs",
    [
        [tuple(p) for p in PAIRS],
        tuple(PAIRS),
        [[*p, 0] for p in PAIRS],
        [*PAIRS[:2], *([*p, 0] for p in PAIRS[2:])],
        (p for p in PAIRS),
        np.array(PAIRS),
        [np.array(p) for p in PAIRS],
        zip(*zip(*PAIRS, strict=True), strict=True),
    ],
    ids=["tuples", "tuple of lists", "triples", "both", "generator", "array", "arrays", "zip"],
)
def test_forms_of_pairs(model: LibraryEncoder, pairs: Any) -> None:
    assert largest(model.encode(pairs), model.encode(PAIRS)) == 0


@pytest.mark.parametrize(
    "texts",
    [tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, dtype=object), (t for t in TEXTS), dict.fromkeys(TEXTS[:3]).keys()],
    ids=["tuple", "array", "array of objects", "generator", "keys"],
)
def test_forms_of_texts(model: LibraryEncoder, texts: Any) -> None:
    vectors = model.encode(texts, DOCUMENT)
    assert largest(vectors, model.encode(TEXTS, DOCUMENT)[: len(vectors)]) == 0
    assert len(vectors) >= 3


def test_a_string_of_numpy_is_one_text(model: LibraryEncoder) -> None:
    for text in (np.str_(SENTENCE), np.array(SENTENCE)):
        assert largest(model.encode(text, DOCUMENT), model.encode(SENTENCE, DOCUMENT)) == 0


def test_no_texts(model: LibraryEncoder) -> None:
    for nothing in ([], (), np.array([]), iter([])):
        vectors = model.encode(nothing, normalize_embeddings=True)
        assert (vectors.shape, vectors.dtype) == ((0, 24), np.float32)
    assert model.encode([], convert_to_tensor=True).shape == (0, 24)
    assert model.encode([], convert_to_numpy=False) == []
    assert model.encode([], output_value="token_embeddings") == []


def test_a_stream(model: LibraryEncoder) -> None:
    texts = [f"text {i} of many" for i in range(40)]
    parts = list(model.stream(iter(texts), DOCUMENT))
    assert largest(np.concatenate(parts), model.encode(texts, DOCUMENT)) < TOLERANCE
    assert list(model.stream([])) == []

    endless = (str(i % 50) for i in count())  # repeats are computed once, so that a whole window is quick
    assert len(next(model.stream(endless, DOCUMENT))) == 16_384


def test_normalize(model: LibraryEncoder, tmp_path: Path, instructor_folder: Path) -> None:
    folder = copy(instructor_folder, tmp_path / "long")
    modules = (folder / "modules.json").read_text(encoding="utf-8").rsplit(",\n  {", 1)[0] + "]"
    (folder / "modules.json").write_text(modules, encoding="utf-8")  # without the last one, Normalize
    longer = load_encoder(folder, family="instructor", device="cpu")
    as_is, scaled = longer.encode(TEXTS, DOCUMENT), longer.encode(TEXTS, DOCUMENT, normalize_embeddings=True)
    assert np.abs(np.linalg.norm(as_is, axis=1) - 1).min() > 0.1
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 1, atol=1e-6)
    assert scaled.dtype == np.float32
    assert largest(scaled, model.encode(TEXTS, DOCUMENT)) < TOLERANCE
    assert largest(longer.encode(SENTENCE, DOCUMENT, normalize_embeddings=True), scaled[0]) < TOLERANCE


def test_tensors(model: LibraryEncoder) -> None:
    arrays = model.encode(TEXTS, DOCUMENT)
    tensor = model.encode(TEXTS, DOCUMENT, convert_to_tensor=True)
    assert tensor.dtype == torch.float32
    assert np.array_equal(tensor.numpy(), arrays)
    one = model.encode(SENTENCE, DOCUMENT, convert_to_tensor=True)
    assert isinstance(one, torch.Tensor)
    assert one.shape == (24,)
    assert torch.equal(model.encode(TEXTS, DOCUMENT, convert_to_numpy=False, convert_to_tensor=True), tensor)
    listed = model.encode(TEXTS, DOCUMENT, convert_to_numpy=False)
    assert isinstance(listed, list)
    assert all(torch.equal(a, b) for a, b in zip(listed, tensor, strict=True))
    assert torch.equal(model.encode(SENTENCE, DOCUMENT, convert_to_numpy=False), one)


@pytest.mark.parametrize("batch_size", [1, 2, np.int64(3), 32, 10_000])
def test_batch_size_is_a_hint(model: LibraryEncoder, monkeypatch: pytest.MonkeyPatch, batch_size: int) -> None:
    texts = [f"{SENTENCE} {i}" for i in range(20)]
    whole = model.encode(texts, DOCUMENT)
    sizes: Counter[int] = Counter()
    start = model.engine.network.start
    monkeypatch.setattr(
        model.engine.network, "start", lambda rows, skip: (sizes.update([len(rows)]), start(rows, skip))[1]
    )
    assert largest(model.encode(texts, DOCUMENT, batch_size=batch_size), whole) < TOLERANCE
    assert max(sizes) <= batch_size


def test_progress_bar(
    model: LibraryEncoder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model.encode(PAIRS, show_progress_bar=True)  # no terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for show in (None, False):
        model.encode(PAIRS, show_progress_bar=show)
    assert capsys.readouterr().err == ""
    model.encode(PAIRS, show_progress_bar=True)
    shown = capsys.readouterr()
    assert "/5 texts" in shown.err
    assert shown.err.startswith("\rtiny-t5: ")
    assert shown.err.endswith("\r")  # and taken away
    assert shown.out == ""


@pytest.mark.parametrize("kind", ["instructor", "plain"])
def test_token_embeddings(kind: str, instructor_folder: Path, plain_folder: Path) -> None:
    folder, family, other = {
        "instructor": (instructor_folder, "instructor", T5EncoderModel),
        "plain": (plain_folder, None, BertModel),
    }[kind]
    model = load_encoder(folder, family=family, device="cpu")
    transformer = other.from_pretrained(folder).eval()
    pairs = [[DOCUMENT, SENTENCE], [DOCUMENT, " the river\n"], ["", "the"], [QUESTION, SENTENCE * 30]]
    tokens = model.encode(pairs, output_value="token_embeddings")
    assert len(tokens) == 4
    for ours, (instruction, text) in zip(tokens, pairs, strict=True):
        whole = (instruction + text.strip()).strip() if kind == "instructor" else instruction + text
        ids = model.engine.tokenizer.encode(whole).ids
        assert ours.shape == (len(ids), 32)
        with torch.inference_mode():
            expected = transformer(torch.tensor([ids])).last_hidden_state[0].numpy()
        assert largest(ours, expected) < TOLERANCE
    assert len(tokens[3]) == model.engine.checkpoint.max_length
    [again] = model.encode([SENTENCE], DOCUMENT, output_value="token_embeddings", convert_to_tensor=True)
    assert np.array_equal(again.numpy(), tokens[0])
    assert np.array_equal(model.encode(SENTENCE, DOCUMENT, output_value="token_embeddings"), tokens[0])


def test_names_of_instructor_embedding(model: LibraryEncoder) -> None:
    """Its whole signature, by name."""
    vectors = model.encode(
        sentences=PAIRS,
        batch_size=32,
        show_progress_bar=None,
        output_value="sentence_embedding",
        convert_to_numpy=True,
        convert_to_tensor=False,
        device=None,
        normalize_embeddings=False,
    )
    assert largest(vectors, model.encode(PAIRS)) < TOLERANCE
    assert largest(model.encode(PAIRS, device="cpu"), vectors) < TOLERANCE
    assert largest(model.encode(PAIRS, device=torch.device("cpu")), vectors) < TOLERANCE  # type: ignore[arg-type] # as torch's users name it


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["a", [DOCUMENT, "b"]], ["input 1", "list", "all inputs must be texts"]),
        ([[DOCUMENT, "a"], "b"], ["input 1 is a text", "one kind"]),
        ([[DOCUMENT]], ["input 0 has 1 parts", "[instruction, text]"]),
        ([[DOCUMENT, "a", 0, 0]], ["input 0 has 4 parts"]),
        ([[DOCUMENT, "a", 1]], ["input 0", "third part that is not 0"]),
        ([[DOCUMENT, None]], ["input 0 is not made of texts"]),
        (["a", None], ["input 1 is of type NoneType"]),
        (["a", b"b"], ["input 1 is of type bytes"]),
        (np.array([1.5, 2.5]), ["input 0 is of type float"]),
        (np.zeros((4, 4, 3)), ["input 0 is an array of 3 dimensions", "PIL.Image.fromarray"]),
        ([np.zeros((4, 4, 3))], ["input 0 is an array of 3 dimensions"]),
        ([Path("a.png")], ["reads texts alone, and a PosixPath is none"]),
        (Path("a.png"), ["reads texts alone"]),
        (["a", Image.new("RGB", (4, 4))], ["reads texts alone, and a Image is none"]),
        (b"bytes", ["texts of type bytes"]),
        ({"a": 1}, ["texts of type dict"]),
    ],
)
def test_inputs_that_cannot_be_used(model: LibraryEncoder, texts: Any, words: list[str]) -> None:
    with one_line(*words):
        model.encode(texts)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"instruction": DOCUMENT}, ["pairs bring their own instructions"]),
        ({"instruction": ""}, ["pairs bring their own instructions"]),
        ({"instruction": 32}, ["instruction is of type int", "by name"]),
        ({"batch_size": 0}, ["batch_size 0"]),
        ({"batch_size": "32"}, ["batch_size 32"]),
        ({"output_value": "tokens"}, ["unknown output_value 'tokens'", "token_embeddings"]),
        ({"output_value": None}, ["unknown output_value 'None'"]),
        ({"device": "cuda"}, ["loaded for cpu", "'cuda'", "load_encoder"]),
    ],
)
def test_options_that_cannot_be_used(model: LibraryEncoder, options: dict[str, Any], words: list[str]) -> None:
    with one_line(*words):
        model.encode(PAIRS, **options)


def test_arguments_that_do_not_exist(model: LibraryEncoder) -> None:
    with pytest.raises(TypeError, match="either texts or sentences"):
        model.encode()
    with pytest.raises(TypeError, match="either texts or sentences"):
        model.encode(TEXTS, sentences=TEXTS)
    for name in ("prompt", "prompt_name", "precision", "num_workers"):
        with pytest.raises(TypeError, match=name):
            model.encode(TEXTS, **{name: "x"})


def test_streams_that_cannot_be_used(model: LibraryEncoder) -> None:
    for texts, words in [
        ("one text", "texts of type str"),
        ([PAIRS[0]], "input 0 is of type list"),
        (["a", 1], "input 1"),
    ]:
        with one_line(words):
            list(model.stream(texts))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"variant": "fp61"}, ["unknown variant 'fp61'", "did you mean fp16"]),
        ({"variant": "fp32+int9"}, ["unknown embedding 'int9'", "int8"]),
        ({"variant": "fp32+binary@x"}, ["variant 'fp32+binary@x'", "'x' is not a number of dimensions"]),
        ({"variant": "fp32+binary-rescore"}, ["variant 'fp32+binary-rescore'", "documents with +binary"]),
        ({"variant": "fp32@33"}, ["variant fp32@33", "has 32 dimensions", "at most @32"]),
        ({"variant": "fp8", "device": "cpu"}, ["variant fp8 does not run on cpu", "GPU"]),
        ({"family": "e5"}, ["unknown family 'e5'", "instructor, prefix, plain"]),
        ({"batch_tokens": 0}, ["batch_tokens 0"]),
        ({"device": "tpu"}, ["unknown device 'tpu'"]),
        ({"device": "cuda:99"}, ["cuda:99"]),
    ],
)
def test_models_that_cannot_be_had_so(plain_folder: Path, options: dict[str, Any], words: list[str]) -> None:
    with one_line(*words):
        load_encoder(plain_folder, **options)


def test_the_numeric_form(instructor_folder: Path, model: LibraryEncoder) -> None:
    half = load_encoder(instructor_folder, family="instructor", device="cpu", variant="bf16")
    assert (half.engine.checkpoint.variant, model.engine.checkpoint.variant) == ("bf16", "fp32")
    assert half.fingerprint != model.fingerprint
    vectors = half.encode(TEXTS, DOCUMENT)
    assert vectors.dtype == np.float32
    assert TOLERANCE < largest(vectors, model.encode(TEXTS, DOCUMENT)) < 0.1


def in_precision(folder: Path, variant: str) -> LibraryEncoder:
    return load_encoder(folder, family="instructor", device="cpu", variant=variant)


def test_the_precision_of_vectors(instructor_folder: Path, model: LibraryEncoder) -> None:
    full = model.encode(TEXTS, DOCUMENT)
    cut = full[:, :8] / np.linalg.norm(full[:, :8], axis=1, keepdims=True)
    for variant, expected in {
        "fp32@8": cut,
        "auto@8": cut,
        "fp32+float16": full.astype(np.float16).astype(np.float32),
        "auto+binary": np.sign(full),
        "fp32+ubinary@8": np.sign(cut),
    }.items():
        encoder = in_precision(instructor_folder, variant)
        vectors = encoder.encode(TEXTS, DOCUMENT)
        assert largest(vectors, expected) < 1e-6, variant
        assert vectors.dtype == np.float32
        assert encoder.dim == vectors.shape[1]
        assert encoder.fingerprint != model.fingerprint
        assert largest(encoder.encode(PAIRS[0][1], PAIRS[0][0]), encoder.encode(PAIRS)[0]) < TOLERANCE
        assert largest(np.concatenate(list(encoder.stream(TEXTS, DOCUMENT))), vectors) < TOLERANCE
        assert encoder.encode([]).shape == (0, encoder.dim)
        scaled = encoder.encode(TEXTS, DOCUMENT, normalize_embeddings=True)
        np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 1, atol=1e-6)
        encoder.calibrate(TEXTS, DOCUMENT)  # not needed, and nothing happens
        assert encoder.precision.calibration is None


@pytest.mark.parametrize("name", ["int8", "uint8"])
def test_int8_wants_to_be_calibrated(instructor_folder: Path, model: LibraryEncoder, name: str) -> None:
    encoder = in_precision(instructor_folder, f"fp32+{name}@9")
    texts = [f"{SENTENCE} {i}" for i in range(25)]
    for use in (lambda: encoder.encode(texts, DOCUMENT), lambda: encoder.encode([]), lambda: encoder.stream(texts)):
        with one_line(f"fp32+{name}@9", "calibrate(texts, instruction)"):
            use()
    assert encoder.engine.totals.texts == 0  # said before anything is computed
    for texts_of, words in (([], "no text to calibrate on"), ("one text", "texts of type str"), ([1], "input 0")):
        with one_line(words):
            encoder.calibrate(texts_of)
    encoder.calibrate(iter(texts[::-1]), DOCUMENT)
    full = model.encode(texts, DOCUMENT)[:, :9]
    cut = full / np.linalg.norm(full, axis=1, keepdims=True)
    vectors, ranges = encoder.encode(texts, DOCUMENT), encoder.precision.calibration
    assert largest(ranges.low, cut.min(axis=0)) < TOLERANCE
    assert 0 < largest(vectors, cut) < np.ptp(cut, axis=0).max() / 2 / 255 + TOLERANCE
    assert (ranges.texts, ranges.instruction, ranges.origin) == (25, DOCUMENT, "given")
    assert largest(np.concatenate(list(encoder.stream(texts, DOCUMENT))), vectors) < TOLERANCE
    encoder.calibrate(texts, QUESTION)
    assert largest(encoder.precision.calibration.low, ranges.low) > 1e-3  # a later call takes an earlier one's place


def test_the_cache_gives_the_same_bits(instructor_folder: Path, model: LibraryEncoder, tmp_path: Path) -> None:
    folder = tmp_path / "made" / "cache"
    first = load_encoder(instructor_folder, family="instructor", device="cpu", cache=folder)
    cold = first.encode(PAIRS)
    assert (folder / FILE_NAME).is_file()
    assert first.engine.totals.hits == 0
    second = load_encoder(instructor_folder, family="instructor", device="cpu", cache=str(folder))
    assert np.array_equal(second.encode(PAIRS), cold)
    assert second.engine.totals.hits == second.engine.totals.unique == 5
    assert second.engine._network is None  # nothing was computed
    mixed = second.encode([[DOCUMENT, "new"], *PAIRS[::-1]])
    assert np.array_equal(mixed[1:], cold[::-1])
    assert largest(mixed[1:], model.encode(PAIRS[::-1])) < TOLERANCE


def test_a_cache_that_cannot_be_used_warns(instructor_folder: Path, model: LibraryEncoder, tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_text("", encoding="utf-8")
    with pytest.warns(RuntimeWarning, match="cannot be used") as caught:
        encoder = load_encoder(instructor_folder, family="instructor", device="cpu", cache=file)
        vectors = encoder.encode(PAIRS)
        encoder.encode(TEXTS)
    assert len(caught) == 1
    assert largest(vectors, model.encode(PAIRS)) < TOLERANCE


def test_a_cache_that_cannot_be_written_warns_once(
    instructor_folder: Path, model: LibraryEncoder, tmp_path: Path
) -> None:
    encoder = load_encoder(instructor_folder, family="instructor", device="cpu", cache=tmp_path)
    encoder.encode(["the first vector makes the file"])
    database = sqlite3.connect(tmp_path / FILE_NAME)
    database.execute("CREATE TRIGGER full BEFORE INSERT ON blocks BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
    database.commit()
    database.close()
    with pytest.warns(
        RuntimeWarning, match="cannot be written .the disk is full.: new vectors are not stored"
    ) as caught:
        vectors = encoder.encode(PAIRS)
        encoder.encode(TEXTS)
    assert len(caught) == 1
    assert largest(vectors, model.encode(PAIRS)) < TOLERANCE
