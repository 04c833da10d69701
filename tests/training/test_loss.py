"""The loss and its gradients equal a plain loop over pairs, written from the authors' description."""

from __future__ import annotations

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch import Tensor

from instructor_eval.training.loss import contrastive_loss


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / (a.norm() * b.norm())


def looped(q: Tensor, p: Tensor, n: Tensor, owners: Tensor, temperature: float) -> Tensor:
    total = torch.zeros((), dtype=q.dtype)
    rows = len(q)
    for i in range(rows):
        seen = [cosine(q[i], p[i]), *(cosine(q[i], one) for one in n)]
        if i not in owners.tolist():
            seen += [cosine(q[i], p[j]) for j in range(rows) if j != i]
        back = [cosine(p[i], q[i]), *(cosine(p[i], q[j]) for j in range(rows) if j != i)]
        for scores in (torch.stack(seen) / temperature, torch.stack(back) / temperature):
            total = total - (scores[0] - torch.logsumexp(scores, 0)) / rows
    return total


@pytest.mark.parametrize("owners", [list(range(8)), [], [0, 3, 7], [5]])
@pytest.mark.parametrize("temperature", [0.01, 0.05, 1.0])
def test_loss_and_gradients_are_those_of_a_loop(owners: list[int], temperature: float) -> None:
    generator = torch.Generator().manual_seed(1)
    shapes = (8, 8, len(owners))
    # vectors of one batch lie close together, as a model's do
    made = [torch.ones(k, 12) * 2 + torch.randn(k, 12, generator=generator) for k in shapes]
    ours, theirs = ([x.clone().requires_grad_() for x in made] for _ in range(2))
    own = torch.tensor(owners, dtype=torch.long)
    found = contrastive_loss(*ours, own, temperature)
    wanted = looped(*(x.double() for x in theirs), own, temperature)
    assert found.item() == pytest.approx(wanted.item(), abs=1e-6, rel=1e-6)
    for x, y in zip(ours, theirs, strict=True):
        grads = torch.autograd.grad(found, x, retain_graph=True, materialize_grads=True)[0]
        due = torch.autograd.grad(wanted, y, retain_graph=True, materialize_grads=True)[0]
        largest = due.abs().max().item() if due.numel() else 1.0
        torch.testing.assert_close(grads / max(largest, 1.0), due / max(largest, 1.0), atol=1e-6, rtol=1e-5)


def test_other_positives_are_no_negatives_of_a_row_with_its_own() -> None:
    q = torch.eye(3)
    near = torch.tensor([[1.0, 0, 0], [1.0, 0.1, 0], [0, 0, 1.0]])  # the second positive is nearer to the first query
    own = torch.arange(3)
    apart = contrastive_loss(q, near, -q, own, 0.01)
    moved = contrastive_loss(q, near, -q + 0.0, own, 0.01)
    assert apart.item() == moved.item()
    both = contrastive_loss(q, near, q[:0], own[:0], 0.01)
    assert both.item() > apart.item()


def test_pairs_have_the_loss_of_sentence_transformers_in_two_directions() -> None:
    """Theirs is the mean of both directions, the authors' the sum."""
    theirs = MultipleNegativesRankingLoss(
        model=None, scale=20.0, directions=("query_to_doc", "doc_to_query"), partition_mode="per_direction"
    )
    q, p = torch.randn(2, 16, 8, generator=torch.Generator().manual_seed(2))
    wanted = theirs.compute_loss_from_embeddings([q, p], labels=None)
    found = contrastive_loss(q, p, q[:0], torch.zeros(0, dtype=torch.long), 1 / 20.0)
    assert found.item() == pytest.approx(2 * wanted.item(), abs=1e-5)
