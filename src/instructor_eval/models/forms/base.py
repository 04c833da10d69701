"""The contract of a form: token ids in, hidden states out, and an account of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from instructor_eval.models.packed import Packed


@dataclass(frozen=True)
class Options:
    """What a form may be asked besides."""

    trust_remote_code: bool = False
    compiled: bool = False


@dataclass(frozen=True)
class Sizes:
    """Bytes that the weights of a form take."""

    resident: int
    """In memory, as they are computed with; each tensor counted once."""
    file: int
    """In a file of this form."""


class Hidden(Protocol):
    """A transformer in one numeric form."""

    align: int
    """How it wants rows laid out (`packed.pack`): 0 end to end, n padded to one width that is a multiple of n."""
    alone: bool
    """Whether a row's numbers depend on the other rows of its batch: each text is then a batch of its own."""

    def __call__(self, batch: Packed) -> Tensor:
        """Last hidden states [tokens, width], of any float type."""
        ...

    def sizes(self) -> Sizes:
        """What the weights take; those of pooling's Dense layers are not part of it."""
        ...

    def proof(self) -> str:
        """What runs, as one line read off the made network itself ("72 of 72 products in int8, kernel avx2").

        Raises:
            RuntimeError: it is not the form that was asked for.
        """
        ...
