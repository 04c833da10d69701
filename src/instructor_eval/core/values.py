"""Plain values that every floor uses: vectors, items, and the unified instruction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:  # reading commands need no numpy
    import numpy as np
    import numpy.typing as npt

    Vectors: TypeAlias = npt.NDArray[np.float32]
else:
    Vectors = Any
Items = dict[str, list[Any]]
"""Per-item evidence, by column; every column has one value an item, and there is always a column `id`."""


@dataclass(frozen=True)
class Template:
    """Fills the unified instruction "Represent the <domain> <text type> for <objective>: " (paper, 2.3)."""

    domain: str = ""
    roles: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Role -> (text type, objective); an empty objective leaves the "for ..." out."""

    def instruction(self, role: str) -> str:
        """Return the template's instruction for `role`, ending in a colon and a space as the authors' do."""
        text_type, objective = self.roles[role]
        what = " ".join(part for part in (self.domain, text_type) if part)
        goal = f" for {objective}" if objective else ""
        return f"Represent the {what}{goal}: "


FAMILIES = ("instructor", "prefix", "plain")
