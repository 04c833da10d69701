"""The lower bound that an OK rests on, against exact bounds, drawn ones, and a known truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from made_items import make_items
from scipy.stats import beta

from instructor_eval.analysis.statistics import difference, unseen
from instructor_eval.analysis.statistics.unseen import Unseen


@pytest.mark.parametrize("n", [10, 30, 100, 300, 3000])
@pytest.mark.parametrize("lost", [0, 1, 2, 5])
def test_of_losses_of_one_it_is_clopper_and_pearsons(n: int, lost: int) -> None:
    d = np.zeros(n)
    d[:lost] = -1.0
    found = unseen.lower([unseen.describe(d, most=1.0, floor=0.0)])
    assert found == pytest.approx(-beta.ppf(0.95, lost + 1, n - lost), rel=0.02)


@pytest.mark.parametrize("n", [10, 30, 300])
def test_it_is_the_5_percent_point_under_random_weights(n: int) -> None:
    """Gaffke's: the mean of the differences and the unseen one under weights that are uniform on the simplex."""
    rng = np.random.default_rng(n)
    d = np.where(rng.random(n) < 0.3, rng.choice([-0.5, -0.1, 0.1, 0.4], n), 0.0)
    task = unseen.describe(d, most=1.0, floor=0.0)
    weights = rng.exponential(size=(100_000, n + 1))
    drawn = (weights @ np.append(d, -task.loss)) / weights.sum(axis=1)
    assert unseen.lower([task]) == pytest.approx(np.quantile(drawn, 0.05), rel=0.03)


def test_of_many_changes_it_is_students() -> None:
    d = np.random.default_rng(1).normal(-0.002, 0.1, 3000)
    by_t = float(np.mean(d)) + difference.Z_95 * -float(np.std(d, ddof=1)) / math.sqrt(3000)
    assert unseen.lower([unseen.describe(d, most=1.0, floor=1.0)]) == pytest.approx(by_t, abs=0.0005)


@pytest.mark.parametrize(
    ("d", "loss"),
    [
        ([0.0] * 8, 0.9),  # nothing is known of changes: all that can be lost
        ([0.0] * 7 + [0.02], 0.22),  # one change: eleven times as much
        ([0.0] * 4 + [0.02, -0.02] * 2, 0.07),  # four equal ones: 1 + 10 / 4
        ([0.5] + [0.0] * 7, 0.9),
    ],
)
def test_how_much_an_unseen_item_may_lose(d: list[float], loss: float) -> None:
    assert unseen.describe(np.array(d), most=0.9, floor=0.9).loss == pytest.approx(loss)


def test_splits_that_all_changed_lose_no_more_than_was_seen() -> None:
    d = np.array([0.01, -0.02, 0.015, -0.01])
    assert unseen.describe(d, most=0.5, floor=0.0, aggregated=True).loss == pytest.approx(0.02)
    assert unseen.describe(np.append(d, 0.0), most=0.5, floor=0.0, aggregated=True).loss > 0.05


def test_however_others_changed_the_rule_of_three_stands() -> None:
    d = np.random.default_rng(2).normal(0, 0.001, 100)
    found = unseen.lower([unseen.describe(d, most=0.8, floor=0.8)])
    assert found == pytest.approx(-0.8 * (1 - 0.05 ** (1 / 100)))


def test_in_a_mean_one_task_hides_it() -> None:
    """Nothing changed in ten tasks of 300: as of 3,000 items; of tasks of two sizes the smaller is the worst case."""
    task = Unseen(300, 0.0, (0.0, 0.0, 0.0), 1.0, 1.0, 0.1)
    assert unseen.lower([task] * 10) == pytest.approx(-beta.ppf(0.95, 1, 3000), rel=0.02)
    small = Unseen(30, 0.0, (0.0, 0.0, 0.0), 1.0, 1.0, 0.5)
    large = Unseen(3000, 0.0, (0.0, 0.0, 0.0), 1.0, 1.0, 0.5)
    assert unseen.lower([small, large]) == pytest.approx(-beta.ppf(0.95, 1, 30) / 2, rel=0.02)


def test_a_mean_of_tasks_carries_the_bound() -> None:
    values = {"id": list(range(300)), "value": [1.0] * 300}
    one = difference.paired("accuracy", values, values, seed_text="")
    assert one.lower == pytest.approx(-0.01, abs=2e-5)
    assert difference.mean([one, one]).lower == pytest.approx(-0.005, abs=2e-5)
    whole = difference.mean([difference.mean([one, one]), difference.mean([one, one])])
    assert whole.lower == pytest.approx(-0.0025, abs=1e-5)


@pytest.mark.parametrize("metric", ["cosine_spearman", "cosine_pearson", "pearson", "cosine_ap", "max_ap", "v_measure"])
def test_unchanged_items_of_every_metric_leave_room_for_a_loss(metric: str) -> None:
    items = make_items(metric)
    found = difference.paired(metric, items, items, seed_text="")
    assert found.lower is not None
    assert found.lower < -0.02
    assert found.lower_by_t == 0


@pytest.mark.parametrize("n", [30, 100, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("share", [0.01, 0.02, 0.05])
def test_ok_is_seldom_said_of_a_true_loss_of_the_margin(n: int, share: float) -> None:
    """A share of the items is lost whole, which is the margin: t says OK of it up to 75 times in 100."""
    rng, gates = np.random.default_rng(n), 400
    said, by_t = 0, 0
    for _ in range(gates):
        after = np.where(rng.random(n) < share, 0.0, 1.0)
        sides: list[Any] = [{"id": list(range(n)), "value": v.tolist()} for v in (after, np.ones(n))]
        found = difference.paired("accuracy", *sides, seed_text="")
        assert found.lower is not None
        assert found.lower_by_t is not None
        said += found.lower > -share
        by_t += found.lower_by_t > -share
    assert said / gates <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / gates)
    assert said <= by_t
