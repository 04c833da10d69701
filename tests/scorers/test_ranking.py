from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.scorers.clustering import mean_v_measure
from instructor_eval.scorers.ranking import mean_at, mean_of_parts


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_the_mean_over_queries_rounded_as_mteb_does(values: list[float]) -> None:
    found = mean_at("ndcg_at_10", {"ndcg_at_10": values, "map_at_1": [9.0]})
    assert found == round(sum(values) / len(values), 5)
    assert abs(found - sum(values) / len(values)) <= 0.5e-5 + 1e-12


def test_five_places() -> None:
    assert mean_at("recall_at_100", {"recall_at_100": [1.0, 0.0, 0.0]}) == 0.33333
    assert mean_at("recall_at_100", {"recall_at_100": [0.123456]}) == 0.12346


def test_mteb_rounds_the_same_way() -> None:
    """mteb: `scores = {f"ndcg_at_{k}": round(sum(...) / len(queries), 5)}` over pytrec_eval's values per query."""
    pytest.importorskip("pytrec_eval")
    import pytrec_eval

    qrels = {f"q{i}": {f"d{i}": 1, f"d{i + 1}": 2} for i in range(7)}
    run = {f"q{i}": {f"d{j}": ((i * 31 + j * 17) % 23) / 23 for j in range(12)} for i in range(7)}
    per_query = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(run)
    values = [per_query[q]["ndcg_cut_10"] for q in run]
    assert 0 < mean_at("ndcg_at_10", {"ndcg_at_10": values}) < 1
    assert mean_at("ndcg_at_10", {"ndcg_at_10": values}) == round(sum(values) / len(values), 5)


def test_the_maximum_over_subqueries_reads_the_plain_column() -> None:
    items = {"map_at_1000": [0.5, 0.25]}
    assert mean_at("max_over_subqueries_map_at_1000", items) == mean_at("map_at_1000", items) == 0.375


def test_means_that_are_not_rounded() -> None:
    assert mean_of_parts({"value": [0.1, 0.2, 0.4]}) == pytest.approx(0.7 / 3, abs=1e-15)
    assert mean_v_measure({"v_measure": [0.1, 0.2, 0.4]}) == pytest.approx(0.7 / 3, abs=1e-15)
    assert mean_of_parts({"value": [0.123456789]}) == 0.123456789
