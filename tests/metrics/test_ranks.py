from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from instructor_eval.metrics.ranks import ranks, weighted_ranks

# Few values, so that ties are the rule; and infinities, which are values like others.
VALUES = st.lists(st.integers(-5, 5).map(lambda i: i / 4) | st.sampled_from([-0.0, np.inf, -np.inf]), max_size=30)


@given(VALUES)
def test_they_are_scipys(values: list[float]) -> None:
    assert ranks(values).tolist() == rankdata(values).tolist()
    assert np.isnan(ranks([*values, np.nan])).all()


@given(VALUES.filter(len), st.randoms(use_true_random=False))
def test_ranks_of_drawn_items_are_those_of_the_items_repeated(values: list[float], random) -> None:
    counts = np.array([random.randrange(4) for _ in values], dtype=np.float64)
    found = weighted_ranks(values)(np.stack([np.ones(len(values)), counts], axis=1))
    assert found[:, 0].tolist() == rankdata(values).tolist()
    drawn = np.repeat(np.arange(len(values)), counts.astype(int))
    expected = dict(zip(drawn.tolist(), rankdata(np.asarray(values)[drawn]).tolist(), strict=True))
    assert {place: found[place, 1] for place in expected} == expected


def test_by_hand() -> None:
    assert ranks([0.5, 0.1, 0.5]) == pytest.approx([2.5, 1, 2.5])
