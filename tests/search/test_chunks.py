from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.core.errors import UserError
from instructor_eval.search.chunks import ChunkSpec, blocks, cut, pooled
from instructor_eval.search.exact import ExactTop

WORDS = st.lists(st.sampled_from(["one", "two.", "three", "four!", "five\n", "six"]), min_size=1, max_size=120)


def spans_of(text: str) -> list[tuple[int, int]]:
    """Words, the full stop a token of its own."""
    import re

    return [match.span() for match in re.finditer(r"\w+|[.!]", text)]


def by_hand(text: str, size: int, overlap: int) -> list[list[int]]:
    """A plain loop: the tokens of each chunk, cut at a sentence end in the last fifth."""
    spans, found, start = spans_of(text), [], 0
    if len(spans) <= size:
        return [list(range(len(spans)))]

    def ends(k: int) -> bool:  # a sentence ends before token k
        between = text[spans[k - 1][0] : spans[k][0]]
        return between.rstrip()[-1] in ".!" or "\n" in between

    while start + size < len(spans):
        end = start + size
        end = next((k for k in range(end, end - size // 5 - 1, -1) if ends(k)), end)
        found.append(list(range(start, end)))
        start = max(end - overlap, start + 1)
    return [*found, list(range(start, len(spans)))]


@given(WORDS, st.integers(8, 30), st.integers(0, 7))
def test_a_cut_is_that_of_a_plain_loop(words: list[str], size: int, overlap: int) -> None:
    text = " ".join(words)
    spans = spans_of(text)
    found = cut(text, spans, ChunkSpec(size, overlap))
    expected = by_hand(text, size, overlap)
    if len(expected) == 1:
        assert found == [(text, len(spans))]
    else:
        assert found == [(text[spans[c[0]][0] : spans[c[-1]][1]], len(c)) for c in expected]


@given(WORDS, st.integers(8, 30), st.integers(0, 7), st.sampled_from(["tokens", "sentences"]))
def test_chunks_cover_a_text_and_are_no_longer_than_asked(words: list[str], size: int, overlap: int, by: str) -> None:
    text = " ".join(words)
    found = cut(text, spans_of(text), ChunkSpec(size, overlap, by))
    assert all(n <= size for _, n in found)
    place = 0
    for chunk, _ in found:  # in their order, and nothing but spaces between two
        at = text.find(chunk, max(0, place - len(text)))
        assert at >= 0
    joined = "".join(chunk for chunk, _ in found) if not overlap else ""
    if joined:
        assert joined.replace(" ", "").replace("\n", "") == text.replace(" ", "").replace("\n", "")


def test_sentences_stay_whole() -> None:
    text = "One two three. Four five six seven. Eight nine ten eleven twelve."
    found = [chunk for chunk, _ in cut(text, spans_of(text), ChunkSpec(9, 0, "sentences"))]
    assert found == ["One two three. Four five six seven.", "Eight nine ten eleven twelve."]
    found = [chunk for chunk, _ in cut(text, spans_of(text), ChunkSpec(12, 5, "sentences"))]
    assert found == ["One two three. Four five six seven.", "Four five six seven. Eight nine ten eleven twelve."]


def test_a_text_without_tokens_is_one_chunk() -> None:
    assert cut("", [], ChunkSpec(8)) == [("", 0)]


@pytest.mark.parametrize("text", ["8", "100", "100:20", "128:0"])
def test_a_chunk_is_read(text: str) -> None:
    size, _, overlap = text.partition(":")
    assert ChunkSpec.parse(text) == ChunkSpec(int(size), int(overlap or 0))
    assert ChunkSpec.parse("whole") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7", "fewer than 8 tokens"), ("0", "fewer than 8 tokens"), ("100:100", "overlap must be below the size"),
        ("100:200", "overlap must be below"), ("-5", "cannot be read"), ("a", "cannot be read"), ("", "cannot be read"),
        ("8:", "cannot be read"), ("٨", "cannot be read"), ("8.5", "cannot be read"), ("9" * 10, "cannot be read"),
    ],
)  # fmt: skip
def test_a_chunk_that_is_none(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        ChunkSpec.parse(text)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 12))
def test_blocks_have_whole_documents(sizes: list[int], most: int) -> None:
    starts = np.cumsum(sizes) - sizes
    found = list(blocks(starts, sum(sizes), most))
    assert [a for a, _ in found] == [0, *(b for _, b in found[:-1])]
    assert found[-1][1] == sum(sizes)
    assert {a for a, _ in found} <= set(starts.tolist())
    for a, b in found:
        assert b - a <= max(most, *(s for s, at in zip(sizes, starts, strict=True) if at == a))


@given(st.lists(st.integers(1, 6), min_size=1, max_size=10), st.sampled_from(["max", "mean-top-3"]))
def test_pooling_is_that_of_a_plain_loop(sizes: list[int], score: str) -> None:
    starts = np.cumsum(sizes) - sizes
    values = np.random.default_rng(0).random((3, sum(sizes))).astype(np.float32)
    found = pooled(values, starts, score)
    for i, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        for query in range(3):
            part = sorted(values[query, start : start + size].tolist())[-(1 if score == "max" else 3) :]
            assert found[query, i] == pytest.approx(sum(part) / len(part), abs=1e-6)


def test_search_over_chunks_is_brute_force_and_of_single_chunks_the_plain_search_bit_for_bit() -> None:
    random = np.random.default_rng(2)
    sizes = random.integers(1, 9, 700)
    starts = np.cumsum(sizes) - sizes
    rows = random.normal(size=(int(sizes.sum()), 16)).astype(np.float32)
    queries = random.normal(size=(5, 16)).astype(np.float32)
    top = ExactTop(queries, 20)
    top.add(rows, starts)
    places, scores = top.result()
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (queries, rows)]
    best = np.maximum.reduceat(unit[0] @ unit[1].T, starts, axis=1)
    assert places.tolist() == np.argsort(-best, axis=1)[:, :20].tolist()
    assert scores == pytest.approx(-np.sort(-best, axis=1)[:, :20], abs=1e-6)
    plain, single = ExactTop(queries, 20), ExactTop(queries, 20)
    plain.add(rows)
    single.add(rows, np.arange(len(rows)))
    for a, b in zip(plain.result(), single.result(), strict=True):
        assert a.tobytes() == b.tobytes()
