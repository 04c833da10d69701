"""Evaluate instruction-tuned text embedding models.

The names below are the library's public face. They load on first use, so that importing the package, or running a
command that only reads results, never imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from instructor_eval.models.library import load_encoder

    __version__: str

__all__ = ["__version__", "load_encoder"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name == "load_encoder":
        from instructor_eval.models.library import load_encoder

        return load_encoder
    if name == "__version__":
        import importlib.metadata

        return importlib.metadata.version("instructor-eval")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
