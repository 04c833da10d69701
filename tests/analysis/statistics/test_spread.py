from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as reference

from instructor_eval import metrics
from instructor_eval.analysis.statistics import resample, score_intervals
from instructor_eval.analysis.statistics import spread as replicates
from instructor_eval.analysis.statistics.spread import rounds, spread
from instructor_eval.analysis.statistics.spreads import Spread, mean, of_parts
from instructor_eval.core.values import Items

MEANS = {"ndcg_at_10": "ndcg_at_10", "accuracy": "value", "v_measure": "v_measure", "rougeL": "value"}
OTHERS = ("cosine_spearman", "cosine_pearson", "cosine_ap", "pearson", "summeval_v1", "rougeL_third_worst_group")


def items_of(metric: str, n: int = 60, model: int = 0) -> Items:
    """Made-up items: ids and gold are the task's, values the model's."""
    task, own = np.random.default_rng(7), np.random.default_rng(100 + model)
    gold = np.round(task.random(n), 2)
    values = np.round(np.clip(gold + 0.3 * own.normal(size=n), 0, 1), 2)
    items: dict[str, Any] = {"id": [f"i{k:05}" for k in range(n)], "gold": gold.tolist(), "cosine": values.tolist()}
    if metric in MEANS:
        items[MEANS[metric]] = values.tolist()
    elif metric == "cosine_ap":
        items["gold"] = (gold > 0.6).astype(int).tolist()
    elif metric == "pearson":
        items |= {"segment": [f"s{k // 3}" for k in range(n)], "value": values.tolist()}
    elif metric == "summeval_v1":
        items |= {"rho": values.tolist(), "p": (values**2).tolist()}
    elif metric == "rougeL_third_worst_group":
        items |= {"group": [f"g{k % 6}" for k in range(n)], "correct": (values > 0.5).astype(float).tolist()}
        items["value"] = values.tolist()
    return items


def score_of(metric: str, items: Items) -> float:
    return float(np.mean(items["value"])) if metric == "accuracy" else metrics.compute(metric, items)


def made(metric: str, items: Items, **fields: Any) -> Spread:
    return spread(metric, items, score_of(metric, items), **({"seed_text": "task"} | fields))


# Intervals


@pytest.mark.parametrize("metric", MEANS)
def test_the_interval_of_a_mean_is_around_the_published_score(metric: str) -> None:
    items = items_of(metric)
    values = np.array(items[MEANS[metric]])
    found = made(metric, items)
    low, high = score_intervals.of_mean(values)
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-6), pytest.approx(high, abs=6e-6))  # nDCG is rounded
    assert (found.method, found.n, found.weak, found.df) == ("t", 60, False, 59)
    assert found.se == pytest.approx(reference.sem(values))
    assert found.half == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("metric", ["cosine_spearman", pytest.param("cosine_pearson", marks=pytest.mark.slow)])
def test_correlation_intervals_are_near_scipys_bootstrap(metric: str) -> None:
    items = items_of(metric, n=200)
    r = reference.spearmanr if metric == "cosine_spearman" else reference.pearsonr
    drawn = reference.bootstrap(
        (items["gold"], items["cosine"]), lambda x, y: r(x, y).statistic, paired=True, vectorized=False,
        n_resamples=2000, method="percentile", rng=1,
    )  # fmt: skip
    found = made(metric, items)
    width = drawn.confidence_interval.high - drawn.confidence_interval.low
    assert found.low == pytest.approx(drawn.confidence_interval.low, abs=0.15 * width)
    assert found.high == pytest.approx(drawn.confidence_interval.high, abs=0.15 * width)
    assert found.se == pytest.approx(drawn.standard_error, rel=0.12)
    assert (found.method, found.n, found.weak) == ("influence", 200, False)


@pytest.mark.parametrize("metric", OTHERS)
def test_a_replicate_is_the_metric_of_drawn_items(metric: str) -> None:
    items = items_of(metric)
    found = made(metric, items)
    assert found.replicates is not None
    width = 3 if metric == "pearson" else 1
    strata = items.get("group")
    n = 60 // width
    drawn = np.concatenate(list(resample.draws(n, 1000, seed_text=f"task {n}", strata=strata)))
    for row in (0, 1, 999):
        places = [width * u + k for u in drawn[row] for k in range(width)]
        if strata:  # equal groups keep the order in which they come
            places.sort(key=lambda i: (i % 6, i))
        expanded = {name: [column[i] for i in places] for name, column in items.items()}
        assert found.replicates[row] == pytest.approx(metrics.compute(metric, expanded), abs=1e-12)


def test_the_unit_of_billboard_is_the_segment() -> None:
    found = made("pearson", items_of("pearson"))
    assert (found.n, found.method, found.weak) == (20, "cluster influence", False)
    assert made("pearson", items_of("pearson", n=57)).weak


@pytest.mark.parametrize(("metric", "few", "enough"), [("ndcg_at_10", 4, 5), ("cosine_spearman", 19, 20)])
def test_few_units_make_it_weak(metric: str, few: int, enough: int) -> None:
    assert made(metric, items_of(metric, n=few)).weak
    assert not made(metric, items_of(metric, n=enough)).weak


@pytest.mark.parametrize("metric", ["ndcg_at_10", "cosine_spearman"])
def test_one_unit_has_no_interval(metric: str) -> None:
    items = items_of(metric, n=1)
    found = spread(metric, items, 0.5, seed_text="task")
    assert (found.value, found.low, found.half, found.n, found.method, found.replicates) == (
        0.5,
        None,
        None,
        1,
        "",
        None,
    )


def test_what_is_always_right_may_not_be_so_elsewhere() -> None:
    """Of three items out of three, Wilson's interval with t in place of z."""
    found = made("ndcg_at_10", {"id": ["a", "b", "c"], "ndcg_at_10": [1.0, 1.0, 1.0]})
    z = reference.t.ppf(0.975, 2)
    assert (found.low, found.high, found.weak) == (pytest.approx(3 / (3 + z * z)), 1.0, True)
    assert found.replicates is not None
    assert set(found.replicates) == {1.0}


def test_replicates_lie_around_the_published_score() -> None:
    """Which may be the middle of a bootstrap, or rounded: two scores must stand to each other as on the board."""
    items = items_of("rougeL")
    found = spread("rougeL_bootstrap", items, 0.625, seed_text="task")
    assert found.replicates is not None
    assert np.mean(found.replicates) == pytest.approx(0.625, abs=0.01)
    assert (found.low or 0) < 0.625 < (found.high or 0)


def test_coverage_of_a_mean_and_of_spearman() -> None:
    """Of 400 made-up tasks whose truth is known about 95 % of the intervals hold it."""
    rng = np.random.default_rng(3)
    n, tasks, rho = 80, 400, 0.7
    truth = 6 / np.pi * np.arcsin(rho / 2)  # Spearman's rho of two normal variables (Pearson 1907)
    held = {"spearman": 0, "mean": 0}
    ids = [f"{k:03}" for k in range(n)]
    for k in range(tasks):
        x, e = rng.normal(size=(2, n))
        y = rho * x + np.sqrt(1 - rho**2) * e
        items = {"id": ids, "gold": x.tolist(), "cosine": y.tolist(), "value": (y**2).tolist()}
        for name, metric, true in (("spearman", "cosine_spearman", truth), ("mean", "rougeL", 1.0)):
            found = spread(metric, items, score_of(metric, items), seed_text=str(k), keep=False)
            assert found.low is not None
            assert found.high is not None
            held[name] += found.low <= true <= found.high
    # Three standard errors of 400 trials are 3.3 points; t of so skewed a variable without bounds is known to hold the
    # truth a point or two too seldom at this size.
    assert all(0.90 * tasks <= count <= 0.985 * tasks for count in held.values()), held


# Pairing, and what does not matter


def test_replicates_of_two_models_are_paired() -> None:
    one, other = (items_of("ndcg_at_10", model=m) for m in (1, 1))
    other["ndcg_at_10"] = [v + 0.01 for v in one["ndcg_at_10"]]
    a, b = made("ndcg_at_10", one), made("ndcg_at_10", other)
    assert a.replicates is not None
    assert b.replicates is not None
    assert (b.low or 1) < (a.high or 0)  # their own intervals overlap
    assert np.all(b.replicates > a.replicates)  # and their order is certain
    apart = made("ndcg_at_10", other, seed_text="another task").replicates
    assert not np.all(apart > a.replicates)


@pytest.mark.parametrize("metric", [*MEANS, *OTHERS])
def test_the_order_of_items_does_not_change_a_bit(metric: str) -> None:
    items = items_of(metric, n=300)
    order = np.random.default_rng(1).permutation(300)
    value = score_of(metric, items)
    shuffled = {name: [column[i] for i in order] for name, column in items.items()}
    a, b = (spread(metric, i, value, seed_text="x") for i in (items, shuffled))
    assert a == b
    assert a.replicates is not None
    assert b.replicates is not None
    assert a.replicates.tobytes() == b.replicates.tobytes()


@pytest.mark.slow
def test_threads_do_not_change_a_bit() -> None:
    program = (
        "import hashlib\nfrom test_spread import MEANS, OTHERS, items_of, made\n"
        "for metric in (*MEANS, *OTHERS):\n"
        "    s = made(metric, items_of(metric, n=900))\n"
        "    print(metric, s.low.hex(), s.high.hex(), hashlib.sha256(s.replicates.tobytes()).hexdigest())"
    )
    found = []
    for threads in ("1", "4"):
        folders = os.pathsep.join(map(str, Path(__file__).parents[:3]))
        environment = {"PYTHONPATH": folders, "PATH": "/usr/bin:/bin"}
        environment |= {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        found.append(done.stdout)
    assert found[0] == found[1]
    assert len(found[0].splitlines()) == len(MEANS) + len(OTHERS)


def test_replicates_are_made_only_where_asked_for() -> None:
    assert made("ndcg_at_10", items_of("ndcg_at_10"), keep=False).replicates is None
    with_them, without = (made("cosine_spearman", items_of("cosine_spearman"), keep=k) for k in (True, False))
    assert without.replicates is None
    assert with_them == without


def test_many_items_have_fewer_replicates(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [rounds(n) for n in (2, 20_000, 40_000, 100_000, 10**6)] == [1000, 1000, 500, 200, 200]
    monkeypatch.setattr(replicates, "_BUDGET", 60 * 300)
    found = made("ndcg_at_10", items_of("ndcg_at_10")).replicates
    assert found is not None
    assert len(found) == 300


def test_draws_are_the_same_on_every_machine_in_whatever_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(resample.draws(5, 40, seed_text="x")))
    assert whole[:3].tolist() == PINNED
    monkeypatch.setattr(resample, "_BLOCK", 15)
    blocks = list(resample.draws(5, 40, seed_text="x"))
    assert [len(b) for b in blocks] == [3] * 13 + [1]
    assert np.array_equal(np.concatenate(blocks), whole)
    assert np.array_equal(resample.counts_of(whole).sum(axis=0), [5] * 40)
    assert resample.counts_of(whole)[:, 0].tolist() == np.bincount(whole[0], minlength=5).tolist()
    within = np.concatenate(list(resample.draws(5, 40, seed_text="x", strata=list("babab"))))
    assert np.all(np.sort(within % 2, axis=1) == [0, 0, 0, 1, 1])


PINNED = [[0, 2, 4, 0, 2], [4, 0, 2, 3, 3], [1, 3, 1, 2, 3]]


# Means


def test_a_mean_of_scores_adds_variances() -> None:
    each = [made("ndcg_at_10", items_of("ndcg_at_10", model=m)) for m in range(4)]
    found = mean(each)
    assert found is not None
    assert found.value == pytest.approx(np.mean([s.value for s in each]))
    assert found.se == pytest.approx(np.sqrt(np.sum([(s.se or 0) ** 2 for s in each])) / 4)
    assert (found.n, found.method, found.weak) == (4, "welch", False)
    assert (found.low or 0) < found.value < (found.high or 0)
    assert mean([*each, Spread(0.5)]) is None
    assert mean([]) is None


def test_a_mean_of_parts_is_the_mean_of_their_replicates() -> None:
    parts = [made("ndcg_at_10", items_of("ndcg_at_10", model=m), seed_text=f"part {m}") for m in range(3)]
    value = sum(p.value for p in parts) / 3
    found = of_parts(parts, value)
    assert found is not None
    assert found.replicates is not None
    assert found.value == value
    assert found.replicates[17] == pytest.approx(np.mean([p.replicates[17] for p in parts if p.replicates is not None]))
    assert np.std(found.replicates) == pytest.approx(found.se, rel=0.1)
    without = of_parts([*parts[:2], made("ndcg_at_10", items_of("ndcg_at_10"), keep=False)], 0.5)
    assert without is not None
    assert (without.value, without.replicates) == (0.5, None)
    assert of_parts([parts[0], Spread(0.1)], 0.3) is None
