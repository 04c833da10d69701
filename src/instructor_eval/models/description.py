"""A model before anything is computed: name, length of vectors and fingerprint, in a folder or behind a server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from instructor_eval.core.errors import one_line
from instructor_eval.models.variant import BASELINE, Variant, form_of

TRAINED_ON = "trained on "
"""Begins the note of a model whose own record names its training data."""


def trained_on(file: str, sha256: str) -> str:
    """Return the note of a model that was trained on a file of this name and hash."""
    return f"{TRAINED_ON}{one_line(file)[:200]} (SHA-256 {sha256[:64]})"


@dataclass(frozen=True, kw_only=True)
class ModelDescription(ABC):
    """A model in one variant, described."""

    name: str
    revision: str
    family: str
    family_rule: str
    prompts: Mapping[str, str]
    prompts_rule: str
    normalize: bool
    """True if its vectors have length 1."""
    max_length: int
    """Tokens of a text that it reads; 0: not known."""
    variant: str = "fp32"
    """Canonical text of the variant: numeric form and precision of the vectors (`models/variant.py`)."""
    stored: str = "float32"
    """Type of the vectors in the cache; float16 rounds them when they are computed, too."""

    reads_pictures = False
    """True if it embeds pictures beside texts."""

    @property
    def form(self) -> str:
        """The numeric form of the transformer."""
        return form_of(self.variant)

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of the vectors."""

    @property
    def about(self) -> str:
        """Length of the vectors and maximum length, in one line."""
        limit = f"at most {self.max_length:,} tokens" if self.max_length else "maximum length not known"
        return f"{self.dim} values, {limit}, computed where it is served"

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks that a reader of its scores needs."""
        return ()

    @property
    def card_name(self) -> str:
        """The name under which task cards list instructions for it."""
        return self.name

    @cached_property
    def fingerprint(self) -> str:
        """Hash (16 hex digits) of everything that changes a vector as tasks see it."""
        return self._hash(self.variant)

    @cached_property
    def cached_fingerprint(self) -> str:
        """The same for vectors in the cache, before they are cut or rounded to an index's precision.

        All precisions of one form are made from the same vectors; two forms share nothing.
        """
        return self._hash(self.form if self.stored == "float32" else f"{self.form}+{self.stored}")

    @abstractmethod
    def _hash(self, variant: str) -> str:
        """Return a hash of everything that changes a vector in that variant."""

    def describe(self) -> dict[str, Any]:
        """Return the model's part of a score file."""
        return {
            "name": self.name,
            "revision": self.revision,
            "family": self.family,
            "family_rule": self.family_rule,
            "fingerprint": self.fingerprint,
            "base_fingerprint": self._hash(BASELINE),
            "variant": self.variant,
            "dim": Variant.parse(self.variant).dim or self.dim,
            "max_length": self.max_length,
        }
