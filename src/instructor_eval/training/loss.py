"""The authors' loss: a query finds its positive among all negatives, and a positive its query among all queries."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def contrastive_loss(
    queries: Tensor, positives: Tensor, negatives: Tensor, owners: Tensor, temperature: float
) -> Tensor:
    """Return InfoNCE in two directions, the sum of both means.

    For query i: cross entropy of [cos(q_i, p_i), cos(q_i, n_1), ...] / T, the negatives of the whole batch and no other
    positives; a row without a negative of its own takes the batch's other positives beside them. For positive i:
    cross entropy of [cos(p_i, q_i), cos(p_i, q_j) for j != i] / T.

    Args:
        queries: Float [rows, dim], of any length.
        positives: Float [rows, dim].
        negatives: Float [k, dim], k up to rows.
        owners: int64 [k]: the row of each negative.
        temperature: T.

    Source: xlang-ai/instructor-embedding, train.py at 9a9742c; Su et al. 2023, section 2.2.
    """
    q, p, n = (functional.normalize(x.float(), dim=1) for x in (queries, positives, negatives))
    own = torch.arange(len(q), device=q.device)
    near = q @ p.T / temperature
    without = torch.ones(len(q), dtype=torch.bool, device=q.device).index_fill(0, owners, value=False)
    counted = torch.eye(len(q), dtype=torch.bool, device=q.device) | without[:, None]
    forward = torch.cat([near.masked_fill(~counted, float("-inf")), q @ n.T / temperature], dim=1)
    return functional.cross_entropy(forward, own) + functional.cross_entropy(near.T, own)
