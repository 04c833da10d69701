"""Figures of pair classification: bit for bit those that mteb computes, by its names and in its order."""

import numpy as np
import pytest
from mteb._evaluators.pair_classification_evaluator import PairClassificationDistances
from mteb.abstasks import AbsTaskPairClassification

from instructor_eval.metrics import pair_figures

NAMES = {
    "similarity": "similarity_scores",
    "cosine": "cosine_scores",
    "manhattan": "manhattan_distances",
    "euclidean": "euclidean_distances",
    "dot": "dot_scores",
}


class Task(AbsTaskPairClassification):
    """mteb's figures, without data."""

    metadata = None

    def __init__(self):
        pass


@pytest.mark.parametrize("share", [0.0, 0.03, 0.4, 1.0])
@pytest.mark.parametrize(("n", "values"), [(2, 9), (60, 7), (60, 1), (501, 10**6), (2000, 50)])
def test_figures_are_mtebs(n, values, share):
    draw = np.random.default_rng(n + values)
    labels = (draw.random(n) < share).astype(int)
    if share in (0.03, 0.4):
        labels[:2] = 0, 1
    # equal scores among them, each similarity with an order of its own
    scores = {
        name: (np.float32(draw.integers(0, values, n) / values) + np.float32(0.2) * labels.astype(np.float32)).tolist()
        for name in NAMES
    }
    theirs = PairClassificationDistances(**{NAMES[name]: column for name, column in scores.items()})
    if not share:  # scikit-learn warns that there is nothing to find
        with pytest.warns(UserWarning, match="No positive class"):
            expected = Task()._compute_metrics(theirs, labels.tolist())
    else:
        expected = Task()._compute_metrics(theirs, labels.tolist())
    given = pair_figures.figures_of_similarities(labels.tolist(), scores)
    assert given == expected
    assert list(given) == list(expected)
