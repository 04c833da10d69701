"""The attention in C against numpy in float64, torch's in whole networks, and itself on vectors of other widths."""

from __future__ import annotations

import dataclasses
import itertools
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import read
from models.test_forward import LENGTHS, MODELS, fast
from torch import Tensor
from transformers import BertModel

from instructor_eval.core.machine import processor_flags
from instructor_eval.models import packed
from instructor_eval.models.bert import FastBert
from instructor_eval.models.engine import Engine
from instructor_eval.models.forms import attention_kernel, compiled
from instructor_eval.models.forms.attention_kernel import CONTRACTED, NATIVE, SOURCE, KernelAttention
from instructor_eval.models.packed import Arithmetic, Linear, Segment, Table, pack
from instructor_eval.models.t5 import FastT5

SIZES = [(1, 1, 1, 8), (3, 2, 2, 5), (5, 7, 4, 8), (2, 16, 3, 32), (3, 17, 12, 64), (1, 130, 2, 80)]
"""Texts, tokens, heads, width of a head: below, at and beyond what a tile and a vector hold."""


@pytest.fixture(scope="module")
def kernel() -> KernelAttention:
    found = attention_kernel.kernel()
    assert found is not None, "on the machines that run these tests there is a compiler"
    return found


def drawn(texts: int, tokens: int, heads: int, width: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(texts * tokens, 3 * heads * width, generator=generator)


def biases(heads: int, tokens: int, texts: int = 1) -> Tensor:
    """A part of a larger table, as T5 cuts it."""
    table = torch.randn(1, heads, 144, 144, generator=torch.Generator().manual_seed(1))
    return table[:, :, :tokens, :tokens].expand(texts, -1, -1, -1)


def attended(by: packed.Attend, qkv: Tensor, tokens: int, heads: int, bias: Tensor | None, scale: float) -> Tensor:
    out = torch.full((len(qkv), qkv.shape[1] // 3), torch.nan)
    by(qkv, out, Segment(0, len(qkv) // tokens, tokens), heads, bias, scale)
    return out


def by_hand(qkv: Tensor, tokens: int, heads: int, bias: Tensor | None, scale: float) -> np.ndarray:
    numbers = qkv.double().numpy().reshape(len(qkv) // tokens, tokens, 3, heads, -1)
    q, k, v = (numbers[:, :, part].transpose(0, 2, 1, 3) for part in range(3))
    scores = q @ k.transpose(0, 1, 3, 2) * scale + (0 if bias is None else bias.double().numpy())
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    found = weights / weights.sum(axis=-1, keepdims=True) @ v
    return found.transpose(0, 2, 1, 3).reshape(len(qkv), -1)


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize(("texts", "tokens", "heads", "width"), SIZES)
def test_attention_by_hand(
    kernel: KernelAttention, texts: int, tokens: int, heads: int, width: int, *, has_bias: bool
) -> None:
    qkv, bias = drawn(texts, tokens, heads, width), biases(heads, tokens, texts) if has_bias else None
    ours = attended(kernel, qkv, tokens, heads, bias, 0.3)
    assert np.abs(ours.double().numpy() - by_hand(qkv, tokens, heads, bias, 0.3)).max() < 1e-5


def test_scores_far_apart(kernel: KernelAttention) -> None:
    """Weights too small for a float are nothing, and the largest score is all: no overflow on the way."""
    qkv = drawn(2, 40, 2, 16) * 1000
    ours = attended(kernel, qkv, 40, 2, None, 1.0)
    np.testing.assert_allclose(ours.numpy(), by_hand(qkv, 40, 2, None, 1.0), rtol=1e-5)


def widths() -> Iterator[KernelAttention]:
    """The kernel compiled for vectors of 16, 8 and 4 floats, as far as this processor has them."""
    flags = processor_flags() or set()
    kinds = {"avx512f": ("-mavx512f", "-mfma"), "avx2": ("-mavx2", "-mfma"), "fma": ("-mfma",)}
    for needed, of_compiler in kinds.items():
        if {needed, "fma"} <= flags:
            library = compiled.library(SOURCE, (CONTRACTED, *of_compiler))
            assert library is not None
            yield KernelAttention(library)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the widths compared are those of x86")
@pytest.mark.parametrize(("texts", "tokens", "heads", "width"), SIZES)
def test_each_width_of_vectors_gives_the_same_bits(texts: int, tokens: int, heads: int, width: int) -> None:
    qkv, bias = drawn(texts, tokens, heads, width), biases(heads, tokens, texts)
    found = [attended(one, qkv, tokens, heads, bias, 0.7) for one in widths()]
    assert len(found) > 1
    assert all(torch.equal(found[0], other) for other in found[1:])


def ran_as_program(folder: Path, compiler: str, *emulator: str) -> bytes:
    made, source = folder / Path(compiler).name, Path(__file__).with_name("attention_program.c")
    flags = ["-O3", "-fwrapv", "-static", CONTRACTED, *([] if emulator else [NATIVE[platform.machine()]])]
    subprocess.run([compiler, *flags, "-I", str(SOURCE.parent), str(source), "-o", str(made)], check=True)
    return subprocess.run([*emulator, str(made)], check=True, capture_output=True).stdout


def test_arm_in_an_emulator(tmp_path: Path) -> None:
    compiler, emulator = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
    if not compiler or not emulator:
        pytest.skip("no compiler for ARM, or no qemu-aarch64: apt install gcc-aarch64-linux-gnu qemu-user")
    found = ran_as_program(tmp_path, compiler, emulator)
    assert np.isfinite(np.frombuffer(found, dtype=np.float32)).all()
    assert found == ran_as_program(tmp_path, "cc")


def test_a_text_does_not_depend_on_its_mates(kernel: KernelAttention) -> None:
    qkv = drawn(5, 21, 3, 16)
    together = attended(kernel, qkv, 21, 3, None, 0.25)
    alone = [attended(kernel, qkv[i : i + 21], 21, 3, None, 0.25) for i in range(0, 5 * 21, 21)]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize(("part", "bad"), itertools.product(range(3), (torch.nan, torch.inf, -torch.inf)))
def test_what_is_not_finite_stays_so_in_its_text(kernel: KernelAttention, part: int, bad: float) -> None:
    qkv = drawn(3, 10, 2, 8)
    qkv[14, part * 16 + 3] = bad  # text 1, token 4, head 0
    ours = attended(kernel, qkv, 10, 2, None, 0.5)
    with np.errstate(invalid="ignore"):
        expected = by_hand(qkv, 10, 2, None, 0.5)  # torch's own answers zeros for a query of NaN
    assert np.array_equal(np.isfinite(ours.numpy()), np.isfinite(expected))
    assert torch.isfinite(ours[:10]).all()
    assert torch.isfinite(ours[20:]).all()
    assert not torch.isfinite(ours[10:20]).all()


@pytest.mark.parametrize("name", MODELS)
def test_networks_with_it_and_with_torchs(kernel: KernelAttention, name: str) -> None:
    """The kernel runs in the place of torch's for texts of any lengths, relative positions included."""
    transformer = MODELS[name]()
    kind = FastBert if isinstance(transformer, BertModel) else FastT5
    calls: list[Segment] = []

    def counted(*args: object) -> None:
        assert kernel._suits(args[0], args[1], args[2], args[4])
        calls.append(args[2])
        kernel(*args)

    generator = np.random.default_rng(0)
    batch = pack([generator.integers(1, 300, n, dtype=np.int32) for n in LENGTHS], torch.device("cpu"))
    with torch.inference_mode():
        ours = kind(transformer, Arithmetic(Linear, Table, counted))(batch)
        expected = fast(transformer)(batch)
    assert len(calls) == 2 * len(batch.segments)
    assert (ours - expected).abs().max() < 2e-5 * expected.abs().max()


@pytest.mark.parametrize(("form", "expected"), [("int8", True), ("int8-weight", False), ("fp32", False)])
def test_forms_that_use_it(
    form: str, instructor_folder: Path, monkeypatch: pytest.MonkeyPatch, *, expected: bool
) -> None:
    """Where products are as slow as floats, it would save less than its compiler takes."""
    ran: list[object] = []
    own = KernelAttention.__call__
    monkeypatch.setattr(KernelAttention, "__call__", lambda *args: ran.append(own(*args)))
    checkpoint = dataclasses.replace(read(instructor_folder), variant=form)
    Engine(checkpoint, device="cpu").network.forward([np.array([5, 6, 1], dtype=np.int32)], 0)
    assert bool(ran) == expected


def test_what_it_was_not_written_for_is_left_to_torch(kernel: KernelAttention) -> None:
    """Padding, other types, a bias for each text, other layouts: read as if they were its own, they would be wrong."""
    qkv, mask = drawn(2, 6, 2, 8), torch.arange(6) < torch.tensor([[6], [4]])
    two = biases(2, 6).repeat(2, 1, 1, 1)
    two[1] += 1
    cases = [
        (qkv, Segment(0, 2, 6, mask), mask[:, None, None, :]),
        (qkv.double(), Segment(0, 2, 6), None),
        (qkv, Segment(0, 2, 6), two),
        (qkv, Segment(0, 2, 6), biases(2, 6, 2).transpose(2, 3)),
        (qkv, Segment(0, 2, 6), biases(2, 6, 2).contiguous()[:1].expand(2, -1, -1, -1)),
        (torch.cat([qkv, qkv])[::2], Segment(0, 2, 6), None),
    ]
    for given, segment, bias in cases:
        ours, torchs = (given.new_empty((12, 16)) for _ in range(2))
        kernel(given, ours, segment, 2, bias, 0.5)
        packed.attend(given, torchs, segment, 2, bias, 0.5)
        assert torch.equal(ours, torchs)


def test_no_compiler_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "library", lambda source, flags: None)
    assert attention_kernel.kernel() is None
