"""Evaluate instruction-tuned text embedding models.

The names below are the library's public face. They load on first use, so that importing the package, or running a
command that only reads results, never imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from instructor_eval.encoder.load import load_encoder

__version__ = "0.1.0"
__all__ = ["__version__", "load_encoder"]


def __getattr__(name: str) -> Any:
    """Import `load_encoder` on first use (PEP 562)."""
    if name == "load_encoder":
        from instructor_eval.encoder.load import load_encoder

        return load_encoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
