"""The classifier of classification tasks: a logistic regression that learns from a few texts a label, several times.

Draws, fits and figures are those of mteb's `AbsTaskClassification` in 2.26, to the last bit.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from instructor_eval.core.values import Vectors


def draw(labels: Sequence[Any], per_label: int, times: int, seed: int) -> Iterator[list[int]]:
    """Yield the places of training texts, at most `per_label` of each label, `times` times.

    Args:
        labels: The label of each text.
        per_label: Texts of a label.
        times: How many draws. Each shuffles what the last one has shuffled, with the same seed.
        seed: Of the shuffles.
    """
    order = np.arange(len(labels))
    for _ in range(times):
        np.random.RandomState(seed).shuffle(order)
        taken: Counter[Any] = Counter()
        places = []
        for place in order.tolist():
            label = labels[place]
            if taken[label] < per_label:
                places.append(place)
                taken[label] += 1
        yield places


def predict(train: Vectors, labels: Sequence[Any], test: Vectors, seed: int) -> npt.NDArray[Any]:
    """Fit a logistic regression and return the labels that it gives to the test vectors.

    Args:
        train: [texts, dim].
        labels: Of the training texts.
        test: [texts, dim].
        seed: Of the solver.
    """
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged after 100 steps: so is mteb's
        found: npt.NDArray[Any] = LogisticRegression(max_iter=100, random_state=seed).fit(train, labels).predict(test)
    return found


def figures_of_labels(gold: Sequence[Any], predictions: Sequence[npt.NDArray[Any]]) -> dict[str, float]:
    """Return accuracy, F1, precision and recall of predicted labels, means over the fits.

    Of two labels, one of them 1, the average precision too: mteb takes 1 for the positive one.

    Args:
        gold: The label of each text.
        predictions: A label for each text, of each fit.
    """
    from sklearn import metrics

    known = sorted(set(gold))
    found: dict[str, list[float]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a label that was never predicted has a precision of 0
        for predicted in predictions:
            one = {"accuracy": metrics.accuracy_score(gold, predicted)}
            for name in ("f1", "precision", "recall"):
                score = getattr(metrics, f"{name}_score")
                one |= {name: score(gold, predicted, average="macro")}
                one |= {f"{name}_weighted": score(gold, predicted, average="weighted")}
            if len(known) == 2 and 1 in known:
                one["ap"] = metrics.average_precision_score(gold, predicted, average="macro")
                one["ap_weighted"] = metrics.average_precision_score(gold, predicted, average="weighted")
            for name, value in one.items():
                found.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in found.items()}
