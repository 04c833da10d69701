from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.metrics import compute
from instructor_eval.metrics.ranking import at, depth, ndcg, ranked, trec_name


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_the_mean_over_queries_rounded_as_mteb_does(values: list[float]) -> None:
    found = compute("ndcg_at_10", {"ndcg_at_10": values, "map_at_1": [9.0]})
    assert found == round(sum(values) / len(values), 5)
    assert abs(found - sum(values) / len(values)) <= 0.5e-5 + 1e-12


def test_five_places() -> None:
    assert compute("recall_at_100", {"recall_at_100": [1.0, 0.0, 0.0]}) == 0.33333
    assert compute("recall_at_100", {"recall_at_100": [0.123456]}) == 0.12346


def test_mteb_rounds_the_same_way() -> None:
    """mteb: `scores = {f"ndcg_at_{k}": round(sum(...) / len(queries), 5)}` over pytrec_eval's values per query."""
    pytest.importorskip("pytrec_eval")  # it comes with mteb
    import pytrec_eval

    qrels = {f"q{i}": {f"d{i}": 1, f"d{i + 1}": 2} for i in range(7)}
    run = {f"q{i}": {f"d{j}": ((i * 31 + j * 17) % 23) / 23 for j in range(12)} for i in range(7)}
    per_query = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(run)
    values = [per_query[q]["ndcg_cut_10"] for q in run]
    assert 0 < compute("ndcg_at_10", {"ndcg_at_10": values}) < 1
    assert compute("ndcg_at_10", {"ndcg_at_10": values}) == round(sum(values) / len(values), 5)


def test_the_maximum_over_subqueries_reads_the_plain_column() -> None:
    items = {"map_at_1000": [0.5, 0.25]}
    assert compute("max_over_subqueries_map_at_1000", items) == compute("map_at_1000", items) == 0.375


def test_means_that_are_not_rounded() -> None:
    assert compute("mean_of_parts", {"value": [0.1, 0.2, 0.4]}) == pytest.approx(0.7 / 3, abs=1e-15)
    assert compute("v_measure", {"v_measure": [0.1, 0.2, 0.4]}) == pytest.approx(0.7 / 3, abs=1e-15)
    assert compute("mean_of_parts", {"value": [0.123456789]}) == 0.123456789


_IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=3)
_STEPS = st.integers(0, 4).map(lambda i: i / 3) | st.sampled_from([0.5, 0.5 + 1e-9, 0.5 - 1e-12, -0.0, 1e300, -2.5])
"""Few different scores, some of which differ as float64 and not as float32."""


@given(st.dictionaries(_IDS, st.tuples(_STEPS, st.integers(-1, 3)), min_size=1, max_size=30))
def test_trec_eval_ranks_so_where_scores_tie(drawn: dict[str, tuple[float, int]]) -> None:
    """Each of its figures follows from our order; one document alone being relevant shows every document's rank."""
    pytrec_eval = pytest.importorskip("pytrec_eval")  # it comes with mteb
    run = {doc: score for doc, (score, _) in drawn.items()}
    grades = {doc: grade for doc, (_, grade) in drawn.items()}
    order = [doc for doc, _ in ranked(run, len(run))]
    assert sorted(order) == sorted(run)
    assert ranked(run, 4) == [(doc, run[doc]) for doc in order[:4]]
    alone = {doc: {doc: 1} for doc in run}
    found = pytrec_eval.RelevanceEvaluator(alone, {"recip_rank"}).evaluate(dict.fromkeys(alone, run))
    assert {doc: found[doc]["recip_rank"] for doc in run} == {doc: 1 / rank for rank, doc in enumerate(order, 1)}
    theirs = pytrec_eval.RelevanceEvaluator({"q": grades}, {"ndcg_cut.1,3,10,100"}).evaluate({"q": run})["q"]
    best = sorted(grades.values(), reverse=True)
    for k in (1, 3, 10, 100):
        assert ndcg([grades[doc] for doc in order], best, k) == pytest.approx(theirs[f"ndcg_cut_{k}"], abs=1e-12)


def test_what_a_figures_name_says() -> None:
    assert at("accuracy") is None
    plain, merged = at("map_at_1000"), at("max_over_subqueries_map_at_1000")
    assert plain is not None
    assert merged is not None
    assert (plain.column, plain.over_subqueries) == ("map_at_1000", False)
    assert (merged.column, merged.over_subqueries) == ("map_at_1000", True)
    assert [depth(name) for name in ("mrr_at_20", "id", "max_over_subqueries_map_at_1000")] == [20, None, 1000]
    assert [trec_name(name) for name in ("ndcg_at_5", "precision_at_1")] == ["ndcg_cut_5", "P_1"]
