"""The contract of a numeric form: token ids in, hidden states out, sizes and a proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from instructor_eval.models.packed import Packed


@dataclass(frozen=True)
class Options:
    """Options for building a form."""

    trust_remote_code: bool = False
    compiled: bool = False


@dataclass(frozen=True)
class Sizes:
    """Bytes of a form's weights."""

    resident: int
    """In memory while computing; each tensor counted once."""
    file: int
    """In a file of this form."""


class Hidden(Protocol):
    """A transformer in one numeric form."""

    align: int
    """Layout of rows (`packed.pack`): 0 means end to end, n means padded to one width, a multiple of n."""
    alone: bool
    """True if a row's numbers depend on the other rows of its batch: then each text gets its own batch."""

    def __call__(self, batch: Packed) -> Tensor:
        """Return the last hidden states [tokens, width], of any float type."""
        ...

    def sizes(self) -> Sizes:
        """Return the bytes of the weights, without the Dense layers after pooling."""
        ...

    def proof(self) -> str:
        """Return one line about what runs, read off the network itself ("72 of 72 products in int8, kernel avx2").

        Raises:
            RuntimeError: it is not the form that was asked for.
        """
        ...
