"""Rouge-L's means, the bootstrap middle against the library's own, and the third worst group."""

import numpy as np
import pytest
from rouge_score import rouge_scorer, scoring

from instructor_eval import metrics
from instructor_eval.core.errors import UserError
from instructor_eval.tasks.prompts.adapter import rouge_l

VALUES = list(np.random.default_rng(5).uniform(0, 1, 256))


def test_the_mean() -> None:
    assert metrics.compute("rougeL", {"value": VALUES}) == pytest.approx(sum(VALUES) / 256)


def test_the_bootstrap_middle_is_the_librarys() -> None:
    aggregator = scoring.BootstrapAggregator()
    for value in VALUES:
        aggregator.add_scores({"rougeL": scoring.Score(value, value, value)})
    np.random.seed(0)
    middle = aggregator.aggregate()["rougeL"].mid.fmeasure
    assert metrics.compute("rougeL_bootstrap", {"value": VALUES}) == pytest.approx(middle, abs=1e-12)
    assert abs(middle - np.mean(VALUES)) < 0.005


def test_the_bootstrap_leaves_the_global_random_state_alone() -> None:
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    metrics.compute("rougeL_bootstrap", {"value": VALUES})
    assert np.random.random() == expected


def test_the_third_worst_group() -> None:
    """Accuracies: z 0.5, b 0, c 0.5, d 1; z comes before c, though not in the alphabet."""
    items = {
        "group": ["z", "b", "c", "d", "z", "b", "c", "d"],
        "correct": [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0],
        "value": [0.9, 0.0, 0.1, 1.0, 0.2, 0.0, 0.3, 1.0],
    }
    assert metrics.compute("rougeL_third_worst_group", items) == pytest.approx(0.2)
    assert metrics.compute("rougeL_third_worst_group_bootstrap", items) in (0.1, 0.2, 0.3, pytest.approx(0.2))


def test_fewer_groups_have_no_third_worst() -> None:
    items = {"value": [1.0, 0.0], "correct": [1.0, 0.0], "group": ["a", "b"]}
    with pytest.raises(UserError) as error:
        metrics.compute("rougeL_third_worst_group", items)
    assert str(error.value) == "the third worst of 2 reviewers: raise --limit, or use --protocol amazon=all"
    del items["group"]
    with pytest.raises(UserError, match="the items hold no column 'group'"):
        metrics.compute("rougeL_third_worst_group", items)


def test_rouge_l_by_hand() -> None:
    """The longest common subsequence: 3 of 4 words predicted, 3 of 5 in the reference; stems count as equal."""
    precision, recall = 3 / 4, 3 / 5
    expected = 2 * precision * recall / (precision + recall)
    got = rouge_l(["the cats sat quietly", "x", ""], ["the old cat was sitting", "x", "y"])
    assert got[0] == pytest.approx(2 * (2 / 4) * (2 / 5) / (2 / 4 + 2 / 5))  # "sat" and "sitting" are two stems
    assert rouge_l(["the cats sit quietly"], ["the old cat was sitting"]) == [pytest.approx(expected)]
    assert got[1:] == [1.0, 0.0]


def test_the_gold_is_the_reference() -> None:
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
    pairs = [("a b c", "a c d e"), ("one", "one two")]
    expected = [scorer.score(target=g, prediction=p)["rougeL"].fmeasure for p, g in pairs]
    assert rouge_l(*zip(*pairs, strict=True)) == expected
