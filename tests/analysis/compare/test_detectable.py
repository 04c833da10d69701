"""The minimum detectable effect from what was run before, on made-up results whose spread is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, t

from instructor_eval.analysis.compare.detectable import Detectable, Lookup, mean_of
from instructor_eval.analysis.compare.side import Side
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items
from instructor_eval.results.score import Score

Make = Callable[..., Score]
N = 400
BASE = np.random.default_rng(1).random(N)


class Stored:
    """Results with their items; nDCG of `N` queries unless said otherwise."""

    def __init__(self, make_score: Make) -> None:
        self._make = make_score
        self.scores: list[Score] = []
        self._items: dict[str, Items] = {}

    def add(self, model: str, values: Any, **fields: Any) -> Score:
        number = len(self.scores)
        fields = {"metric": "ndcg_at_10", "type": "Retrieval", "data": {"key": "k"}} | fields
        score = self._make(
            "SciFact", model=model, identity=f"{number:016x}", created=f"2026-01-{number + 1:02}", **fields
        )
        self.scores.append(score)
        column = "cosine" if fields["metric"] == "cosine_spearman" else fields["metric"]
        self._items[score.identity] = {"id": [str(i) for i in range(len(values))], column: list(values)}
        return score

    def read(self, score: Score) -> Items:
        return self._items[score.identity]

    def side(self, score: Score) -> Side:
        return Side("base", {"SciFact": 0.5}, {"SciFact": score}, self.read, "here", {})

    def planned(self, **fields: Any) -> Score:
        fields = {"metric": "ndcg_at_10", "type": "Retrieval", "data": {"key": "k"}} | fields
        return self._make("SciFact", None, model="candidate", **fields)

    def of(self, baseline: Side | None = None, **fields: Any) -> Detectable | None:
        return Lookup(self.scores, self.read, baseline).of(self.planned(**fields))


@pytest.fixture
def stored(make_score: Make) -> Stored:
    return Stored(make_score)


def moved(sd: float, seed: int) -> Any:
    """Values that differ from BASE by exactly this standard deviation."""
    d = np.random.default_rng(seed).standard_normal(N)
    return BASE + sd * (d - d.mean()) / d.std(ddof=1)


def test_two_systems_tell_the_spread_of_their_difference(stored: Stored) -> None:
    stored.add("a", BASE)
    stored.add("b", moved(0.12, 2))
    found = stored.of()
    assert found is not None
    assert found.se == pytest.approx(0.12 / math.sqrt(N))
    expected = float(t.ppf(0.95, N - 1)) * 0.006 + float(norm.ppf(0.8)) * 0.006
    assert found.effect(0.05, 0.0) == pytest.approx(expected)
    assert 100 * expected == pytest.approx(1.49, abs=0.01)
    assert found.effect(0.05 / 20, 0.0) == pytest.approx((t.ppf(1 - 0.05 / 20, N - 1) + norm.ppf(0.8)) * 0.006)
    assert found.effect(0.05, 0.03) == pytest.approx(0.03 + norm.ppf(0.8) * 0.006)
    assert (found.n, found.at_most, found.pairs) == (N, False, (("b@fp32:paper", "a@fp32:paper"),))


def test_of_several_pairs_the_median_counts(stored: Stored) -> None:
    base = stored.add("a", BASE)
    for i, sd in enumerate((0.05, 0.3, 0.1)):
        stored.add(f"b{i}", moved(sd, 10 + i))
    found = stored.of(stored.side(base))
    assert found is not None
    assert found.se == pytest.approx(0.1 / math.sqrt(N))
    assert {parent for _, parent in found.pairs} == {"base"}
    assert len(found.pairs) == 3


def test_one_system_gives_an_upper_guess(stored: Stored) -> None:
    score = stored.add("a", BASE)
    for found in (stored.of(), stored.of(stored.side(score))):
        assert found is not None
        assert found.at_most
        assert found.se == pytest.approx(math.sqrt(2) * BASE.std(ddof=1) / math.sqrt(N))
    # Uncorrelated systems reach it: the guess is of the right size.
    stored.add("b", np.random.default_rng(9).random(N))
    both, alone = stored.of(), stored.of(stored.side(score))
    assert both is not None
    assert alone is not None
    assert both.se == pytest.approx(found.se, rel=0.1)


def test_a_correlation_is_resampled(stored: Stored) -> None:
    random = np.random.default_rng(4)
    gold = random.standard_normal(N)
    score = stored.add("a", gold + random.standard_normal(N), metric="cosine_spearman", type="STS")
    stored.read(score)["gold"] = gold.tolist()
    found = stored.of(metric="cosine_spearman", type="STS")
    assert found is not None
    assert found.at_most
    rho = 0.69
    assert found.se / math.sqrt(2) == pytest.approx((1 - rho**2) / math.sqrt(N), rel=0.25)  # large-sample theory


@pytest.mark.parametrize(
    "other",
    [{"limit": 10}, {"metric": "map_at_1000"}, {"data": {"key": "other"}}, {"protocol": {"empty_text": "error"}}],
)
def test_results_of_another_measurement_tell_nothing(stored: Stored, other: dict[str, Any]) -> None:
    stored.add("a", BASE, **other)
    stored.add("b", moved(0.1, 3), **other)
    assert stored.of() is None


def test_equal_systems_show_no_difference(stored: Stored) -> None:
    stored.add("a", BASE)
    stored.add("b", BASE)
    found = stored.of()
    assert found is not None
    assert found.at_most


def test_damaged_items_tell_nothing(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_score: Score) -> Items:
        raise UserError("damaged")

    stored.add("a", BASE)
    stored.add("b", moved(0.1, 3))
    monkeypatch.setattr(stored, "read", fail)
    assert stored.of() is None


def test_nothing_stored_nothing_known(stored: Stored) -> None:
    assert stored.of() is None


def test_the_mean_over_tasks_is_finer_than_each() -> None:
    one = Detectable(0.01, 300, at_most=False)
    mean = mean_of([one] * 4)
    assert mean is not None
    assert mean.se == pytest.approx(0.005)
    assert (mean.n, mean.at_most) == (4, False)
    bounded = mean_of([one, Detectable(0.01, 300, at_most=True)])
    assert bounded is not None
    assert bounded.at_most
    assert mean_of([one, None]) is mean_of([]) is None
