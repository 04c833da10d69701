from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.metrics.pairs import COSINE_AP, MAX_AP, SIMILARITIES, average_precision

# Few distinct values, so that ties are the rule, and any double beside them.
SCORES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, -0.0, 1.0]), st.floats(-1e6, 1e6))
PAIRS = st.lists(st.tuples(st.integers(0, 1), SCORES), min_size=1, max_size=60).filter(lambda p: any(y for y, _ in p))


@given(PAIRS)
def test_average_precision_is_scikit_learns_to_the_last_bit(pairs: list[tuple[int, float]]) -> None:
    from sklearn.metrics import average_precision_score

    labels, scores = [y for y, _ in pairs], [s for _, s in pairs]
    assert average_precision(labels, scores).hex() == float(average_precision_score(labels, scores)).hex()


@given(PAIRS)
def test_average_precision_by_its_definition(pairs: list[tuple[int, float]]) -> None:
    positives = sum(y for y, _ in pairs)
    total = recall_before = 0.0
    for threshold in sorted({s for _, s in pairs}, reverse=True):
        chosen = [y for y, s in pairs if s >= threshold]
        recall = sum(chosen) / positives
        total += (recall - recall_before) * sum(chosen) / len(chosen)
        recall_before = recall
    assert average_precision(*zip(*pairs, strict=True)) == pytest.approx(total, abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([1, 0], [0.9, 0.1], 1.0),
        ([0, 1], [0.9, 0.1], 0.5),
        ([1, 0], [0.5, 0.5], 0.5),
        ([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6], (1 + 2 / 3) / 2),
        ([1], [0.0], 1.0),
        ([True, False], [1, 2], 0.5),
    ],
)
def test_average_precision_by_hand(labels: list[int], scores: list[float], expected: float) -> None:
    assert average_precision(labels, scores) == pytest.approx(expected, abs=1e-15)


def test_a_large_sample_is_scikit_learns() -> None:
    from sklearn.metrics import average_precision_score

    random = np.random.default_rng(7)
    labels = random.integers(0, 2, 5000)
    for scores in (random.random(5000), random.integers(0, 50, 5000) / 50, random.random(5000).astype(np.float32)):
        assert average_precision(labels, scores) == average_precision_score(labels, scores)


def items(**columns: list[float]) -> dict[str, list]:
    worst = {"similarity": [0.0, 1.0], "cosine": [0.0, 1.0], "dot": [0.0, 1.0]}
    distances = {"manhattan": [1.0, 0.0], "euclidean": [1.0, 0.0]}
    return {"id": ["a", "b"], "gold": [1, 0], **worst, **distances, **columns}


def test_the_worst_of_all() -> None:
    assert MAX_AP.compute(items()) == 0.5
    assert COSINE_AP.compute(items()) == 0.5


@pytest.mark.parametrize("name", SIMILARITIES)
def test_max_ap_takes_the_best_of_five(name: str) -> None:
    best = [0.0, 1.0] if name in ("manhattan", "euclidean") else [1.0, 0.0]
    assert MAX_AP.compute(items(**{name: best})) == 1.0
    assert COSINE_AP.compute(items(**{name: best})) == (1.0 if name == "cosine" else 0.5)


def test_max_ap_is_the_maximum_of_scikit_learns() -> None:
    from sklearn.metrics import average_precision_score

    random = np.random.default_rng(3)
    columns = {name: list(random.random(200)) for name in SIMILARITIES}
    gold = list(random.integers(0, 2, 200))
    expected = max(
        average_precision_score(gold, np.array(columns[n]) * (-1 if n in ("manhattan", "euclidean") else 1))
        for n in SIMILARITIES
    )
    assert MAX_AP.compute({"gold": gold, **columns}) == expected
