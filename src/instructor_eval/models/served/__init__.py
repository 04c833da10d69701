"""Models that are no checkpoint folders, by kind: behind an API, at a hosted provider, in mteb's registry."""

from __future__ import annotations

from collections.abc import Mapping


def used(served: Mapping[str, float]) -> list[str]:
    """What a score says of its model's server, for people: `12 requests`, `2,345 tokens`, `0.0012 USD`."""
    return [f"{n:.2g} USD" if name == "usd" else f"{n:,.0f} {name}" for name, n in served.items() if n]
