"""The attention kernel against torch's `scaled_dot_product_attention`, one text at a time."""

import platform

import pytest
import torch
from torch.nn import functional

from instructor_eval.core.machine import processor_flags
from instructor_eval.models import attention
from instructor_eval.models.attention import Kernel, attend_packed, load, load_for
from instructor_eval.models.packed import Packed, Segment

LENGTHS = [(3, 41), (1, 40), (5, 7), (4, 1), (1, 130), (2, 16), (1, 32)]


def kernels() -> dict[str, Kernel]:
    """Each width of vectors that this processor has."""
    flags = processor_flags() or set()
    made = {"plain": load_for(4, ())}
    if {"avx2", "fma"} <= flags:
        made["avx2"] = load_for(8, ("-mavx2", "-mfma"))
    if "avx512f" in flags:
        made["avx512"] = load_for(16, ("-mavx512f", "-mavx2", "-mfma"))
    assert all(made.values()), "no compiler"
    return made


def batch_of(lengths: list[tuple[int, int]]) -> Packed:
    segments, start = [], 0
    for rows, width in lengths:
        segments.append(Segment(start, rows, width))
        start = segments[-1].end
    return Packed(torch.zeros(start, dtype=torch.int64), tuple(segments))


def by_torch(qkv: torch.Tensor, batch: Packed, heads: int, scale: float, bias: torch.Tensor | None) -> torch.Tensor:
    out = []
    for s in batch.segments:
        for row in range(s.rows):
            first = s.start + row * s.width
            part = qkv[first : first + s.width].double().view(s.width, 3, heads, -1)
            q, k, v = part.permute(1, 2, 0, 3)
            mask = None if bias is None else bias[:, : s.width, : s.width].double()
            found = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
            out.append(found.transpose(0, 1).flatten(1))
    return torch.cat(out).float()


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("heads", "width"), [(12, 32), (3, 64), (2, 96), (1, 128)])
def test_attention_is_that_of_torch(heads: int, width: int, *, biased: bool) -> None:
    generator = torch.Generator().manual_seed(width)
    batch = batch_of(LENGTHS)
    qkv = torch.randn(len(batch.ids), 3 * heads * width, generator=generator)
    bias = torch.randn(heads, 256, 256, generator=generator) if biased else None
    expected = by_torch(qkv, batch, heads, width**-0.5, bias)
    for name, kernel in kernels().items():
        assert kernel.suits(qkv, batch, width), name
        ours = attend_packed(kernel, qkv, batch, heads, width**-0.5, bias)
        assert (ours - expected).abs().max() < 5e-6, name


@pytest.mark.parametrize("size", [0.0, 1e-3, 30.0, 1e4])
def test_scores_of_any_size(size: float) -> None:
    """All the same, or one so large that the others vanish."""
    batch = batch_of([(2, 50)])
    qkv = torch.randn(100, 96, generator=torch.Generator().manual_seed(1))
    qkv[:, :64] *= size
    expected = by_torch(qkv, batch, 1, 0.2, None)
    for name, kernel in kernels().items():
        ours = attend_packed(kernel, qkv, batch, 1, 0.2)
        # Where scores are large their float32 rounding decides: the share of two that are nearly equal.
        assert (ours - expected).abs().max() < max(5e-6, 1e-6 * size**2), name


def test_a_text_does_not_depend_on_its_mates() -> None:
    batch = batch_of(LENGTHS)
    qkv = torch.randn(len(batch.ids), 3 * 64)
    for kernel in kernels().values():
        together = attend_packed(kernel, qkv, batch, 2, 0.3)
        for s in batch.segments:
            rows = qkv[s.start : s.start + s.width]
            alone = attend_packed(kernel, rows, batch_of([(1, s.width)]), 2, 0.3)
            assert torch.equal(alone, together[s.start : s.start + s.width])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("at", [0, 40, 70])
def test_what_is_not_finite_stays_so(bad: float, at: int) -> None:
    """In a query, a key or a value: the text it stands in has no finite rows in that place."""
    batch = batch_of([(1, 20), (1, 30)])
    qkv = torch.randn(50, 96)
    qkv[25, at] = bad
    for name, kernel in kernels().items():
        finite = torch.isfinite(attend_packed(kernel, qkv, batch, 1, 0.2)).all(1)
        assert finite[:20].all(), name
        assert not finite[20:].all(), name  # a key of minus infinity is one that nobody looks at


def test_what_the_kernel_is_not_for() -> None:
    kernel = load_for(4, ())
    assert kernel is not None
    batch, qkv = batch_of([(1, 8)]), torch.randn(8, 96)
    assert kernel.suits(qkv, batch, 32)
    assert not kernel.suits(qkv, batch, 12)
    assert not kernel.suits(qkv.bfloat16(), batch, 32)
    assert not kernel.suits(qkv, batch_of([(1, attention.LONGEST + 1)]), 32)
    masked = Segment(0, 1, 8, torch.ones(1, 8, dtype=torch.bool))
    assert not kernel.suits(qkv, Packed(batch.ids, (masked,)), 32)
    with pytest.raises(ValueError, match="9 tokens in segments of a batch of 8"):
        attend_packed(kernel, qkv, batch_of([(1, 9)]), 1, 1.0)
    with pytest.raises(ValueError, match="a bias"):
        attend_packed(kernel, qkv, batch, 1, 1.0, torch.zeros(1, 7, 7))


@pytest.mark.parametrize(
    ("kind", "flags", "lanes"),
    [
        ("x86_64", "avx512f avx2 fma", 16),
        ("x86_64", "avx2 fma", 8),
        ("x86_64", "sse2", None),
        ("aarch64", "asimd", 4),
        ("riscv64", "avx2 fma", None),
    ],
)
def test_whose_processor(kind: str, flags: str, lanes: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: kind)
    monkeypatch.setattr(attention, "processor_flags", lambda: set(flags.split()))
    monkeypatch.setattr(attention, "load_for", lambda lanes, wanted: lanes)
    assert load.__wrapped__() == lanes
