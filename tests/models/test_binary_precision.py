"""One bit a value: packing as in sentence-transformers, and a search in two stages against plain ones."""

import numpy as np
import pytest
from checkpoints import largest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sentence_transformers.util.quantization import quantize_embeddings

from instructor_eval.models import precision as module
from instructor_eval.models.precision import pack_bits, rescore, unpack_bits

FEW = st.sampled_from(np.float32([-1.5, -0.0, 0.0, 1e-30, 2.0]).tolist())
DIMS = st.integers(1, 70)


def matrices(dim: int, rows: st.SearchStrategy[int]) -> st.SearchStrategy[np.ndarray]:
    return rows.flatmap(lambda n: arrays(np.float32, (n, dim), elements=FEW))


PAIRS = DIMS.flatmap(lambda dim: st.tuples(matrices(dim, st.integers(0, 5)), matrices(dim, st.integers(1, 12))))


@pytest.fixture(params=["one block", "small blocks", "without bitwise_count"], autouse=True)
def _ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs with many blocks as well, and as with NumPy 1.26."""
    if request.param == "small blocks":
        monkeypatch.setattr(module, "_BLOCK", 7)
    elif request.param == "without bitwise_count":
        monkeypatch.delattr(np, "bitwise_count")


def signs(vectors: np.ndarray) -> np.ndarray:
    return np.where(vectors > 0, np.float32(1), np.float32(-1))


def by_hand(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamming distances of unpacked bits, one pair at a time."""
    return np.array([[int(np.sum((x > 0) != (y > 0))) for y in b] for x in a]).reshape(len(a), len(b))


@given(DIMS.flatmap(lambda dim: matrices(dim, st.integers(0, 6))))
def test_bits_are_those_of_sentence_transformers(vectors: np.ndarray) -> None:
    ours, theirs = pack_bits(vectors), quantize_embeddings(vectors, "ubinary")
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)
    assert np.array_equal(unpack_bits(ours, vectors.shape[1]), signs(vectors))
    assert unpack_bits(ours, vectors.shape[1]).dtype == np.float32


@given(PAIRS)
def test_a_cosine_of_signs_is_a_hamming_distance(pair) -> None:
    a, b = pair
    dim = a.shape[1]
    cosines = signs(a) @ signs(b).T / np.float32(dim)
    assert np.array_equal(cosines, (dim - 2 * by_hand(a, b)).astype(np.float32) / np.float32(dim))
    assert largest(cosines, (1 - 2 * by_hand(a, b) / dim).astype(np.float32)) < 1e-7


def two_stages(query: np.ndarray, documents: np.ndarray, candidates: int) -> list[int]:
    """Places in the order of a search in two stages: plain Python, one query."""
    distance = [sum((q > 0) != (d > 0) for q, d in zip(query, document, strict=True)) for document in documents]
    by_distance = sorted(range(len(documents)), key=lambda i: (distance[i], i))
    first, rest = by_distance[:candidates], by_distance[candidates:]
    dots = {i: float(np.dot(query.astype(np.float64), documents[i])) for i in first}
    return sorted(first, key=lambda i: -dots[i]) + rest


@pytest.mark.parametrize("candidates", [1, 7, 20])
def test_two_stages(candidates: int) -> None:
    random = np.random.RandomState(0)
    queries = random.standard_normal((6, 41)).astype(np.float32)
    documents = signs(random.standard_normal((60, 41)))
    scores = rescore(queries, documents, candidates)
    full = queries @ documents.T / np.linalg.norm(queries, axis=1, keepdims=True) / np.sqrt(41)
    other = 0
    for query, row, asymmetric in zip(queries, scores, full, strict=True):
        order = np.argsort(-row, kind="stable").tolist()
        assert order == two_stages(query, documents, candidates)
        best, rest = order[:candidates], order[candidates:]
        assert row[best] == pytest.approx(asymmetric[best], abs=1e-6)
        assert row[rest].max() < -1 <= row[best].min()
        assert row[rest] == pytest.approx(-2 - 2 * by_hand(query[None], documents)[0][rest] / 41, abs=1e-6)
        other += order != np.argsort(-asymmetric, kind="stable").tolist()
    assert other == 6  # the first stage does leave something out


@given(DIMS.flatmap(lambda dim: st.tuples(st.just(dim), st.integers(1, 12), st.integers(0, 999))), st.integers(0, 3))
def test_candidates_that_cover_the_corpus_are_a_full_search(case, more: int) -> None:
    dim, n, seed = case
    random = np.random.RandomState(seed)
    queries = random.standard_normal((3, dim)).astype(np.float32)
    documents = signs(random.standard_normal((n, dim)))
    full = queries @ documents.T / np.linalg.norm(queries, axis=1, keepdims=True) / np.sqrt(dim)
    assert largest(rescore(queries, documents, n + more), full) < 1e-5


def test_no_documents_and_no_queries() -> None:
    some, none = np.ones((3, 9), dtype=np.float32), np.ones((0, 9), dtype=np.float32)
    assert rescore(some, none).shape == (3, 0)
    assert rescore(none, some).shape == (0, 3)
