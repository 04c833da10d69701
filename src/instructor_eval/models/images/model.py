"""A model of two towers before anything is computed: read from its files, without torch."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from instructor_eval.core.errors import UserError
from instructor_eval.models.description import ModelDescription
from instructor_eval.models.folder.files import ARCHIVE, check_transformer_weights, content_hash
from instructor_eval.models.folder.safetensors_file import check_safetensors
from instructor_eval.models.images.preprocessing import Preprocessing
from instructor_eval.models.variant import form, form_of

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMS = ("fp32", "bf16", "fp16", "int8", "int8-weight", "int4-weight", "int8-dynamic")
"""Numeric forms of both towers."""
PLACE = "{}"
"""Where an instruction has the text: "a photo of a {}."; without, the text comes after it."""


class Towers(Protocol):
    """A loaded model: its network, and vectors of prepared texts and pictures."""

    network: nn.Module

    def tokens(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """Return the tokens of texts, cut at the model's maximum and padded as it was trained: int64 [n, length]."""
        ...

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special ones included, not truncated if that can be known."""
        ...

    def of_texts(self, tokens: Mapping[str, Tensor]) -> Tensor:
        """Return the vectors of tokenised texts [n, dim]."""
        ...

    def of_pictures(self, pixels: Tensor) -> Tensor:
        """Return the vectors of prepared pictures [n, 3, height, width]: [n, dim]."""
        ...


@dataclass(frozen=True, kw_only=True)
class ImageModel(ModelDescription):
    """A model that embeds texts and pictures."""

    family: str = "prefix"
    family_rule: str = "a model of texts and pictures: an instruction has the text at {}, or comes before it"
    prompts: Mapping[str, str] = field(default_factory=lambda: {"*": ""})
    prompts_rule: str = "a model of texts and pictures has no prompts of its own"
    normalize: bool = False
    preprocessing: Preprocessing
    width: int
    """Length of its vectors."""
    parts: Mapping[str, Any] = field(repr=False)
    """Everything else that changes a vector: weights, configuration and vocabulary by content."""
    libraries: tuple[str, ...] = ()
    """The packages that compute; a score files their versions."""

    reads_pictures = True
    default_prompt = ""

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.width

    @property
    def about(self) -> str:
        """Length of the vectors, size of pictures and maximum length of texts, in one line."""
        size = f"{self.preprocessing.height} x {self.preprocessing.width}"
        tokens = f"texts of at most {self.max_length:,} tokens"
        return f"texts and pictures, {self.dim} values, pictures of {size}, {tokens}, by {self.libraries[0]}"

    @abstractmethod
    def load(self) -> Towers:
        """Load the network on the CPU in float32.

        Raises:
            UserError: its files do not fit each other, or a library fails on them.
        """

    def check_form(self, *, compiled: bool = False) -> None:
        """Refuse numeric forms that the towers do not run in.

        Raises:
            UserError: this is one of them, or the forward pass is to be compiled.
        """
        if self.form not in FORMS:
            raise UserError(
                f"variant {self.form} is not possible for {self.name}, which {self.libraries[0]} computes: "
                f"use --variant {', '.join(FORMS)}"
            )
        if compiled:
            raise UserError(f"--compile: {self.name} is computed by {self.libraries[0]}: leave it out")

    def input_string(self, instruction: str, text: str) -> str:
        """Return the text under an instruction: at its `{}`, or after it."""
        return instruction.replace(PLACE, text, 1) if PLACE in instruction else instruction + text

    def _hash(self, variant: str) -> str:
        parts = {"version": 1, "pixels": self.preprocessing.describe(), "variant": variant, **self.parts}
        recipe = form(form_of(variant)).recipe
        if recipe:  # the same form may mean other numbers in a later release
            parts["recipe"] = recipe
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def with_family(family: str | None, name: str) -> dict[str, Any]:
    """Return the fields of a family that the user asks for.

    Raises:
        UserError: it is instructor, which leaves the instruction out of pooling.
    """
    if family == "instructor":
        raise UserError(f"model {name}: family instructor is for INSTRUCTOR models: use --family prefix or plain")
    return {"family": family, "family_rule": "--family"} if family else {}


def weights_of(folder: Path, name: str, *, preferred: str = "model.safetensors") -> list[Path]:
    """Return the files of weights of a folder: safetensors, or else the torch archive of old uploads.

    Raises:
        UserError: there are none, or they are cut short; an archive is checked when it is read.
    """
    if (folder / preferred).exists():
        check_safetensors(folder / preferred, name)
        return [folder / preferred]
    if (folder / ARCHIVE).exists() and not list(folder.glob("*.safetensors")):
        return [folder / ARCHIVE]
    check_transformer_weights(folder, name)
    return sorted(folder.glob("*.safetensors"))


def read_state(files: Sequence[Path], name: str) -> dict[str, Tensor]:
    """Return the tensors of weights; of a torch archive without unpickling it.

    Raises:
        UserError: a file is damaged, or has anything but plain tensors.
    """
    import torch
    from safetensors.torch import load_file

    from instructor_eval.core.outside import as_user_error
    from instructor_eval.models.folder.weights import read_tensors

    state: dict[str, Tensor] = {}
    for file in files:
        if file.suffix == ".safetensors":
            with as_user_error(f"model {name}: {file} cannot be read", "copy or download it again"):
                state |= load_file(file)
        elif file.suffix in (".bin", ".pt", ".pth"):
            state |= {key: torch.from_numpy(array.copy()) for key, array in read_tensors(file).items()}
        else:
            raise of_unknown_kind(file, name)
    return state


def of_unknown_kind(file: Path, name: str) -> UserError:
    """Return the error for a file of weights in neither layout."""
    return UserError(
        f"model {name}: weights are read from .safetensors, or a torch archive (.bin, .pt, .pth), not from "
        f"{file.name}: convert them"
    )


def hashes(files: Sequence[Path]) -> list[list[str]]:
    """Return name and content hash of each file."""
    return [[file.name, content_hash(file)] for file in files]
