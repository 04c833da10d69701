"""Parts of the towers in other numeric forms."""

import pytest
import torch

from instructor_eval.models.images.forms import SelfAttention
from instructor_eval.models.packed import Linear


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("mask", ["none", "added", "forbidden", "by head"])
def test_attention_of_products_equals_torchs(batch_first: bool, mask: str) -> None:
    torch.manual_seed(1)
    given = torch.nn.MultiheadAttention(16, 4, batch_first=batch_first).eval()
    x = torch.randn(3, 5, 16) if batch_first else torch.randn(5, 3, 16)
    forbidden = torch.ones(5, 5, dtype=torch.bool).triu(1)
    masks = {
        "none": None,
        "forbidden": forbidden,
        "added": torch.zeros(5, 5).masked_fill(forbidden, float("-inf")),
        "by head": torch.randn(3 * 4, 5, 5),
    }
    with torch.inference_mode():
        wanted, _ = given(x, x, x, need_weights=False, attn_mask=masks[mask])
        found, _ = SelfAttention(given, Linear)(x, x, x, need_weights=False, attn_mask=masks[mask])
    assert torch.allclose(found, wanted, atol=1e-5)
