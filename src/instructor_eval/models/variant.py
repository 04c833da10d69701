"""Variants: one numeric form of a model with the precision of its vectors. Plain values; no torch here.

A variant has a canonical text, `form[+embedding][@dim]`: `fp32`, `int8-dynamic`, `bf16+binary@256`. That text is the
command line's syntax, part of the fingerprint, and the name in every table.

Forms are looked up in `FORMS`, then among the entry points `instructor_eval.forms` of installed packages; each names a
`Form`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from instructor_eval.core import libraries, plugins
from instructor_eval.core.errors import UserError, did_you_mean

BASELINE = "fp32"
EMBEDDINGS = {
    "float32": 32,
    "float16": 16,
    "int8": 8,
    "uint8": 8,
    "binary": 1,
    "ubinary": 1,
    "binary-rescore": 1,
}
"""Precisions of vectors in an index, with the bits that a value takes."""
_DIGITS = 9  # of a number of dimensions


@dataclass(frozen=True)
class Form:
    """A numeric form of the network, and what it takes to run it."""

    name: str
    what: str
    """One line for `evaluate variants`."""
    build: str
    """`module:function` that builds it: (checkpoint, device, options) -> `models.forms.base.Hidden`."""
    devices: tuple[str, ...] = ("cpu", "cuda")
    modules: tuple[str, ...] = ()
    """Modules that must be installed beside the extra `run`."""
    extra: str = ""
    """The extra that brings them."""
    capability: tuple[int, int] = (0, 0)
    """On a GPU: the least CUDA compute capability."""
    compiles: bool = False
    """True if `--compile` goes with it."""
    recipe: int = 0
    """A number that goes up when the same name comes to mean other numbers: part of the fingerprint unless 0."""


FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form("fp32", "float32: the baseline", "instructor_eval.models.forms.float:build", compiles=True),
        Form("bf16", "bfloat16 weights and products", "instructor_eval.models.forms.float:build", compiles=True),
        Form("fp16", "float16 weights and products; T5 may overflow, and is then refused",
             "instructor_eval.models.forms.float:build", compiles=True),
        Form("int8", "ours: 7-bit integer products, a scale for each channel and each token; int8 embeddings",
             "instructor_eval.models.forms.int8:build", devices=("cpu",), recipe=1),
        Form("int8-dynamic", "torch.quantize_dynamic of every Linear, one scale a matrix (the one-line recipe)",
             "instructor_eval.models.forms.torch_dynamic:build", devices=("cpu",), recipe=1),
        Form("int8-weight", "weights and embeddings in int8, a scale a channel; float32 products",
             "instructor_eval.models.forms.int8:build", recipe=1),
        Form("int4-weight", "weights in int4, a scale for each 32; embeddings in int8; float32 products",
             "instructor_eval.models.forms.int8:build", recipe=1),
        Form("int8-gpu", "as int8, bfloat16 between the products",
             "instructor_eval.models.forms.int8:build", devices=("cuda",), capability=(8, 0), recipe=1),
        Form("fp8", "float8 (e4m3) products, a scale for each channel and each token; bfloat16 between them",
             "instructor_eval.models.forms.int8:build", devices=("cuda",), capability=(8, 9), recipe=1),
        Form("onnx-int8", "ONNX Runtime, dynamic int8: a scale a channel, one for all activations; int8 embeddings",
             "instructor_eval.models.forms.onnx_runtime:build", devices=("cpu",),
             modules=("onnxruntime", "onnx"), extra="onnx", recipe=1),
        Form("openvino-int8", "OpenVINO: weights and embeddings in int8, a scale a channel or row; float32 products",
             "instructor_eval.models.forms.openvino:build", devices=("cpu",),
             modules=("openvino", "onnx"), extra="openvino", recipe=1),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One numeric form of a model and of its vectors."""

    form: str = BASELINE
    embedding: str = "float32"
    dim: int | None = None
    """Vectors are cut to their first `dim` values; None: they are not cut."""

    def __str__(self) -> str:
        plus = "" if self.embedding == "float32" else f"+{self.embedding}"
        return f"{self.form}{plus}" + ("" if self.dim is None else f"@{self.dim}")

    @classmethod
    def parse(cls, text: str, *, auto: str = "") -> Variant:
        """Parse `form[+embedding][@dim]`; `auto` is the form that the name `auto` stands for.

        Raises:
            UserError: an unknown form or embedding, or a dim that is no whole number of at least 1.
        """
        rest, at, dim = text.strip().partition("@")
        name, plus, embedding = rest.partition("+")
        if name == "auto" and auto:
            name = auto
        if at and not (dim.isascii() and dim.isdigit() and len(dim) <= _DIGITS and int(dim) >= 1):
            raise UserError(
                f"variant '{text[:60]}': '{dim[:20]}' is not a number of dimensions: write {rest or BASELINE}@256"
            )
        form(name, of=text)
        return cls(name, parse_embedding(embedding) if plus else "float32", int(dim) if at else None)

    @property
    def dtype_of_vectors(self) -> str:
        """The embedding's name without rescoring, which is a way of searching and not of storing."""
        return self.embedding.removesuffix("-rescore")

    def bytes_per_vector(self, dim: int) -> int:
        """Return the bytes that an index stores for one text whose full vector has `dim` values."""
        return -(-(self.dim or dim) * EMBEDDINGS[self.embedding] // 8)


FP32 = Variant()
"""The baseline variant."""


def grid(
    forms: Sequence[str], embeddings: Sequence[str], dims: Sequence[int], *, auto: str = BASELINE
) -> list[Variant]:
    """Return every form with every embedding and every dim, grouped by form, without repeats.

    Args:
        forms: Texts of forms or of whole variants; `auto`, or none at all, is the form of that name.
        embeddings: Names of `EMBEDDINGS`; none: the texts decide.
        dims: Numbers of dimensions; none: the texts decide.
        auto: The form that the device prefers.

    Raises:
        UserError: a text cannot be read, or names an embedding or dim that a list names too.
    """
    found: dict[Variant, None] = {}
    for text in forms or ["auto"]:
        given = Variant.parse(text, auto=auto)
        for named, listed, flag in (("+" in text, embeddings, "--embedding"), ("@" in text, dims, "--truncate-dim")):
            if named and listed:
                raise UserError(f"variant '{text}' says what {flag} says too: leave one of them out")
        lengths: Sequence[int | None] = dims or [given.dim]
        for embedding in embeddings or [given.embedding]:
            found |= dict.fromkeys(Variant(given.form, parse_embedding(embedding), dim) for dim in lengths)
    order = list(dict.fromkeys(v.form for v in found))
    return sorted(found, key=lambda v: order.index(v.form))


def parse_embedding(text: str) -> str:
    """Check that a text is a name of `EMBEDDINGS`, and return it.

    Raises:
        UserError: it is not.
    """
    if text not in EMBEDDINGS:
        hint = did_you_mean(text, EMBEDDINGS) or f": give one of {', '.join(EMBEDDINGS)}"
        raise UserError(f"unknown embedding '{text}'{hint}")
    return text


def variant_label(variant: str, search: str) -> str:
    """Return the label of one row of a model: the variant, and after a slash the search unless it is exact."""
    return f"{variant}/{search}" if search else variant


def form_of(text: str) -> str:
    """Return the name of the form in the canonical text of a variant."""
    return re.split("[+@]", text)[0]


def canonical(text: str) -> str:
    """Return the canonical text of a variant, or the text itself if it names a form that is not known here."""
    try:
        return str(Variant.parse(text))
    except UserError:
        return text


def known_forms() -> dict[str, Form]:
    """Return all forms by name: the built-in ones, then those of installed packages.

    Raises:
        UserError: one of those cannot be loaded.
    """
    return FORMS | {name: _of_plugin(name) for name in plugins.found(plugins.FORMS) if name not in FORMS}


def form(name: str, *, of: str = "") -> Form:
    """Return the form of that name; no other is loaded.

    Raises:
        UserError: there is none, or it cannot be loaded.
    """
    if name in FORMS:
        return FORMS[name]
    others = plugins.found(plugins.FORMS)
    if name in others:
        return _of_plugin(name)
    known = [*FORMS, *others]
    hint = did_you_mean(name, known) or f": forms are {', '.join(known)}"
    raise UserError(f"unknown variant '{of or name}'{hint}")


def _of_plugin(name: str) -> Form:
    loaded: Form = plugins.found(plugins.FORMS)[name].load(
        lambda value: isinstance(value, Form) and value.name == name, "Form of that name"
    )
    return loaded


def check_installed(names: Sequence[str]) -> None:
    """Check that the libraries that these forms need are installed; none of them is imported.

    Raises:
        UserError: one is not; the line names the extra.
    """
    for name in names:
        wanted = form(name)
        libraries.require(wanted.modules, wanted.extra, f"variant {name}")


def check_device(names: Sequence[str], device: str, *, here: bool = True) -> None:
    """Check that these forms run on `device`, which is cpu, cuda or cuda:1; not `here`: only its kind is known.

    Raises:
        UserError: one does not; the line names the device it needs.
    """
    kind = device.partition(":")[0]
    for name in names:
        wanted = form(name)
        if kind not in wanted.devices:
            where = "a GPU (--device cuda)" if wanted.devices == ("cuda",) else "--device cpu"
            raise UserError(f"variant {name} does not run on {device}: it needs {where}")
        if here and kind == "cuda" and wanted.capability > (0, 0):
            import torch

            has = torch.cuda.get_device_capability(device)
            if has < wanted.capability:
                need, got = (".".join(map(str, c)) for c in (wanted.capability, has))
                raise UserError(f"variant {name} needs a GPU of compute capability {need}: {device} has {got}")
