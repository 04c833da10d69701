"""Quantized layers against plain NumPy on the integers, and against what torch quantizes itself."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from instructor_eval.core.errors import ModelOutputError
from instructor_eval.models.forms import products
from instructor_eval.models.forms.products import (
    Fp8Linear,
    Int4WeightLinear,
    Int8Linear,
    Int8Table,
    Int8WeightLinear,
    quantize_groups,
    quantize_rows,
    quantize_weight,
    unpack_groups,
)

SHAPES = [(768, 96, 33), (50, 37, 7), (384, 48, 1), (9, 16, 3), (8, 17, 2), (3072, 32, 513), (1, 1, 5)]


def by_hand(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Quantize, multiply exact integers and scale, in plain NumPy: float64 wherever it is not said otherwise."""
    scale = np.abs(weight).max(1) / np.float32(63)
    scale[scale == 0] = 1
    integers = np.clip(np.rint(weight / scale[:, None]), -63, 63).astype(np.int64)
    out = np.empty((len(x), len(weight)))
    for i, row in enumerate(x):
        low, high = min(row.min(), np.float32(0)), max(row.max(), np.float32(0))
        span = np.float32(high - low)
        inverse = np.float32(127) / span if span > 0 else np.float32(0)
        zero = int(np.rint(-low * inverse))
        values = np.clip(np.rint(row * inverse).astype(np.int64) + zero, 0, 127) - zero
        step = float(span / np.float32(127)) if span > 0 else 1.0
        out[i] = (values @ integers.T) * step * scale.astype(np.float64)
    return out


def drawn(inputs: int, channels: int, rows: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(channels, inputs, generator=generator)
    x = torch.randn(rows, inputs, generator=generator) * (1 + 9 * torch.rand(rows, 1, generator=generator))
    return x, weight, torch.randn(channels, generator=generator), torch.randn(rows, channels, generator=generator)


def layers(*args: torch.Tensor | None, **options: str) -> dict[str, Int8Linear]:
    """The same layer on each of the ways to multiply that this machine has, and in plain C."""
    found = [Int8Linear(*args, engine=name, **options) for name in ("c", *products.engines())]
    assert found[-1].engine == "float32"
    return {layer.engine: layer for layer in found}


@pytest.mark.parametrize(("inputs", "channels", "rows"), SHAPES)
def test_int8_is_the_product_of_the_integers(inputs: int, channels: int, rows: int) -> None:
    x, weight, bias, added = drawn(inputs, channels, rows)
    expected = by_hand(x.numpy(), weight.numpy())
    size = np.abs(expected).max() + 1
    for name, layer in layers(weight).items():
        assert np.abs(layer(x).numpy() - expected).max() < 2e-6 * size, name
    for name, layer in layers(weight, bias, activation="relu").items():
        whole = np.maximum(expected + bias.numpy(), 0) + added.numpy()
        assert np.abs(layer(x, added).numpy() - whole).max() < 2e-6 * (size + 9), name
    for name, layer in layers(weight, bias, activation="gelu").items():
        whole = functional.gelu(torch.from_numpy(expected) + bias).numpy()
        assert np.abs(layer(x).numpy() - whole).max() < 2e-6 * (size + 9), name


@pytest.mark.parametrize(("inputs", "channels", "rows"), SHAPES)
def test_all_ways_to_multiply_give_the_same_bits(inputs: int, channels: int, rows: int) -> None:
    x, weight, bias, added = drawn(inputs, channels, rows, seed=1)
    first, *others = layers(weight, bias, activation="relu").values()
    for layer in others:
        ours, theirs = layer(x, added), first(x, added)
        assert torch.equal(ours, theirs), layer.engine


def test_the_largest_sums_do_not_overflow() -> None:
    """All levels at their ends: four products of 127 * 63 are what 16 bits just hold."""
    x = torch.ones(5, 3072)
    x[:, 0] = 0
    for weight in (torch.ones(16, 3072), -torch.ones(16, 3072)):
        for layer in layers(weight).values():
            assert torch.allclose(layer(x), 3071 * weight[:1, :1].expand(5, 16), rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 40), st.integers(1, 30), st.integers(0, 10**6))
def test_a_row_does_not_depend_on_its_mates(inputs: int, channels: int, rows: int, seed: int) -> None:
    x, weight, bias, _ = drawn(inputs, channels, rows, seed)
    layer = Int8Linear(weight, bias)
    together = layer(x)
    for i in range(rows):
        assert torch.equal(layer(x[i : i + 1])[0], together[i])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(0, 10**6))
def test_rows_are_within_half_a_step(inputs: int, seed: int) -> None:
    x, *_ = drawn(inputs, 1, 4, seed)
    values, scale, zero = quantize_rows(x)
    assert values.min() >= 0
    assert values.max() <= 127
    # rounding the zero point may move an end by half a step more
    assert ((((values - zero) * scale) - x).abs() <= scale * 1.0001).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("at", [0, 7, 8, 49])
def test_what_is_not_finite_stays_so(bad: float, at: int) -> None:
    x, weight, bias, _ = drawn(50, 20, 6)
    x[2, at] = bad
    for name, layer in layers(weight, bias, activation="relu").items():
        finite = torch.isfinite(layer(x)).all(1).tolist()
        assert finite == [True, True, False, True, True, True], name


@pytest.mark.parametrize("kind", [Int8Linear, Int8WeightLinear, Int4WeightLinear])
def test_weights_that_are_not_finite_are_refused(kind: type) -> None:
    weight = torch.ones(4, 40)
    weight[3, 2] = float("nan")
    with pytest.raises(ModelOutputError, match="NaN or infinite"):
        kind(weight)


def test_zeros_stay_zeros() -> None:
    for kind in (Int8Linear, Int8WeightLinear, Int4WeightLinear):
        assert not kind(torch.zeros(3, 40))(torch.randn(2, 40)).any()
        assert not kind(torch.randn(3, 40))(torch.zeros(2, 40)).any()


@pytest.mark.filterwarnings("ignore")  # torch says of its quantized tensors that they will go
def test_int8_weights_are_those_torch_quantizes() -> None:
    """`torch.quantize_per_channel` with the same scales: an implementation of its own."""
    x, weight, bias, added = drawn(100, 30, 9)
    layer = Int8WeightLinear(weight, bias)
    scale = weight.abs().amax(1) / 127
    theirs = torch.quantize_per_channel(weight, scale.double(), torch.zeros(30, dtype=torch.long), 0, torch.qint8)
    assert (layer.weight.int() - theirs.int_repr().int()).abs().max() <= 1  # they round x * (1 / scale)
    assert (layer.weight == theirs.int_repr()).float().mean() > 0.999
    expected = functional.linear(x, theirs.dequantize(), bias) + added
    assert torch.allclose(layer(x, added), expected, atol=2e-2)


def test_int4_by_a_loop() -> None:
    weight = drawn(70, 5, 1)[1]
    packed, step, low = quantize_groups(weight)
    again = unpack_groups(packed, step, low, torch.float32)[:, :70]
    for channel in range(5):
        for start in range(0, 70, 32):
            group = np.zeros(32, dtype=np.float32)
            part = weight[channel, start : start + 32].numpy()
            group[: len(part)] = part
            least = np.float32(np.float16(group.min()))
            width = np.float32(np.float16((group.max() - least) / np.float32(15)))
            levels = np.clip(np.rint((group - least) / width), 0, 15)
            expected = (least + levels * width)[: len(part)]
            assert np.allclose(again[channel, start : start + 32].numpy(), expected, atol=1e-6)
            assert np.abs(expected - part).max() <= width * 0.51
    assert packed.nelement() == 5 * 96 // 2
    x = torch.randn(3, 70)
    assert torch.allclose(Int4WeightLinear(weight)(x), x @ again.T, atol=1e-5)


def test_a_table_is_within_half_a_step() -> None:
    weight = torch.randn(50, 16) * torch.rand(50, 1)
    ids = torch.tensor([3, 49, 3, 0])
    rows = Int8Table(weight)(ids)
    assert ((rows - weight[ids]).abs() <= weight[ids].abs().amax(1, keepdim=True) / 127 * 0.501).all()


def test_fp8_near_the_float_product() -> None:
    """Three bits of mantissa: each value within 1/16, the product of many within a few hundredths of its size."""
    x, weight, bias, added = drawn(100, 30, 9)
    try:
        ours = Fp8Linear(weight, bias, activation="relu")(x, added)
    except (RuntimeError, NotImplementedError) as e:
        pytest.fail(f"torch._scaled_mm is gone from the CPU: test this on a GPU ({e})")
    expected = torch.relu(x @ weight.T + bias) + added
    assert (ours - expected).norm() / expected.norm() < 0.05
    assert not torch.equal(ours, expected)


def test_weights_take_seven_bits() -> None:
    values, scale = quantize_weight(torch.tensor([[1.1, -2.0, 0.5], [0.0, 0.0, 0.0]]), 63)
    assert values.tolist() == [[35, -63, 16], [0, 0, 0]]
    assert scale.tolist() == [np.float32(2) / np.float32(63), 1.0]


def test_no_rows_and_narrow_rows() -> None:
    weight = torch.randn(4, 9)
    narrow = torch.full((2, 9), 1e-38)
    narrow[0, 0] = -1e-38
    for name, layer in layers(weight).items():
        assert layer(torch.empty(0, 9)).shape == (0, 4), name
        assert not layer(narrow).any(), name


def test_weights_beyond_the_scales_of_int4() -> None:
    with pytest.raises(ModelOutputError, match="float16's range"):
        Int4WeightLinear(torch.full((2, 32), 1e5))
