"""The contribution of each unit to a score, against the derivative, the jackknife and SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from made_items import make_items, take
from scipy.stats import pearsonr, spearmanr

from instructor_eval import metrics
from instructor_eval.analysis.statistics import resample
from instructor_eval.metrics import pairs
from instructor_eval.metrics.correlation import pearson_influence, spearman_influence

CORRELATED = ("cosine_spearman", "cosine_pearson", "pearson", "cosine_ap", "max_ap")
METRICS = (*CORRELATED, "summeval_v1", "ndcg_at_10", "v_measure")


@pytest.mark.parametrize("metric", METRICS)
def test_the_mean_of_the_units_is_the_score(metric: str) -> None:
    items = make_items(metric)
    found = metrics.get(metric).influences(items)
    assert found is not None
    assert float(np.mean(found)) == pytest.approx(metrics.compute(metric, items), abs=6e-6)  # nDCG is rounded
    assert len(found) == (20 if metric == "pearson" else 60)


@pytest.mark.parametrize("metric", ["cosine_spearman", "cosine_pearson", "pearson", "cosine_ap"])
def test_a_unit_is_the_derivative_by_its_weight(metric: str) -> None:
    items = make_items(metric)
    found = metrics.get(metric).influences(items)
    assert found is not None
    n, step, statistic = len(found), 1e-6, resample.statistic(metrics.get(metric), items)
    # Upwards alone: a count below one is taken for one by average precision.
    moved = (statistic(np.ones((n, n)) + step * np.eye(n)) - statistic(np.ones((n, n)))) * n / step
    assert found - np.mean(found) == pytest.approx(moved, abs=1e-3)


@pytest.mark.parametrize("metric", CORRELATED)
def test_the_standard_error_is_near_the_jackknifes(metric: str) -> None:
    """Of scores without each unit (Efron and Tibshirani 1993, 11.5)."""
    width = 3 if metric == "pearson" else 1
    items = make_items(metric, 300 * width)
    found = metrics.get(metric).influences(items)
    assert found is not None
    n = len(found)
    without = np.array(
        [metrics.compute(metric, take(items, [i for i in range(n * width) if i // width != unit])) for unit in range(n)]
    )
    jackknife = math.sqrt((n - 1) / n * float(np.sum((without - np.mean(without)) ** 2)))
    assert float(np.std(found, ddof=1)) / math.sqrt(n) == pytest.approx(jackknife, rel=0.05)


@pytest.mark.parametrize("ties", [False, True])
def test_correlations_are_scipys(ties: bool) -> None:
    x, e = np.random.default_rng(1).normal(size=(2, 50))
    y = x + e
    if ties:
        x, y = np.round(2 * x), np.round(2 * y)
    assert np.mean(spearman_influence(x, y)) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert np.mean(pearson_influence(x, y)) == pytest.approx(pearsonr(x, y).statistic, abs=1e-12)


def test_average_precision_by_hand() -> None:
    """Positives at places 1 and 3 of 4: (1 + 2/3) / 2."""
    found = pairs.influence([1, 0, 1, 0], [4.0, 3.0, 2.0, 1.0])
    assert float(np.mean(found)) == pytest.approx(5 / 6)
    assert found[3] == pytest.approx(5 / 6)  # behind the last positive a negative moves nothing
    assert found[1] < 5 / 6 < found[0]


@pytest.mark.parametrize("column", [[0.5] * 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]])
def test_equal_values_have_no_correlation(column: list[float]) -> None:
    items: Any = {"id": list(range(6)), "gold": [0.5] * 6, "cosine": column}
    for metric in ("cosine_spearman", "cosine_pearson"):
        found = metrics.get(metric).influences(items)
        assert found is not None
        assert np.isnan(found).all()


def test_spearmans_standard_error_holds_with_30_pairs() -> None:
    """Two systems that share half of their errors; the bootstrap's was 38 % too wide."""
    rng, deltas, errors = np.random.default_rng(30), [], []
    for _ in range(1500):
        gold, shared = rng.normal(size=(2, 30))
        one, other = (
            spearman_influence(gold, 0.8 * gold + 0.42 * shared + 0.42 * rng.normal(size=30)) for _ in range(2)
        )
        deltas.append(float(np.mean(one - other)))
        errors.append(float(np.std(one - other, ddof=1)) / math.sqrt(30))
    assert np.mean(errors) == pytest.approx(np.std(deltas), rel=0.12)
