"""Models without a checkpoint folder: behind an API, at a hosted provider, in mteb's registry."""

from __future__ import annotations

from collections.abc import Mapping


def usage_words(served: Mapping[str, float]) -> list[str]:
    """Return a score's use of its model's server in words: `12 requests`, `2,345 tokens`, `0.0012 USD`."""
    return [f"{n:.2g} USD" if name == "usd" else f"{n:,.0f} {name}" for name, n in served.items() if n]
