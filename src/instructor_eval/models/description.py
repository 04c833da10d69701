"""What a run knows of a model before it computes anything: a folder of files, or what stands behind a server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from instructor_eval.models.variant import BASELINE, Variant, form_of


@dataclass(frozen=True, kw_only=True)
class Described(ABC):
    """A model in one variant, described."""

    name: str
    revision: str
    family: str
    family_rule: str
    prompts: Mapping[str, str]
    prompts_rule: str
    normalize: bool
    """Whether its vectors have length 1."""
    max_length: int
    """Tokens that it reads; 0: not known."""
    variant: str = "fp32"
    """Canonical text of the variant: the numeric form, and what vectors are kept as (`models/variant.py`)."""
    stored: str = "float32"
    """What the cache keeps vectors as; float16 rounds them when they are computed, too."""

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
        """Length of the vectors, maximum length and who computes, in one line."""
        limit = f"at most {self.max_length:,} tokens" if self.max_length else "maximum length not known"
        return f"{self.dim} values, {limit}, computed where it is served"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its scores must know."""
        return ()

    @property
    def card_name(self) -> str:
        """The name under which task cards may have instructions for it."""
        return self.name

    @cached_property
    def fingerprint(self) -> str:
        """Hash (16 hex digits) of everything that changes a vector as tasks see it."""
        return self._hash(self.variant)

    @cached_property
    def cached_fingerprint(self) -> str:
        """The same, of a vector as the cache keeps it: before it is cut or rounded to what an index would hold.

        All precisions of one form are made of the same vectors; forms share nothing.
        """
        return self._hash(self.form if self.stored == "float32" else f"{self.form}+{self.stored}")

    @abstractmethod
    def _hash(self, variant: str) -> str:
        """Hash of everything that changes a vector in that variant."""

    def describe(self) -> dict[str, Any]:
        """What a score file says of the model."""
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
