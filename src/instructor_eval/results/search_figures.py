"""Figures of a store's search in score files: put together over tasks, and in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_MEANS = ("recall", "exact_score", "loss")
_SUMS = ("build_seconds", "index_bytes", "documents")
_LARGEST = 1e18


def of_parts(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means of recall and scores, sums of time and bytes, and the rate at which all queries went through.

    Empty where a part was searched exactly; what one part does not say is None.
    """
    if not parts or not all(parts):
        return {}
    found: dict[str, Any] = {name: parts[0].get(name) for name in ("k", "library")}
    for name in (*_MEANS, *_SUMS):
        values = [v for part in parts if (v := number(part, name)) is not None]
        whole = len(values) == len(parts)
        found[name] = math.fsum(values) / (len(parts) if name in _MEANS else 1) if whole else None
    rates = [rate for part in parts if (rate := number(part, "queries_per_second") or 0) > 1 / _LARGEST]
    found["queries_per_second"] = len(parts) / math.fsum(1 / r for r in rates) if len(rates) == len(parts) else None
    return found


def number(search: Mapping[str, Any], name: str) -> float | None:
    """A figure of a score file, which anyone may have edited: None where it is no number that can be reckoned with."""
    value = search.get(name)
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST
    return float(value) if good and value is not None else None


def depth(search: Mapping[str, Any]) -> str:
    """The k of recall@k, as text."""
    k = number(search, "k")
    return "?" if k is None else f"{k:.0f}"


def phrases(search: Mapping[str, Any]) -> list[str]:
    """Recall, exact score, time, rate and size in a few words each; nothing where the search was exact."""
    shown: dict[str, Callable[[float], str]] = {
        "recall": lambda v: f"recall@{depth(search)} {v:.3f}",
        "exact_score": lambda v: f"exact search {100 * v:.2f}",
        "build_seconds": lambda v: f"index built in {v:,.1f} s",
        "queries_per_second": lambda v: f"{v:,.0f} queries/s",
        "index_bytes": lambda v: f"index {v / 1e6:,.1f} MB",
    }
    return [say(value) for name, say in shown.items() if (value := number(search, name)) is not None]
