"""Precisions of vectors: against sentence-transformers' codes, and what must hold of any vectors."""

import json

import numpy as np
import pytest
from checkpoints import largest, one_line
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sentence_transformers.util.quantization import quantize_embeddings

from instructor_eval.core.errors import ModelOutputError, UserError
from instructor_eval.models.precision import Calibration, Precision, calibration_texts, round_to, truncate
from instructor_eval.models.variant import EMBEDDINGS, Variant

VALUES = st.floats(-10, 10, width=32, allow_subnormal=False)
MATRICES = st.tuples(st.integers(1, 9), st.integers(1, 13)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=VALUES)
)


def drawn(n: int, dim: int, seed: int = 0) -> np.ndarray:
    """Vectors of length about 1."""
    vectors = np.random.RandomState(seed).standard_normal((n, dim)) / np.sqrt(dim)
    return vectors.astype(np.float32)


def precision(text: str, dim: int = 24, *, normalize: bool = False) -> Precision:
    return Precision(Variant.parse(text), dim=dim, normalize=normalize, model="acme/tiny")


# Truncation


@pytest.mark.parametrize("normalize", [True, False])
def test_truncation_keeps_the_first_values(normalize: bool) -> None:
    full = drawn(7, 24)
    cut = precision("fp32@5", normalize=normalize).apply(full)
    expected = full[:, :5] / np.linalg.norm(full[:, :5], axis=1, keepdims=True) if normalize else full[:, :5]
    assert cut.dtype == np.float32
    assert largest(cut, expected) < 1e-7
    assert np.abs(np.linalg.norm(full[:, :5], axis=1) - 1).min() > 0.01  # so that rescaling can be seen


def test_whole_vectors_are_left_alone() -> None:
    full = drawn(3, 24)
    assert precision("fp32").apply(full) is full
    assert precision("fp32@24", normalize=True).apply(full) is full


def test_nothing_is_left_of_a_vector() -> None:
    full = drawn(3, 24)
    full[1, :5] = 0
    with one_line("acme/tiny", "first 5 values", "@dim", kind=ModelOutputError):
        precision("fp32@5").apply(full)
    assert truncate(full, 6, normalize=True, model="").shape == (3, 6)


def test_more_dimensions_than_there_are() -> None:
    with one_line("bf16+binary@25", "acme/tiny has 24 dimensions", "at most @24"):
        precision("bf16+binary@25")


# float16


def test_float16_rounds_and_tells_how_far() -> None:
    full, chosen = drawn(9, 24), precision("fp32+float16")
    vectors = chosen.apply(full)
    assert np.array_equal(vectors, full.astype(np.float16).astype(np.float32))
    assert 0 < chosen.drift < 2**-11
    assert chosen.describe() == {"precision": "float16", "dim": 24, "bytes_per_vector": 48, "drift": chosen.drift}


@pytest.mark.parametrize("scale", [1e5, 1e-7], ids=["too large", "too small"])
def test_what_float16_does_not_hold(scale: float) -> None:
    full = drawn(4, 24)
    full[2] *= np.float32(scale) * 24
    with one_line("acme/tiny", "float16 does not hold", "leave +float16 out", kind=ModelOutputError):
        precision("fp32+float16").apply(full)
    with one_line("do this", kind=ModelOutputError):
        round_to(full, "float16", model="m", instead="do this")


# int8 and uint8


@given(MATRICES, st.sampled_from(["int8", "uint8"]))
def test_codes_are_those_of_sentence_transformers_to_one_level(vectors: np.ndarray, name: str) -> None:
    calibration = Calibration.of(vectors)
    ours = calibration.codes(vectors, name)
    theirs = quantize_embeddings(vectors, name, ranges=np.stack([calibration.low, calibration.high]))
    assert ours.dtype == theirs.dtype
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


@given(MATRICES, st.sampled_from(["int8", "uint8"]))
def test_a_value_moves_by_half_a_step_at_most(vectors: np.ndarray, name: str) -> None:
    calibration = Calibration.of(vectors)
    moved = np.abs(calibration.decode(calibration.codes(vectors, name)).astype(np.float64) - vectors)
    step = (calibration.high.astype(np.float64) - calibration.low) / 255
    assert (moved <= step / 2 * (1 + 1e-4) + 4e-6).all()  # 4e-6: of values near 10, float32's last bits


def test_rounding_is_better_than_the_level_below() -> None:
    vectors = drawn(500, 24)
    calibration = Calibration.of(vectors)
    ranges = np.stack([calibration.low, calibration.high])
    theirs = quantize_embeddings(vectors, "uint8", ranges=ranges)
    error = [
        np.abs(calibration.decode(codes) - vectors).mean() for codes in (calibration.codes(vectors, "uint8"), theirs)
    ]
    assert error[1] > 1.9 * error[0]


@given(MATRICES)
def test_both_kinds_stand_for_the_same_values(vectors: np.ndarray) -> None:
    calibration = Calibration.of(vectors)
    signed, unsigned = (calibration.codes(vectors, name) for name in ("int8", "uint8"))
    assert np.array_equal(signed.astype(int) + 128, unsigned)
    assert np.array_equal(calibration.decode(signed), calibration.decode(unsigned))


def test_the_ends_of_the_range() -> None:
    calibration = Calibration(np.float32([-1, 2]), np.float32([1, 2]))
    below, low, middle, high, above = np.float32([[-9, -9], [-1, 2], [0.001, 2], [1, 2], [9, 9]])
    vectors = np.stack([below, low, middle, high, above])
    assert calibration.codes(vectors, "uint8").tolist() == [[0, 0], [0, 0], [128, 0], [255, 0], [255, 0]]
    assert calibration.codes(vectors, "int8").tolist() == [[-128, -128]] * 2 + [[0, -128]] + [[127, -128]] * 2
    decoded = calibration.decode(calibration.codes(vectors, "int8"))
    assert decoded[[0, 1, 3, 4], 0].tolist() == [-1, -1, 1, 1]
    assert set(decoded[:, 1]) == {2}  # a constant dimension has that value, whatever comes
    assert calibration.count_outside(vectors) == 4


@pytest.mark.parametrize("name", ["int8", "uint8"])
def test_int8_is_calibrated_once_for_all(name: str) -> None:
    corpus, other, chosen = drawn(300, 24), drawn(50, 24, seed=1) * 2, precision(f"fp32+{name}")
    assert chosen.needs_calibration
    chosen.calibrate(corpus, role="document", instruction="Represent: ")
    assert not chosen.needs_calibration
    assert 0 < largest(chosen.apply(corpus), corpus) < (corpus.max() - corpus.min()) / 255
    assert chosen.describe()["calibration"]["clipped"] == 0
    decoded = chosen.apply(other)
    assert np.array_equal(decoded, chosen.apply(other[::-1])[::-1])  # batches do not matter
    assert (decoded > corpus.min(axis=0) - 1e-6).all() and (decoded < corpus.max(axis=0) + 1e-6).all()
    outside = (other < corpus.min(axis=0)) | (other > corpus.max(axis=0))
    found = chosen.describe()["calibration"]
    assert found["clipped"] == pytest.approx(2 * outside.sum() / (300 * 24 + 2 * 50 * 24))
    assert found["clipped"] > 0.01
    assert (found["texts"], found["origin"], found["role"], found["instruction"]) == (
        300, "corpus", "document", "Represent: ",
    )  # fmt: skip


def test_int8_is_calibrated_on_what_is_cut() -> None:
    corpus, chosen = drawn(40, 24), precision("fp32+int8@6", normalize=True)
    chosen.calibrate(corpus)
    cut = truncate(corpus, 6, normalize=True, model="")
    assert np.array_equal(chosen.calibration.low, cut.min(axis=0))
    assert 0 < largest(chosen.apply(corpus), cut) < 2 / 255


@pytest.mark.parametrize("name", ["int8", "uint8"])
def test_int8_without_calibration(name: str) -> None:
    chosen = precision(f"bf16+{name}")
    for use in (chosen.check, lambda: chosen.apply(drawn(2, 24))):
        with one_line(f"bf16+{name}", "calibrate(texts, instruction)"):
            use()
    precision("fp32+binary").check()


def test_the_stored_ranges_give_the_codes_again() -> None:
    corpus, other, chosen = drawn(40, 24), drawn(9, 24, seed=2), precision("fp32+int8")
    chosen.calibrate(corpus)
    stored = json.loads(json.dumps(chosen.describe(), allow_nan=False))["calibration"]
    again = Calibration(np.float32(stored["low"]), np.float32(stored["high"]))
    assert np.array_equal(again.codes(other, "int8"), chosen.calibration.codes(other, "int8"))
    assert np.array_equal(again.decode(again.codes(other, "int8")), chosen.apply(other))


LISTS = st.lists(st.text(st.characters(), max_size=3), max_size=60)


@given(LISTS, st.integers(1, 9), st.randoms(use_true_random=False))
def test_calibration_texts_do_not_depend_on_order_or_repeats(texts: list[str], most: int, random) -> None:
    chosen = calibration_texts(texts, most)
    assert set(chosen) <= set(texts)
    assert len(chosen) == len(set(chosen)) == min(most, len(set(texts)))
    assert calibration_texts(iter(random.sample(texts * 2, 2 * len(texts))), most) == chosen
    # A text that is chosen of all is chosen of some: no other one matters.
    assert set(chosen) & set(texts[:5]) <= set(calibration_texts(texts[:5], most))


def test_no_more_than_ten_thousand_calibration_texts() -> None:
    texts = [f"text {i}" for i in range(30_000)]
    chosen = calibration_texts(texts)
    assert len(chosen) == 10_000
    places = np.sort([int(text[5:]) for text in chosen])
    assert places[0] < 30 and places[-1] > 29_970  # from everywhere
    assert abs(places.mean() - 15_000) < 500


# Binary


@given(MATRICES)
def test_binary_vectors_are_signs(vectors: np.ndarray) -> None:
    expected = np.where(vectors > 0, 1, -1)
    for name in ("binary", "ubinary", "binary-rescore"):
        assert np.array_equal(precision(f"fp32+{name}", vectors.shape[1]).apply(vectors), expected)


def test_rescoring_keeps_queries_in_float32() -> None:
    full = drawn(6, 24)
    assert np.array_equal(precision("fp32+binary-rescore").apply(full, as_query=True), full)
    assert np.array_equal(precision("fp32+binary-rescore@8").apply(full, as_query=True), full[:, :8])
    for name in ("binary", "ubinary", "float16"):
        chosen = precision(f"fp32+{name}")
        assert np.array_equal(chosen.apply(full, as_query=True), chosen.apply(full))


# All of them


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("fp32", 96), ("fp32+float16", 48), ("fp32+int8", 24), ("fp32+uint8", 24), ("fp32+binary", 3),
        ("fp32+ubinary", 3), ("fp32+binary-rescore", 3), ("fp32@10", 40), ("fp32+binary@10", 2), ("bf16+int8@7", 7),
    ],
)  # fmt: skip
def test_what_is_said_of_them(text: str, size: int) -> None:
    chosen, variant = precision(text), Variant.parse(text)
    found = chosen.describe()
    assert (found["precision"], found["dim"], found["bytes_per_vector"]) == (variant.embedding, variant.dim or 24, size)
    assert "calibration" not in found
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("name", EMBEDDINGS)
@pytest.mark.parametrize("dim", ["", "@5"])
def test_shapes_and_types(name: str, dim: str) -> None:
    chosen = precision(f"fp32+{name}{dim}", normalize=True)
    if chosen.needs_calibration:
        chosen.calibrate(drawn(5, 24))
    for n in (0, 1, 4):
        vectors = chosen.apply(drawn(n, 24))
        assert (vectors.shape, vectors.dtype) == ((n, 5 if dim else 24), np.float32)


def test_an_error_is_the_users() -> None:
    assert issubclass(ModelOutputError, UserError)
