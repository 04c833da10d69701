"""Batches of similar length under a budget of tokens, padding included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def token_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices of texts, longest first, in batches whose padded size (rows x longest) stays within `budget`.

    A text longer than the budget makes a batch of its own. Longest first: if memory does not suffice, the first
    batch says so.
    """
    batch: list[int] = []
    longest = 0
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and longest * (len(batch) + 1) > budget:
            yield batch
            batch = []
        if not batch:
            longest = max(1, lengths[i])
        batch.append(i)
    if batch:
        yield batch
