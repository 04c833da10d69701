"""A metric that is added as one value, here or by a package, gets everything that reads results."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made_results
import numpy as np
import pyarrow.parquet as pq
import pytest
from made_items import make_items
from scipy.stats import permutation_test, sem, ttest_rel

from instructor_eval import metrics
from instructor_eval.core import plugins
from instructor_eval.core.values import Items
from instructor_eval.metrics.metric import Metric, Numbers
from instructor_eval.results.score import Score
from instructor_eval.results.store import Store

Run = Callable[..., Any]
TASK, N, LOST, GAINED = "Banking77Classification", 60, 12, 5


def strict(items: Items) -> Numbers:
    """The square of each item's share of correct predictions."""
    return np.asarray(items["value"], dtype=np.float64) ** 2


NEW = Metric(
    "strict_accuracy",
    lambda items: float(np.mean(strict(items))),
    unit="message",
    bounds=(0.0, 1.0),
    columns=("gold", "value"),
    values=strict,
)


def made(variant: str) -> Items:
    """Items of a classification; of int8 some are wrong in every draw, and a few right."""
    items = make_items("accuracy", N, seed=3)
    for place in range(LOST + GAINED if variant == "int8" else 0):
        items["predictions"][place] = ["b" if place < LOST else "a"] * 10
        items["value"][place] = float(place >= LOST)
    return items


@pytest.fixture(params=["of ours", "of a package"])
def added(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "of ours":
        monkeypatch.setitem(metrics.BUILTIN, NEW.name, NEW)
        return
    point = SimpleNamespace(load=lambda: dataclasses.replace(NEW, name="as the package calls it"))
    brought = {NEW.name: plugins.Plugin(plugins.SCORERS, NEW.name, "other:NEW", "other 1.0", point)}
    monkeypatch.setattr(plugins, "found", lambda group: brought if group == plugins.SCORERS else {})


@pytest.fixture
def results(added: None, tmp_path: Path, make_score: Callable[..., Score]) -> Path:
    """`./results` of `cli`: fp32, and int8, which lost items."""
    store = Store(tmp_path / "results")
    for variant in ("fp32", "int8"):
        items = made(variant)
        score = make_score(
            TASK, metrics.compute(NEW.name, items), type="Classification", metric=NEW.name, model=made_results.MINILM,
            variant=variant, fingerprint=variant * 4, identity=variant * 4, n_items=N, data={"hash": "x"},
        )  # fmt: skip
        store.write(score, items)
    return tmp_path / "results"


def paired_by_scipy() -> tuple[Numbers, Numbers, Any]:
    mine, theirs = strict(made("int8")), strict(made("fp32"))
    return mine, theirs, ttest_rel(mine, theirs).confidence_interval(0.95)


@pytest.mark.usefixtures("results")
def test_compare_has_its_interval_its_p_and_its_unit(cli: Run) -> None:
    done = cli("compare", "minilm@fp32", "minilm@int8", "--format", "json")
    assert (done.code, done.err) == (0, "")
    [task] = json.loads(done.out)[0]["tasks"]
    mine, theirs, interval = paired_by_scipy()
    found, chance = task["difference"], task["chance"]
    moves = (task["losses"], task["wins"], task["ties"])
    assert (task["metric"], task["unit"], task["n"]) == (NEW.name, "message", N)
    assert moves == (LOST, GAINED, N - LOST - GAINED)
    assert found["delta"] == pytest.approx(np.mean(mine - theirs), abs=1e-11)
    assert (found["low"], found["high"]) == pytest.approx(tuple(interval), abs=1e-11)
    differ = mine != theirs
    expected = permutation_test(
        (mine[differ], theirs[differ]), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples",
        n_resamples=np.inf, alternative="less", vectorized=True,
    )  # fmt: skip
    assert chance["exact"]
    assert chance["loss"] == pytest.approx(expected.pvalue, abs=1e-12)


@pytest.mark.usefixtures("results")
def test_the_gate_sees_a_loss_of_it_by_a_small_baseline(cli: Run, tmp_path: Path) -> None:
    assert cli("baseline", "set", "minilm@fp32").code == 0
    [stored] = (tmp_path / "results" / "baselines").rglob("*.parquet")
    assert pq.read_table(stored).column_names == ["id", "gold", "value"]
    done = cli("gate", "--candidate", "minilm@int8")
    assert (done.code, done.out.split(":")[0]) == (1, "REGRESSED")
    assert f"{N} messages" in done.out
    blind = cli("gate", "--candidate", "minilm@fp32", "--self-test")
    assert (blind.code, "REGRESSED" in blind.out) == (1, True)


@pytest.mark.usefixtures("results")
def test_the_board_has_its_interval(cli: Run) -> None:
    done = cli("leaderboard", "--no-published", "--format", "json")
    assert (done.code, done.err) == (0, "")
    head, child = json.loads(done.out)
    interval, values = head["intervals"][TASK], strict(made("fp32"))
    assert interval["low"] < head["tasks"][TASK] == np.mean(values) < interval["high"]
    assert (interval["method"], interval["n"]) == ("t", N)
    assert interval["se"] == pytest.approx(sem(values), abs=1e-12)
    delta = child["deltas"][TASK]
    assert (delta["low"], delta["high"]) == pytest.approx(tuple(paired_by_scipy()[2]), abs=1e-11)


def test_validation_computes_it_again_within_its_bounds(cli: Run, results: Path) -> None:
    done = cli("validate", "--results", str(results))
    assert "2 results: 2 good" in done.out
    store = Store(results)
    score = next(s for s in store.scores() if s.model.variant == "fp32")
    store.write(dataclasses.replace(score, score=1.5), made("fp32"))
    done = cli("validate", "--results", str(results))
    assert done.code == 2
    assert f"score 1.5 is not between 0 and 1, as {NEW.name} must be" in done.out
    assert f"score 1.5 is not {NEW.name}(items) = " in done.out
