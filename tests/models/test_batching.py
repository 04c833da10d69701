"""Batches under a budget of tokens."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.models.batches import longest_first, token_batches

LENGTHS = st.lists(st.integers(0, 600), max_size=60)
BUDGETS = st.integers(1, 3000)


@given(LENGTHS, BUDGETS)
def test_every_text_once_within_the_budget_longest_first(lengths: list[int], budget: int) -> None:
    batches = list(token_batches(lengths, budget))
    assert all(batches)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = len(batch) * max(lengths[i] for i in batch)
        assert padded <= budget or len(batch) == 1
    in_order = [lengths[i] for batch in batches for i in batch]
    assert in_order == sorted(lengths, reverse=True)


@given(LENGTHS, BUDGETS)
def test_no_batch_could_take_the_next_text(lengths: list[int], budget: int) -> None:
    batches = list(token_batches(lengths, budget))
    for batch, following in pairwise(batches):
        longest = max(1, *(lengths[i] for i in batch), lengths[following[0]])
        assert longest * (len(batch) + 1) > budget


@pytest.mark.parametrize(
    ("lengths", "budget", "batches"),
    [
        ([], 10, []),
        ([3], 1, [[0]]),
        ([1, 9, 5, 9], 18, [[1, 3], [2, 0]]),
        ([2, 2, 2, 2, 2], 4, [[0, 1], [2, 3], [4]]),
        ([50, 1, 1], 10, [[0], [1, 2]]),
    ],
)
def test_examples(lengths: list[int], budget: int, batches: list[list[int]]) -> None:
    assert list(token_batches(lengths, budget)) == batches


@given(LENGTHS, BUDGETS, st.integers(1, 9))
def test_no_batch_has_more_texts_than_wanted(lengths: list[int], budget: int, most: int) -> None:
    batches = list(token_batches(lengths, budget, most=most))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert max(map(len, batches), default=0) <= most
    for batch, following in pairwise(batches):
        longest = max(1, *(lengths[i] for i in batch), lengths[following[0]])
        assert len(batch) == most or longest * (len(batch) + 1) > budget


@given(LENGTHS, BUDGETS, st.integers(0, 60))
def test_what_is_left_is_batched_alone(lengths: list[int], budget: int, done: int) -> None:
    rest = longest_first(lengths)[done:]
    batches = list(token_batches(lengths, budget, order=rest))
    assert [i for batch in batches for i in batch] == rest


def test_equal_lengths_keep_their_order() -> None:
    assert longest_first([2, 5, 2, 5, 0]) == [1, 3, 0, 2, 4]
