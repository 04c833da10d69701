from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.metrics.classification import accuracy


def test_accuracy_is_the_mean_over_the_draws() -> None:
    found = accuracy({"gold": ["a", "b", "a"], "predictions": [["a", "b"], ["b", "b"], ["b", "b"]]})
    assert found == pytest.approx((2 / 3 + 1 / 3) / 2, abs=1e-15)
    assert accuracy({"gold": [1, 2], "predictions": [[1], [2]]}) == 1.0


@given(st.integers(1, 12), st.integers(1, 5), st.randoms(use_true_random=False))
def test_accuracy_by_counting(n: int, draws: int, random) -> None:
    gold = [random.randrange(3) for _ in range(n)]
    predictions = [[random.randrange(3) for _ in range(draws)] for _ in range(n)]
    per_draw = [sum(p[k] == g for g, p in zip(gold, predictions, strict=True)) / n for k in range(draws)]
    assert accuracy({"gold": gold, "predictions": predictions}) == pytest.approx(sum(per_draw) / draws, abs=1e-12)


def test_of_a_baselines_items_it_is_the_mean_of_each_items_correctness() -> None:
    assert accuracy({"gold": ["a", "b"], "value": [0.5, 0.75]}) == 0.625
