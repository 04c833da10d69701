"""Batches of similar length under a budget of tokens, padding included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def longest_first(lengths: Sequence[int]) -> list[int]:
    """Indices by falling length; equal ones keep their order."""
    return sorted(range(len(lengths)), key=lambda i: -lengths[i])


def token_batches(
    lengths: Sequence[int],
    budget: int,
    *,
    order: Iterable[int] | None = None,
    most: int | None = None,
    same: bool = False,
) -> Iterator[list[int]]:
    """Indices of texts, longest first, in batches whose padded size (rows x longest) stays within `budget`.

    A text longer than the budget makes a batch of its own. Longest first: if memory does not suffice, the first
    batch says so.

    Args:
        lengths: Tokens of each text.
        budget: Tokens in a batch, padding included.
        order: Indices by falling length, where they are at hand or only some are wanted.
        most: Texts in a batch.
        same: Only texts of one length share a batch.
    """
    batch: list[int] = []
    longest = 0
    for i in longest_first(lengths) if order is None else order:
        other = same and batch and lengths[i] != lengths[batch[0]]
        if batch and (other or longest * (len(batch) + 1) > budget or len(batch) == most):
            yield batch
            batch = []
        if not batch:
            longest = max(1, lengths[i])
        batch.append(i)
    if batch:
        yield batch
