"""Variants as values: text and back, grids, what cannot run, forms of others."""

import importlib.metadata
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.core import plugins
from instructor_eval.core.errors import UserError
from instructor_eval.models import variant as variants
from instructor_eval.models.variant import EMBEDDINGS, FORMS, Form, Variant, check_device, check_installed, grid

TEXTS = ["fp32", "int8-dynamic", "bf16+binary@256", "fp32@64", "int8+float16", "fp32+binary-rescore"]


@pytest.mark.parametrize("text", TEXTS)
def test_the_text_is_canonical(text: str) -> None:
    assert str(Variant.parse(text)) == text


@given(st.sampled_from(list(FORMS)), st.sampled_from(list(EMBEDDINGS)), st.none() | st.integers(1, 10**6))
def test_there_and_back(form: str, embedding: str, dim: int | None) -> None:
    variant = Variant(form, embedding, dim)
    assert Variant.parse(str(variant)) == variant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("int9", ["unknown variant 'int9'", "did you mean int8"]),
        ("zzzzzz", ["unknown variant 'zzzzzz'", "forms are fp32, bf16"]),
        ("", ["unknown variant"]),
        ("fp32+int7", ["unknown embedding 'int7'", "int8"]),
        ("fp32+", ["unknown embedding ''"]),
        ("fp32@", ["'' is not a number of dimensions", "fp32@256"]),
        ("fp32@0", ["'0'"]),
        ("fp32@-3", ["'-3'"]),
        (f"fp32@{'9' * 5000}", ["'99999999999999999999' is not a number"]),
        ("auto", ["unknown variant 'auto'"]),
        ("fp32@\uff11\uff12", ["not a number"]),
        ("fp32@256+binary", ["'256+binary' is not a number"]),
    ],
)
def test_what_cannot_be_read(text: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        Variant.parse(text)
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_text_of_default_parts_is_made_canonical() -> None:
    assert str(Variant.parse(" fp32+float32 ")) == "fp32"
    assert variants.canonical("fp32+float32@8") == "fp32@8"
    assert variants.canonical("somebody's own+thing") == "somebody's own+thing"


@pytest.mark.parametrize(
    ("text", "dim", "size"),
    [
        ("fp32", 384, 1536), ("fp32+float16", 384, 768), ("int8", 384, 1536), ("fp32+int8", 384, 384),
        ("fp32+uint8@100", 384, 100), ("fp32+binary", 384, 48), ("fp32+ubinary@100", 384, 13),
        ("fp32+binary-rescore", 384, 48), ("fp32@100", 384, 400),
    ],
)  # fmt: skip
def test_bytes_of_a_vector(text: str, dim: int, size: int) -> None:
    assert Variant.parse(text).bytes_per_vector(dim) == size


def test_a_grid() -> None:
    def texts(*args: list, **kwargs: str) -> list[str]:
        return [str(v) for v in grid(*args, **kwargs)]

    assert texts([], [], []) == ["fp32"]
    assert texts([], [], [], auto="bf16") == ["bf16"]
    assert texts(["auto", "int8", "fp32"], [], [], auto="bf16") == ["bf16", "int8", "fp32"]
    assert texts(["fp32", "fp32", "auto"], [], []) == ["fp32"]
    assert texts(["auto+binary", "auto@8"], [], [], auto="bf16") == ["bf16+binary", "bf16@8"]
    assert texts([], ["float32", "binary"], [8, 4]) == ["fp32@8", "fp32@4", "fp32+binary@8", "fp32+binary@4"]
    # one form is loaded once: its variants stand together
    assert texts(["fp32", "int8", "fp32+binary"], [], []) == ["fp32", "fp32+binary", "int8"]


def test_nothing_is_said_twice() -> None:
    with pytest.raises(UserError, match=r"'fp32\+binary' says what --embedding says"):
        grid(["fp32+binary"], ["int8"], [])
    with pytest.raises(UserError, match="'fp32@8' says what --truncate-dim says"):
        grid(["fp32@8"], [], [4])
    assert [str(v) for v in grid(["fp32@8"], ["int8"], [])] == ["fp32+int8@8"]


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    check_installed(["fp32", "int8", "int8-dynamic"])
    with pytest.raises(
        UserError, match=r"variant onnx-int8 needs onnxruntime and onnx: pip install 'instructor-eval\[onnx\]'"
    ):
        check_installed(["fp32", "onnx-int8"])
    with pytest.raises(UserError, match=r"openvino.*instructor-eval\[openvino\]"):
        check_installed(["openvino-int8"])


def test_a_missing_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_device(["fp32", "bf16", "fp16", "int8", "int8-dynamic", "int4-weight", "onnx-int8"], "cpu")
    for form in ("fp8", "int8-gpu"):
        with pytest.raises(UserError, match=f"variant {form} does not run on cpu: it needs a GPU"):
            check_device(["fp32", form], "cpu")
    for form in ("int8", "int8-dynamic", "onnx-int8"):
        with pytest.raises(UserError, match=f"variant {form} does not run on cuda:1: it needs --device cpu"):
            check_device([form], "cuda:1")
    import torch

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 6))
    check_device(["int8-gpu", "bf16"], "cuda")
    with pytest.raises(UserError, match=r"fp8 needs a GPU of compute capability 8\.9: cuda has 8\.6"):
        check_device(["fp8"], "cuda")


class Point:
    """An entry point of another package."""

    value = "other_package:FORM"

    def __init__(self, name: str, loaded: object) -> None:
        self.name, self.loaded = name, loaded

    def load(self) -> object:
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch):
    """`others(point, ...)`: what installed packages bring."""

    def bring(*points: Point) -> None:
        monkeypatch.setattr(
            plugins, "importlib", SimpleNamespace(metadata=SimpleNamespace(entry_points=lambda group: points))
        )
        plugins.found.cache_clear()

    yield bring
    monkeypatch.undo()
    plugins.found.cache_clear()


def test_a_form_of_another_package(others) -> None:
    form = Form("nf4", "their own", "other_package:build", extra="")
    others(Point("nf4", form), Point("fp32", Form("fp32", "not theirs to say", "other_package:build")))
    assert str(Variant.parse("nf4+binary")) == "nf4+binary"
    assert variants.form("nf4") is form
    assert variants.form("fp32") is FORMS["fp32"]


@pytest.mark.parametrize(
    ("loaded", "words"), [(ImportError("no libnf4"), "no libnf4"), ("a text", "no Form"), (FORMS["fp32"], "no Form")]
)
def test_a_form_that_cannot_be_loaded(others, loaded: object, words: str) -> None:
    others(Point("nf4", loaded))
    with pytest.raises(UserError, match=words):
        Variant.parse("nf4")


def test_no_entry_point_is_ours() -> None:
    assert not [p for p in importlib.metadata.entry_points(group="instructor_eval.forms") if p.name in FORMS]
