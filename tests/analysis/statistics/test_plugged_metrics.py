"""Statistics of a package's metric, of which nothing is known: one that is ours by another name gets our figures."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import t

from instructor_eval import metrics
from instructor_eval.analysis.compare import compact
from instructor_eval.analysis.compare.detectable import _alone
from instructor_eval.analysis.gate.spoil import spoiled
from instructor_eval.analysis.statistics import contributions, difference, matching, randomise
from instructor_eval.analysis.statistics.spread import spread
from instructor_eval.core import plugins
from instructor_eval.core.errors import UserError
from instructor_eval.core.values import Items

Plug = Callable[..., None]
SAME = ("cosine_spearman", "cosine_pearson", "cosine_ap", "pearson")


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    """`plug(name=function)`: what packages bring."""

    def bring(**functions: Callable[[Items], Any]) -> None:
        found = {
            name: plugins.Plugin(
                plugins.SCORERS, name, f"other:{name}", "other 1.0", SimpleNamespace(load=lambda f=f: f)
            )
            for name, f in functions.items()
        }
        monkeypatch.setattr(plugins, "found", lambda group: found if group == plugins.SCORERS else {})

    return bring


@pytest.fixture
def plugged(plug: Plug) -> None:
    """Ours by other names, `my_cosine_ap` and so on; and a plain mean."""
    ours = {f"my_{metric}": metrics.get(metric).compute for metric in SAME}
    plug(**ours, my_mean=lambda items: float(np.mean(items["value"])))


def made(n: int = 48, seed: int = 1, noise: float = 0.4) -> Items:
    """Items with all columns that these metrics look at; ids and gold are the same for every seed."""
    task, own = np.random.default_rng(5), np.random.default_rng(seed)
    gold = task.integers(0, 2, n)
    # Ranks from 1: randomisation brings two systems' similarities to one scale, and these are on it.
    cosine = np.argsort(np.argsort(gold + noise * own.normal(size=n))) + 1.0
    return {
        "id": [f"i{k:03}" for k in range(n)],
        "segment": [f"s{k // 2}" for k in range(n)],
        "gold": gold.tolist(),
        "cosine": cosine.tolist(),
        "value": own.random(n).round(3).tolist(),
        "top": [["a", "b"] for _ in range(n)],
    }


def without_segments(items: Items, metric: str) -> Items:
    return items if metric == "pearson" else {name: c for name, c in items.items() if name != "segment"}


@pytest.mark.usefixtures("plugged")
@pytest.mark.parametrize(
    "metric",
    [pytest.param(m, marks=[pytest.mark.slow] * (m in ("cosine_pearson", "cosine_ap"))) for m in SAME],
)
def test_intervals_are_near_those_of_the_metric_that_it_is(metric: str) -> None:
    """By resampling, as nothing is known of a package's metric; near what the metric's own influence says."""
    a, b = (without_segments(made(seed=seed), metric) for seed in (1, 2))
    found, expected = (difference.paired(name, a, b, seed_text="seed") for name in (f"my_{metric}", metric))
    kind = "cluster " if metric == "pearson" else ""
    assert (found.method, expected.method) == (f"{kind}bootstrap", f"{kind}influence")
    assert (found.delta, found.n, found.weak) == (expected.delta, expected.n, expected.weak)
    assert found.se == pytest.approx(expected.se, rel=0.3)
    value = metrics.compute(metric, a)
    mine, theirs = (spread(name, a, value, seed_text="seed") for name in (f"my_{metric}", metric))
    assert mine.se == pytest.approx(theirs.se, rel=0.3)
    assert mine.high - mine.low == pytest.approx(2 * t.ppf(0.975, mine.n - 1) * mine.se)
    assert np.allclose(mine.replicates, theirs.replicates)
    assert _alone(f"my_{metric}", a, "seed")[0] == pytest.approx(_alone(metric, a, "seed")[0], rel=0.3)


@pytest.mark.usefixtures("plugged")
@pytest.mark.parametrize("n", [8, 48])
def test_p_values_are_those_of_average_precision(n: int) -> None:
    a, b = (without_segments(made(n, seed, noise), "") for seed, noise in ((1, 0.9), (2, 0.4)))
    found, expected = (
        randomise.chance(name, a, b, seed_text="seed", resamples=1499) for name in ("my_cosine_ap", "cosine_ap")
    )
    assert found == expected
    assert found.exact == (n == 8)


@pytest.mark.usefixtures("plugged")
def test_p_values_of_a_mean_are_those_of_sign_flips() -> None:
    a, b = (without_segments(made(9, seed), "") for seed in (1, 2))
    found = randomise.chance("my_mean", a, b, seed_text="seed")
    expected = randomise.chance("rougeL", a, b, seed_text="seed")
    assert (found.exact, expected.exact) == (True, True)
    assert (found.loss, found.gain) == (expected.loss, expected.gain)


@pytest.mark.usefixtures("plugged")
def test_p_values_of_many_items() -> None:
    a = without_segments(made(300, 1), "")
    same = randomise.chance("my_mean", a, a, seed_text="seed")
    assert (same.loss, same.gain) == (1.0, 1.0)
    worse = {**a, "value": [v - 0.1 for v in a["value"]]}
    lost = randomise.chance("my_mean", worse, a, seed_text="seed")
    assert lost.loss < 0.001 < 0.999 < lost.gain
    assert lost.method == "score swap, normal"
    b = without_segments(made(300, 2), "")
    found, expected = (randomise.chance(m, a, b, seed_text="seed") for m in ("my_mean", "rougeL"))
    assert found.loss == pytest.approx(expected.loss, abs=0.03)


@pytest.mark.usefixtures("plugged")
def test_an_item_of_a_mean_adds_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = (without_segments(made(seed=seed), "") for seed in (1, 2))
    ids, parts = contributions.contributions("my_mean", a)
    assert ids == a["id"]
    assert parts == pytest.approx(a["value"], abs=1e-9)
    moved, expected = (matching.moved(name, a, b, most=5) for name in ("my_mean", "rougeL"))
    assert (moved.n, moved.wins, moved.losses) == (expected.n, expected.wins, expected.losses)
    assert [m.id for m in moved.lost] == [m.id for m in expected.lost]
    # Of others the parts' mean is still the score, and segments are units where there are any.
    for metric, items, n in (("my_cosine_ap", a, 48), ("my_pearson", made(), 24)):
        ids, parts = contributions.contributions(metric, items)
        assert len(ids) == len(set(ids)) == n
        assert np.mean(parts) == pytest.approx(metrics.compute(metric, items), abs=1e-12)
    monkeypatch.setattr(contributions, "MOST_RECOMPUTED", 47)
    with pytest.raises(UserError, match="what each of 48 items adds is not shown"):
        contributions.contributions("my_mean", a)
    assert matching.moved("my_mean", a, b, most=5) == matching.Moves(0, 0, 0, (), ())


def test_a_metric_that_fails_on_some_draws(plug: Plug) -> None:
    def picky(items: Items) -> float:
        if "i003" not in items["id"]:
            raise ValueError("never without i003")
        return float(np.mean(items["value"]))

    plug(picky=picky, broken=lambda items: float(np.mean(items["value"])) if len(set(items["id"])) == 48 else 1 / 0)
    a, b = (without_segments(made(seed=seed), "") for seed in (1, 2))
    found = difference.paired("picky", a, b, seed_text="seed")
    assert found.weak  # a third of the draws has no value
    assert found.se is not None
    assert difference.paired("broken", a, b, seed_text="seed").se is None


@pytest.mark.usefixtures("plugged")
def test_baselines_keep_everything_and_the_self_test_nothing() -> None:
    items = made()
    small = compact.compact("my_mean", items)
    assert small == items
    assert compact.from_parquet("my_mean", compact.to_parquet(small)) == items
    score = SimpleNamespace(metric="my_mean", score=0.5, task="T")
    side = stats_side(score, items)
    assert spoiled(side, side).scores["T"] is score
    assert metrics.get("my_mean").bounds == (-np.inf, np.inf)
    units = [metrics.unit_of(name) for name in ("my_mean", "ndcg_at_10", "rougeL", "unheard_of")]
    assert units == ["item", "query", "test example", "item"]


def stats_side(score: Any, items: Items) -> Any:
    from instructor_eval.analysis.compare.side import Side

    return Side("side", {"T": 0.5}, {"T": score}, lambda _score: items, "made", {}, None)


def test_a_metric_whose_package_is_gone() -> None:
    with pytest.raises(UserError, match="unknown metric 'my_mean': if a package brings it"):
        difference.paired("my_mean", made(), made(seed=2), seed_text="seed")
