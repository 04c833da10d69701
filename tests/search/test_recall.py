"""Recall, and the figures of score files: put together, shown, and read from files that anyone may have edited."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.results.reading import known, record
from instructor_eval.results.score import Search
from instructor_eval.results.search_figures import of_parts, phrases
from instructor_eval.search.through_store import SearchResult, recall

GOOD = {"backend": "faiss:Flat", "k": 10, "recall": 0.9, "exact_score": 0.5, "loss": 0.01, "build_seconds": 2.0,
        "queries_per_second": 100.0, "index_bytes": 4_000_000, "documents": 1000, "library": "faiss 1"}  # fmt: skip


def found(places, scores, contents=None):
    rows = [np.array(row, dtype=np.int64) for row in places]
    values = [np.array(row, dtype=np.float32) for row in scores]
    return SearchResult(rows, values, contents=None if contents is None else np.array(contents, dtype=np.uint64))


EXACT = found([[5, 1, 2, 9], [7, 3, 0, 4]], [[0.9, 0.8, 0.7, 0.6], [0.5, 0.4, 0.3, 0.2]])


@pytest.mark.parametrize(
    ("places", "k", "expected"),
    [
        ([[5, 1], [7, 3]], 2, 1.0),
        ([[1, 5], [3, 7]], 2, 1.0),  # in whatever order
        ([[5, 2], [7, 3]], 2, 0.75),
        ([[2, 9], [0, 4]], 2, 0.0),
        ([[5, 8, 1], [7, 3]], 2, 0.75),  # only the first k count
        ([[5], []], 2, 0.25),  # a store may give fewer
        ([[5, 1, 2, 9], [7, 3, 0, 4]], 10, 1.0),  # k beyond what there is
    ],
)
def test_recall_is_the_mean_share_of_the_nearest(places, k, expected):
    assert recall(found(places, [[0.0] * len(row) for row in places]), EXACT, k) == expected


def test_any_of_equally_near_ones_counts():
    exact = found([[0, 1, 2, 3]], [[0.9, 0.7, 0.7, 0.7]])
    assert recall(found([[0, 3]], [[0, 0]]), exact, 2) == 1.0
    assert recall(found([[2, 3]], [[0, 0]]), exact, 2) == 1.0, "as near as the second, both of them"
    assert recall(found([[3, 4]], [[0, 0]]), exact, 2) == 0.5


def test_a_copy_that_exact_search_did_not_keep_counts_too():
    contents = [0, 1, 1, 1, 1, 1, 2]  # five copies, of which exact search gave the first three
    exact = found([[1, 2, 3, 0]], [[0.9, 0.9, 0.9, 0.1]], contents)
    assert recall(found([[4, 5]], [[0, 0]]), exact, 2) == 1.0
    assert recall(found([[5, 6]], [[0, 0]]), exact, 2) == 0.5


def test_nothing_to_be_found_is_found():
    assert recall(found([[]], [[]]), found([[]], [[]]), 10) == 1.0


def made(**changes: object) -> Search:
    return record(Search, GOOD | changes)


def test_parts_are_put_together():
    other = made(recall=0.7, exact_score=0.3, loss=0.03, build_seconds=1.0, queries_per_second=25.0,
                 index_bytes=1_000_000, documents=500)  # fmt: skip
    whole = of_parts([made(), other])
    assert known(whole) == pytest.approx(
        {"backend": GOOD["backend"], "k": 10, "library": "faiss 1", "recall": 0.8, "exact_score": 0.4, "loss": 0.02,
         "build_seconds": 3.0, "index_bytes": 5_000_000, "documents": 1500, "queries_per_second": 40.0}
    )  # fmt: skip
    assert of_parts([made()]) == made()


def test_what_one_part_does_not_say_nobody_knows():
    whole = of_parts([made(), made(build_seconds=None, queries_per_second=None)])
    assert whole is not None
    assert (whole.build_seconds, whole.queries_per_second, whole.recall) == (None, None, 0.9)


@pytest.mark.parametrize("parts", [[], [None], [made(), None]])
def test_a_part_searched_exactly_has_no_figures(parts):
    assert of_parts(parts) is None


def test_figures_in_words():
    assert phrases(made()) == [
        "recall@10 0.900", "exact search 50.00", "index built in 2.0 s", "100 queries/s", "index 4.0 MB",
    ]  # fmt: skip
    assert phrases(None) == []
    assert phrases(made(build_seconds=None, index_bytes=None)) == [
        "recall@10 0.900", "exact search 50.00", "100 queries/s",
    ]  # fmt: skip
    assert phrases(made(k=None, exact_score=None, build_seconds=None, queries_per_second=None, index_bytes=None)) == [
        "recall@? 0.900"
    ]


STRANGE = st.one_of(
    st.none(), st.booleans(), st.text(), st.floats(), st.just(10**400), st.just(-(10**400)), st.just(5e-324),
    st.just(1.7e308), st.integers(-3, 3), st.lists(st.integers(), max_size=2), st.dictionaries(st.text(), st.none()),
)  # fmt: skip


FIGURES = [name for name in GOOD if name != "backend"]


@given(st.lists(st.fixed_dictionaries({"backend": st.just("x")}, optional=dict.fromkeys(FIGURES, STRANGE)), max_size=4))
def test_edited_files_are_refused_or_described(parts):
    try:
        read = [record(Search, part) for part in parts]
    except ValueError:
        return
    for one in [*read, of_parts(read)]:
        assert all(text.isprintable() for text in phrases(one))
        assert all(v is None or math.isfinite(v) for n, v in known(one).items() if n not in ("library", "backend"))
