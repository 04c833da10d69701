"""The engine: what rows depend on (their text) and what they do not (everything else); what is refused."""

import dataclasses
import gc
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from checkpoints import NAME, TOLERANCE, copy, edit_json, edit_weights, engine, largest, one_line
from golden.cases import DOCUMENT, SENTENCE
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from instructor_eval.cache.vectors import MemoryCache, VectorCache
from instructor_eval.core.errors import ModelOutputError, UserError
from instructor_eval.core.values import Vectors
from instructor_eval.models import batches
from instructor_eval.models import engine as engine_module
from instructor_eval.models import network as model_module
from instructor_eval.models.device import pick_device
from instructor_eval.models.engine import Engine
from instructor_eval.models.pooling import encode_ids

TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["", " ", SENTENCE, "the", "the " * 90, "Represent", "\ud800 alone", "a\0b"]),
    st.lists(st.sampled_from(["the", "river", "city", "market", "storm", "and", "of"]), max_size=60).map(" ".join),
)
QUICK = settings(deadline=None, max_examples=25)


@QUICK
@given(st.lists(TEXTS, max_size=12), st.randoms(use_true_random=False), st.sampled_from([1, 40, 2048]))
def test_rows_depend_on_their_text_alone(instructor: Engine, texts: list[str], random, batch_tokens: int) -> None:
    alone = {text: instructor.encode([text], DOCUMENT)[0] for text in texts}
    again = texts + texts[:3]
    random.shuffle(again)
    other = Engine(instructor.checkpoint, device="cpu", batch_tokens=batch_tokens)
    other._network = instructor.network
    vectors = other.encode(again, DOCUMENT)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(again), 24)
    for text, vector in zip(again, vectors, strict=True):
        assert largest(vector, alone[text]) < TOLERANCE


@QUICK
@given(st.lists(TEXTS, min_size=1, max_size=8), st.integers(1, 4))
def test_chunks_do_not_matter(plain: Engine, texts: list[str], chunk: int) -> None:
    whole = plain.encode(texts, "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_module, "_LOOK_UP", chunk + 1)
        patch.setattr(batches, "WINDOW", chunk)
        patch.setattr(batches, "COMMIT_TEXTS", chunk)
        assert largest(plain.encode(texts, ""), whole) < TOLERANCE


def test_vectors_are_of_length_one(instructor: Engine, plain: Engine) -> None:
    for encoder in (instructor, plain):
        lengths = np.linalg.norm(encoder.encode([SENTENCE, "", "the"], ""), axis=1)
        np.testing.assert_allclose(lengths, 1.0, atol=TOLERANCE)


def test_no_texts_and_one(instructor_folder: Path) -> None:
    encoder = engine(instructor_folder, family="instructor")
    none = encoder.encode([], DOCUMENT)
    assert (none.shape, none.dtype) == ((0, 24), np.float32)
    assert encoder._network is None, "nothing to encode: the network need not be loaded"
    assert encoder.encode([SENTENCE], DOCUMENT).shape == (1, 24)


def test_totals(instructor_folder: Path) -> None:
    encoder = engine(instructor_folder, family="instructor", cache=MemoryCache())
    encoder.encode(["the", "the river", "the", "the"], "")
    tokens = sum(encoder.input_lengths(["the", "the river"], ""))
    first = dataclasses.replace(encoder.totals)
    assert (first.texts, first.unique, first.hits, first.tokens) == (4, 2, 0, tokens)
    assert first.seconds > 0
    encoder.encode(["the", "a city", "the"], "")
    encoder.encode([], "")
    encoder.encode(["the"], DOCUMENT)
    tokens += sum(encoder.input_lengths(["a city"], "")) + sum(encoder.input_lengths(["the"], DOCUMENT))
    last = encoder.totals
    assert (last.texts, last.unique, last.hits, last.tokens) == (8, 5, 1, tokens)
    assert last.seconds > first.seconds


def test_loading_is_counted_apart(instructor_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(model_module.Network):
        def __init__(self, *arguments, **options) -> None:
            time.sleep(0.3)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(model_module, "Network", Slow)
    encoder = engine(instructor_folder, family="instructor")
    started = time.perf_counter()
    encoder.encode(["the river"], "")
    whole = time.perf_counter() - started
    load = encoder.totals.load
    assert 0.3 <= load < whole
    assert 0 < encoder.totals.seconds <= whole - load
    encoder.encode(["a city"], "")
    assert encoder.totals.load == load


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="open files are counted in /proc")
def test_many_calls_leave_no_open_file_and_no_thread(tmp_path: Path, instructor: Engine) -> None:
    encoder = Engine(instructor.checkpoint, device="cpu", cache=VectorCache(tmp_path, warn=pytest.fail))
    encoder._network = instructor.network

    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    for i in range(300):
        encoder.encode([f"the river {i}"], DOCUMENT)
        if i == 5:
            gc.collect()  # what other tests have left
            files, threads = held()
    assert held()[0] <= files
    assert held()[1] <= threads
    assert (encoder.totals.unique, encoder.totals.hits) == (300, 0)


class IdsPending:
    def __init__(self, rows) -> None:
        self.rows = rows

    def result(self) -> Vectors:
        return ids_as_vectors(self.rows)


class IdsNetwork:
    """The vector of a text is its token ids."""

    device = torch.device("cpu")
    most = None
    same_length = False

    def start(self, rows, skip) -> IdsPending:
        return IdsPending(rows)

    def free(self) -> None:
        raise AssertionError


def ids_as_vectors(rows) -> Vectors:
    return np.array([[*row, *[0] * (24 - len(row))] for row in rows], dtype=np.float32)


def test_many_texts_keep_their_places(tmp_path: Path, instructor: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "WINDOW", 2000)
    texts = [f"{'the ' * (i % 7)}river {i}" for i in range(5000)]
    expected = ids_as_vectors(encode_ids(instructor.tokenizer, texts))
    assert len(np.unique(expected, axis=0)) == len(texts)
    encoder = Engine(instructor.checkpoint, device="cpu", cache=VectorCache(tmp_path, warn=pytest.fail))
    encoder._network = IdsNetwork()
    assert np.array_equal(encoder.encode(texts, ""), expected)
    assert encoder.totals.hits == 0
    order = np.random.RandomState(3).permutation(len(texts))
    again = encoder.encode([texts[i] for i in order], "")
    assert np.array_equal(again, expected[order])
    assert encoder.totals.hits == len(texts)


def test_a_stream_gives_the_same_and_holds_no_more_than_a_window(plain: Engine) -> None:
    texts = [f"the river {i % 17} and the city {i % 5}" for i in range(50)]
    taken = 0

    def source() -> Iterator[str]:
        nonlocal taken
        for text in texts:
            taken += 1
            yield text

    parts = []
    for number, part in enumerate(plain.stream(source(), DOCUMENT, window=8), start=1):
        assert taken == min(8 * number, 50)
        parts.append(part)
    assert [len(p) for p in parts] == [8] * 6 + [2]
    assert largest(np.concatenate(parts), plain.encode(texts, DOCUMENT)) < TOLERANCE
    assert list(plain.stream([], DOCUMENT)) == []


def test_input_lengths_are_not_truncated(instructor: Engine) -> None:
    instructor.encode(["the"], "")
    assert instructor.input_lengths(["the " * 700, "", "the"], "") == [701, 1, 2]
    with_instruction = instructor.input_lengths(["the"], DOCUMENT)[0]
    assert with_instruction == instructor.input_lengths([DOCUMENT], "")[0] + 1


@pytest.mark.parametrize(
    "text",
    ["\ud800", "lone \udfff surrogate", "\ud83d\ude00 in two halves", "\0", "a\0\0b", "x" * 100_000, "the " * 25_000],
    ids=["high", "low", "pair", "NUL", "NULs", "one long word", "100,000 characters"],
)
@pytest.mark.parametrize("kind", ["instructor", "plain"])
def test_odd_texts(request: pytest.FixtureRequest, kind: str, text: str) -> None:
    encoder: Engine = request.getfixturevalue(kind)
    vectors = encoder.encode([SENTENCE, text], DOCUMENT)
    assert np.isfinite(vectors).all()
    assert largest(vectors[0], encoder.encode([SENTENCE], DOCUMENT)[0]) < TOLERANCE


def test_surrogates_are_replaced(instructor: Engine) -> None:
    texts = ["a \ud800 b", "\ud83d\ude00 joined", "plain \u00e9"]
    as_valid = ["a \ufffd b", "\U0001f600 joined", "plain \u00e9"]
    assert encode_ids(instructor.tokenizer, texts) == encode_ids(instructor.tokenizer, as_valid)
    assert largest(instructor.encode(texts, ""), instructor.encode(as_valid, "")) < TOLERANCE
    assert largest(instructor.encode(texts, "Say \ud800: "), instructor.encode(texts, "Say \ufffd: ")) < TOLERANCE


def spoil_piece(folder: Path, piece: str, value: float) -> Path:
    """Give one piece of the vocabulary an embedding of `value`."""
    vocab = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    at = next(i for i, (name, _) in enumerate(vocab) if name == piece)

    def spoil(tensors: dict[str, np.ndarray]) -> None:
        tensors["shared.weight"][at] = value

    edit_weights(folder / "model.safetensors", spoil)
    return folder


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_vector_that_is_not_finite(tmp_path: Path, instructor_folder: Path, value: float) -> None:
    folder = spoil_piece(copy(instructor_folder, tmp_path / "model"), "▁river", value)
    encoder = engine(folder, family="instructor")
    good = ["a city", "the market after the storm", SENTENCE.replace("river", "lake")]
    assert np.isfinite(encoder.encode(good, DOCUMENT)).all()
    with one_line(f"model {NAME}", "NaN or infinite", "'down the river'", kind=ModelOutputError):
        encoder.encode([*good, "down the river"], DOCUMENT)


def test_a_vector_of_zeros(tmp_path: Path, instructor_folder: Path) -> None:
    folder = copy(instructor_folder, tmp_path / "model")
    edit_weights(folder / "2_Dense" / "model.safetensors", lambda t: t["linear.weight"].fill(0))
    with one_line(f"model {NAME}", "all-zero", repr(SENTENCE), kind=ModelOutputError):
        engine(folder, family="instructor").encode([SENTENCE], DOCUMENT)


def test_one_bad_row_among_many(instructor_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = engine(instructor_folder, family="instructor")
    whole = encoder.network.start

    def start(rows, skip):
        pending = whole(rows, skip)
        pending.result()[[len(r) == 4 for r in rows]] = 0.0
        return pending

    monkeypatch.setattr(encoder.network, "start", start)
    with one_line(NAME, "all-zero", "'the the the'", kind=ModelOutputError):
        encoder.encode(["the", "the the", "the the the", "the the the the"], "")


def test_a_tokenizer_that_finds_nothing(tmp_path: Path, plain_folder: Path) -> None:
    """Without special tokens an empty text is no token at all."""
    folder = copy(plain_folder, tmp_path / "model")
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps({**tokenizer, "post_processor": None}), encoding="utf-8")
    edit_json(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    encoder = engine(folder)
    assert encoder.encode(["the river"], "").shape == (1, 32)
    with one_line(f"model {NAME}", "no token", "''", kind=ModelOutputError):
        encoder.encode(["the river", ""], "")
    with one_line(f"model {NAME}", "no token", "''", kind=ModelOutputError):
        encoder.token_vectors("", "")


def without(*names: str):
    def change(tensors: dict[str, np.ndarray]) -> None:
        for name in names:
            del tensors[name]

    return change


def reshaped(name: str, *shape: int):
    def change(tensors: dict[str, np.ndarray]) -> None:
        tensors[name] = np.ones(shape, dtype=np.float32)

    return change


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (without("encoder.block.1.layer.0.SelfAttention.q.weight"), "SelfAttention.q"),
        (without("encoder.final_layer_norm.weight"), "final_layer_norm"),
        (without("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"), "relative_attention_bias"),
        (without("shared.weight"), "embed"),
        (reshaped("encoder.block.1.layer.0.SelfAttention.q.weight", 32, 31), ""),
        (lambda tensors: [tensors.pop(k) for k in list(tensors)[1:]], "lacks"),
    ],
)
def test_a_missing_weight_is_no_random_one(tmp_path: Path, instructor_folder: Path, change, word: str) -> None:
    folder = copy(instructor_folder, tmp_path / "model")
    edit_weights(folder / "model.safetensors", change)
    with one_line(f"model {NAME}", word):
        engine(folder, family="instructor").encode([SENTENCE], "")


@pytest.mark.parametrize(
    "change", [without("linear.weight"), reshaped("linear.weight", 24, 31), reshaped("linear.bias", 24)]
)
def test_a_head_that_does_not_fit(tmp_path: Path, instructor_folder: Path, change) -> None:
    folder = copy(instructor_folder, tmp_path / "model")
    edit_weights(folder / "2_Dense" / "model.safetensors", change)
    with one_line("2_Dense"):
        engine(folder, family="instructor").encode([SENTENCE], "")


def test_a_weight_that_is_not_used_may_be_missing(tmp_path: Path, plain: Engine, plain_folder: Path) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    edit_weights(folder / "model.safetensors", without("pooler.dense.weight", "pooler.dense.bias"))
    assert largest(engine(folder).encode([SENTENCE], ""), plain.encode([SENTENCE], "")) < TOLERANCE


def test_shards(tmp_path: Path, plain: Engine, plain_folder: Path) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    weight_map = {}
    for i, part in enumerate((names[:9], names[9:]), start=1):
        file = f"model-0000{i}-of-00002.safetensors"
        save_file({n: tensors[n] for n in part}, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    tiny.write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})
    assert largest(engine(folder).encode([SENTENCE], ""), plain.encode([SENTENCE], "")) < TOLERANCE


def test_code_of_the_checkpoints_own_is_not_run(tmp_path: Path, plain_folder: Path) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    sentinel = tmp_path / "sentinel"
    (folder / "own.py").write_text(f"open({str(sentinel)!r}, 'w').close()\n")
    auto_map = {"AutoConfig": "own.Config", "AutoModel": "own.Model"}
    edit_json(folder / "config.json", model_type="own-kind", auto_map=auto_map)
    with one_line(f"model {NAME}", "--trust-remote-code"):
        engine(folder).encode([SENTENCE], "")
    assert not sentinel.exists()


@pytest.mark.parametrize("device", ["tpu", "gpu", "", "cuda:x", "cpu:cpu", "cuda:99", "meta", "mps", "xpu"])
def test_a_device_that_is_not_here(instructor_folder: Path, device: str) -> None:
    with one_line(f"'{device}'", "cpu"):
        pick_device(device)
    encoder = engine(instructor_folder, family="instructor", device=device)
    with pytest.raises(UserError, match="device"):
        encoder.encode([SENTENCE], "")


def test_devices_that_are_here() -> None:
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


def test_the_device_in_use(instructor: Engine) -> None:
    instructor.encode([SENTENCE], "")
    assert instructor.device == "cpu"


def test_the_network_is_in_evaluation_mode(instructor: Engine) -> None:
    """Dropout would give other vectors each time."""
    assert instructor.checkpoint.config["dropout_rate"] > 0
    first = instructor.encode([SENTENCE, "the"], DOCUMENT)
    np.testing.assert_array_equal(instructor.encode([SENTENCE, "the"], DOCUMENT), first)
