"""Rankings and the choice of demonstrations, against plain computations; the baselines; what cannot be selected by."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.prompts.selection import Ranking, by_bm25, by_cosine, by_random, choose, parse_selection
from instructor_eval.tasks.task import Selection

RANDOM = np.random.default_rng(3)
POOL = RANDOM.normal(1.0, 1.0, (40, 8)).astype(np.float32)
TEST = RANDOM.normal(0.5, 1.0, (6, 8)).astype(np.float32)


@pytest.mark.parametrize("centre", ["both", "pool", "none"])
def test_cosine_of_centred_vectors(centre: str) -> None:
    pool, test = POOL.astype(float), TEST.astype(float)
    if centre != "none":
        pool = pool - pool.mean(0)
    if centre == "both":
        test = test - test.mean(0)
    rankings = list(by_cosine(POOL, TEST, centre))
    assert len(rankings) == len(TEST)
    for t, ranking in zip(test, rankings, strict=True):
        expected = [float(np.dot(p, t) / np.linalg.norm(p) / np.linalg.norm(t)) for p in pool]
        assert ranking.similarity == pytest.approx(expected, abs=1e-12)
        assert list(ranking.order) == sorted(range(len(pool)), key=lambda i: -expected[i])
        assert not ranking.identical.any()


def test_centring_matters_here() -> None:
    orders = {c: [tuple(r.order) for r in by_cosine(POOL, TEST, c)] for c in ("both", "pool", "none")}
    assert orders["both"] != orders["pool"] != orders["none"] != orders["both"]


def test_equally_near_examples_keep_the_pools_order() -> None:
    pool = np.vstack([POOL[:5], POOL[2], POOL[2]])
    for ranking in by_cosine(pool, TEST, "pool"):
        places = {int(i): n for n, i in enumerate(ranking.order)}
        assert places[2] + 1 == places[5] == places[6] - 1


def test_an_example_at_cosine_one_is_skipped() -> None:
    test = np.vstack([3 * POOL[7], TEST[0]])
    same, other = by_cosine(POOL, test, "none")
    assert list(np.flatnonzero(same.identical)) == [7]
    assert same.order[0] == 7
    assert 7 not in choose(same, [1] * 40, 0, budget=10, longest=None, most=None)
    assert not other.identical.any()


def test_vectors_that_vanish_when_centred_are_near_nothing() -> None:
    (only,) = by_cosine(POOL, TEST[:1], "both")
    assert not only.similarity.any()
    assert list(only.order) == list(range(40))


def test_bm25_finds_shared_words() -> None:
    pool = ["the brakes squeal in rain", "a red bicycle bell", "rain and snow today", "the of and"]
    first, second, none, empty = by_bm25(pool, ["why do brakes squeal?", "snow", "zebra crossing", ""])
    assert first.order[0] == 0
    assert second.order[0] == 2
    assert not none.similarity.any()
    assert list(none.order) == list(empty.order) == [0, 1, 2, 3]
    assert not first.identical.any()


def test_bm25_against_the_formula() -> None:
    """Lucene's BM25, k1 1.5 and b 0.75: idf = ln(1 + (N - n + 0.5) / (n + 0.5)), no factor k1 + 1."""
    pool = [["brakes", "squeal", "rain"], ["rain", "bell", "rain", "chain"], ["bell"]]
    (ranking,) = by_bm25([" ".join(words) for words in pool], ["rain bell"])
    mean = sum(map(len, pool)) / len(pool)
    for words, got in zip(pool, ranking.similarity, strict=True):
        expected = 0.0
        for word in ("rain", "bell"):
            n = sum(word in other for other in pool)
            idf = np.log(1 + (len(pool) - n + 0.5) / (n + 0.5))
            tf = words.count(word)
            expected += idf * tf / (tf + 1.5 * (1 - 0.75 + 0.75 * len(words) / mean))
        assert got == pytest.approx(expected, rel=1e-5)


def test_bm25_over_a_pool_without_words() -> None:
    (ranking,) = by_bm25(["the", "of"], ["brakes"])
    assert list(ranking.order) == [0, 1]


def test_the_lot_is_seeded_for_each_item() -> None:
    one, again = list(by_random(30, 5, 0)), list(by_random(30, 3, 0))
    assert [list(r.order) for r in one[:3]] == [list(r.order) for r in again]
    assert len({tuple(r.order) for r in one}) == 5
    assert sorted(one[0].order) == list(range(30))
    other = {tuple(r.order) for r in by_random(30, 5, 1)}
    assert not other & {tuple(r.order) for r in one}


def ranked(order: list[int], identical: set[int] = frozenset()) -> Ranking:
    n = len(order)
    return Ranking(np.array(order), np.zeros(n), np.array([i in identical for i in range(n)]))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"budget": 100}, [3, 0, 2, 1]),  # all of them, the nearest (1) last
        ({"budget": 60}, [0, 2, 1]),  # 5 used + 10 + 20 + 20, then 3 with 30 does not fit
        ({"budget": 100, "longest": 20}, [0, 2, 1]),
        ({"budget": 100, "longest": 10}, [1]),
        ({"budget": 100, "most": 2}, [2, 1]),
        ({"budget": 100, "most": 2, "longest": 10}, [1]),  # what is passed over still counts among the nearest two
        ({"budget": 14}, []),
        ({"budget": 15}, [1]),
    ],
)
def test_choice(options: dict[str, int], expected: list[int]) -> None:
    options = {"longest": None, "most": None} | options
    assert choose(ranked([1, 2, 0, 3]), [20, 10, 20, 30], 5, **options) == expected


def test_the_first_that_does_not_fit_ends_it() -> None:
    """A later, shorter one is not taken in its place (the authors' loop breaks there)."""
    assert choose(ranked([0, 1, 2]), [10, 50, 10], 0, budget=30, longest=None, most=None) == [0]


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=20),
    used=st.integers(0, 60),
    budget=st.integers(1, 120),
    longest=st.none() | st.integers(1, 40),
    most=st.none() | st.integers(1, 25),
)
def test_what_is_chosen_keeps_to_its_limits(lengths, used, budget, longest, most) -> None:
    ranking = ranked(list(range(len(lengths))))
    chosen = choose(ranking, lengths, used, budget=budget, longest=longest, most=most)
    assert chosen == sorted(chosen, reverse=True)
    assert not chosen or used + sum(lengths[i] for i in chosen) <= budget
    assert all(longest is None or lengths[i] <= longest for i in chosen)
    assert len(chosen) <= (most or len(lengths))


def test_parsing() -> None:
    assert parse_selection("similar") == Selection()
    assert parse_selection("random").name == "random"
    assert parse_selection("random:7") == Selection("random", 7)
    assert parse_selection("random:7").name == "random:7"
    assert parse_selection("bm25").embeds is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("simlar", "unknown --selection 'simlar': did you mean similar?"),
        ("x", "unknown --selection 'x': known are similar, random[:SEED], bm25"),
        ("random:x", "--selection random:x: only random takes a seed, a whole number as in random:1"),
        ("bm25:1", "--selection bm25:1: only random takes a seed, a whole number as in random:1"),
        ("random:", "--selection random:: only random takes a seed, a whole number as in random:1"),
    ],
)
def test_what_cannot_be_selected_by(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_selection(text)
    assert str(error.value) == message
