"""Draws, fits and figures of the classifier are mteb's own, to the last bit."""

import warnings

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from mteb import abstasks

from instructor_eval.core.mteb import own_metadata
from instructor_eval.metrics.classifier import draw, figures_of_labels, predict

LABELS = {"two": [0, 1], "1 and 2": [1, 2], "five": [0, 1, 2, 3, 4], "names": ["a", "b", "c"]}


def task(labels: list, per_label: int, times: int, seed: int) -> object:
    metadata = own_metadata("Classification", split="test", main_score="accuracy")
    attributes = {"metadata": metadata, "samples_per_label": per_label, "n_experiments": times}
    made = type("OwnTask", (abstasks.AbsTaskClassification,), attributes)(seed=seed)
    made.dataset = DatasetDict({"train": Dataset.from_dict({"text": [str(i) for i in labels], "label": labels})})
    return made


@pytest.mark.parametrize(("per_label", "seed"), [(1, 42), (8, 42), (8, 7), (100, 0)])
@pytest.mark.parametrize("known", LABELS.values(), ids=LABELS)
def test_the_drawn_texts(known: list, per_label: int, seed: int) -> None:
    random = np.random.default_rng(per_label)
    labels = [known[i] for i in random.integers(0, len(known), 300)]
    theirs, order = task(labels, per_label, 6, seed), None
    for number, places in enumerate(draw(labels, per_label, 6, seed)):
        _, order, wanted = theirs._undersample_data(theirs.dataset["train"], number, order)
        assert places == wanted


@pytest.mark.parametrize("known", LABELS.values(), ids=LABELS)
def test_predictions_and_figures(known: list) -> None:
    random = np.random.default_rng(3)
    train_labels, gold = ([known[i] for i in random.integers(0, len(known), n)] for n in (40, 200))
    near = dict(zip(known, random.normal(size=(len(known), 16)), strict=True))
    train, test = (
        np.array([near[x] + random.normal(size=16) for x in labels], np.float32) for labels in (train_labels, gold)
    )
    theirs = task(train_labels, 8, 1, 42)
    rows = Dataset.from_dict({"label": train_labels}), Dataset.from_dict({"label": gold})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted, predictions = theirs._run_experiment(*rows, train, test, timer=None)
    found = predict(train, train_labels, test, 42)
    assert found.tolist() == predictions
    assert figures_of_labels(gold, [found]) == {name: value for name, value in wanted.items() if value is not None}
    assert ("ap" in figures_of_labels(gold, [found])) == (len(known) == 2)


def test_figures_are_means_over_the_fits() -> None:
    gold = [0, 1, 1, 0]
    one, other = np.array([0, 1, 1, 1]), np.array([0, 0, 0, 0])
    found = figures_of_labels(gold, [one, other])
    assert found["accuracy"] == (0.75 + 0.5) / 2
    for name, value in found.items():
        assert value == np.mean([figures_of_labels(gold, [each])[name] for each in (one, other)])


def test_two_labels_without_a_1_have_no_average_precision() -> None:
    assert "ap" not in figures_of_labels([2, 3, 2], [np.array([2, 3, 3])])
