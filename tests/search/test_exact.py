"""Exact search against brute force in float64: any sizes, any pieces, ties, and a block that stays within its bound."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_neighbours import brute, clustered, unit

from instructor_eval.search import exact
from instructor_eval.search.exact import ExactTop


def found_by(queries, documents, k, *, pieces=(), **options):
    """Places and scores, the documents added up to each of `pieces` and then the rest."""
    top = ExactTop(queries, k, **options)
    for block in np.split(documents, sorted(pieces)):
        top.add(block)
    return top.result()


@pytest.fixture
def blocks_of(monkeypatch):
    """`blocks_of(documents, queries)`: what one block holds."""

    def set_sizes(documents, queries):
        monkeypatch.setattr(exact, "_DOCUMENTS", documents)
        monkeypatch.setattr(exact, "_QUERIES", queries)

    return set_sizes


@st.composite
def searches(draw):
    """Queries, documents with copies among them, k, where the corpus is cut, and the sizes of a block."""
    n, m = draw(st.integers(1, 12)), draw(st.integers(1, 60))
    documents = clustered(m, draw(st.integers(0, 10**6)), dim=5)
    copies = draw(st.lists(st.tuples(st.integers(0, m - 1), st.integers(0, m - 1)), max_size=10))
    for here, there in copies:
        documents[here] = documents[there]
    if draw(st.booleans()):  # the nearest come last: every block is above all before it
        documents = documents[np.argsort(unit(documents) @ unit(clustered(1, 7, dim=5))[0])]
    pieces = draw(st.lists(st.integers(0, m), max_size=3))
    return (
        clustered(n, 3, dim=5),
        documents,
        draw(st.integers(1, 70)),
        pieces,
        draw(st.integers(1, 9)),
        draw(st.integers(1, 5)),
    )


@given(searches())
def test_it_finds_what_brute_force_finds(search):
    queries, documents, k, pieces, per_block, queries_at_once = search
    before = exact._DOCUMENTS, exact._QUERIES
    exact._DOCUMENTS, exact._QUERIES = per_block, queries_at_once
    try:
        places, scores = found_by(queries, documents, k, pieces=pieces)
    finally:
        exact._DOCUMENTS, exact._QUERIES = before
    wide = unit(queries) @ unit(documents).T
    _, truth = brute(queries, documents, k)
    assert places.shape == scores.shape == truth.shape
    np.testing.assert_allclose(scores, truth, atol=1e-6)
    # Which of equal ones are named is free; that each has the score it is given, none twice and the best first, is not.
    np.testing.assert_allclose(np.take_along_axis(wide, places, axis=1), scores, atol=1e-6)
    assert all(len(set(row)) == len(row) for row in places.tolist())
    assert (np.diff(scores, axis=1) <= 0).all()


def test_without_ties_the_places_are_those_of_brute_force():
    queries, documents = clustered(40, 1), clustered(3000, 2)
    places, _ = found_by(queries, documents, 25, pieces=[10, 1700])
    np.testing.assert_array_equal(places, brute(queries, documents, 25)[0])


def test_of_equal_scores_the_earlier_come_first():
    grades = np.array([1, 0, 2, 1, 2, 0, 1], dtype=np.float32)

    def grade(queries, documents):
        return np.repeat(documents[:, 0][None], len(queries), axis=0)

    places, scores = found_by(clustered(2, 6), grades[:, None], 7, pieces=[2, 3], similarity=grade)
    assert places.tolist() == [[2, 4, 0, 3, 6, 1, 5]] * 2
    assert scores.tolist() == [[2, 2, 1, 1, 1, 0, 0]] * 2


def test_faiss_flat_finds_the_same():
    queries, documents = clustered(30, 8), clustered(2000, 9)
    index = faiss.IndexFlatIP(documents.shape[1])
    index.add(unit(documents).astype(np.float32))
    theirs, at = index.search(unit(queries).astype(np.float32), 20)
    places, scores = found_by(queries, documents, 20, pieces=[500])
    np.testing.assert_array_equal(places, at)
    np.testing.assert_allclose(scores, theirs, atol=1e-6)


@pytest.mark.parametrize("order", [1, -1])
def test_no_block_is_larger_than_its_bound(blocks_of, order, monkeypatch):
    blocks_of(64, 16)
    seen = []
    whole = ExactTop._similarities

    def spied(self, queries, block):
        found = whole(self, queries, block)
        seen.append(tuple(found.shape))
        return found

    monkeypatch.setattr(ExactTop, "_similarities", spied)
    sizes = []
    take = exact._Best._take
    monkeypatch.setattr(exact, "_MORE", 3)
    monkeypatch.setattr(exact._Best, "_take", lambda b, s, p: sizes.append(tuple(s.shape)) or take(b, s, p))
    queries, documents = clustered(50, 1), clustered(1000, 2)
    documents = documents[np.argsort(order * (unit(documents) @ unit(queries)[0]))]
    top = ExactTop(queries, 7)
    top.add(documents)
    assert len(seen) == 4 * 16, "the queries in fours, the documents in sixteens"
    assert max(rows for rows, _ in seen) == 16
    assert max(columns for _, columns in seen) == 64
    assert max(columns for _, columns in sizes) <= 7 + 3, "the new ones are merged into the best so far"
    waiting = [best._most + 16 * 64 for best in top._best]
    assert all(best._count <= most for best, most in zip(top._best, waiting, strict=True))
    places, _ = top.result()
    truth = np.argsort(-(unit(queries) @ unit(documents).T), axis=1)[:, :7]
    assert [set(row) for row in places] == [set(row) for row in truth]


def test_a_measure_of_ones_own_sees_blocks_or_all_at_once(blocks_of):
    blocks_of(10, 4)
    queries, documents = clustered(6, 1), clustered(35, 2)
    seen = []

    def distance(a, b):
        seen.append((len(a), len(b)))
        return -np.linalg.norm(a[:, None] - b[None], axis=2)

    expected = np.argsort(np.linalg.norm(queries[:, None] - documents[None], axis=2), axis=1)[:, :5]
    places, _ = found_by(queries, documents, 5, similarity=distance)
    np.testing.assert_array_equal(places, expected)
    assert set(seen) == {(4, 10), (2, 10), (4, 5), (2, 5)}
    seen.clear()
    places, _ = found_by(queries, documents, 5, similarity=distance, whole=True)
    np.testing.assert_array_equal(places, expected)
    assert seen == [(4, 35), (2, 35)]


def test_the_vectors_it_is_given_stay_as_they_are():
    queries, documents = clustered(3, 1), clustered(20, 2)
    before = queries.copy(), documents.copy()
    found_by(queries, documents, 4)
    np.testing.assert_array_equal(queries, before[0])
    np.testing.assert_array_equal(documents, before[1])


@pytest.mark.parametrize(("n", "m"), [(0, 5), (3, 0), (0, 0)])
def test_nothing_to_search_finds_nothing(n, m):
    places, scores = found_by(clustered(n, 1), clustered(m, 2), 4)
    assert places.shape == scores.shape == (n, min(4, m))


def test_a_row_of_zeros_is_the_farthest():
    documents = np.vstack([np.zeros((1, 16), dtype=np.float32), clustered(5, 2)])
    _, scores = found_by(clustered(2, 1), documents, 6)
    assert np.isfinite(scores).all()
